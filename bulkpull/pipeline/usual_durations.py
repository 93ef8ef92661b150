"""
How long reports took in earlier runs.

Reports of the slowest datasets are created first, because the slowest one ends the run. A dataset without a known
duration goes before all others: it may be the slowest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from bulkpull.model import Pull
from bulkpull.output.ledger import Ledger, NotedFacts
from bulkpull.output.ledger_facts import ExecutionFacts, ReportFacts

_REMEMBERED = timedelta(days=60)
_LATEST = 5


async def load_usual_durations(ledger: Ledger, *, now: datetime) -> dict[str, float]:
    """As `usual_durations`, from the reports of the last sixty days in the ledger."""
    since = now - _REMEMBERED
    return usual_durations(
        await ledger.noted(ReportFacts, since=since), await ledger.noted(ExecutionFacts, since=since)
    )


def usual_durations(
    ordered: Iterable[NotedFacts[ReportFacts]], executed: Iterable[NotedFacts[ExecutionFacts]]
) -> dict[str, float]:
    """
    How long reports usually take: the median of the latest five of each dataset.

    Returns:
        Seconds by dataset, from the order to the service's own time of completion; where one of these times is missing
        or odd, to the moment at which the completion was seen.
    """
    order_of = {entry.facts.report_id: entry for entry in ordered}
    durations: dict[str, list[float]] = {}
    for entry in executed:
        order = order_of.get(entry.facts.report_id)
        if order is None:
            continue
        seen_s = (entry.at - order.at).total_seconds()
        took_s = seen_s
        if order.facts.created_at and entry.facts.generated_at:
            took_s = (entry.facts.generated_at - order.facts.created_at).total_seconds()
        if not 0 <= took_s <= seen_s:
            took_s = seen_s
        if took_s >= 0:
            durations.setdefault(entry.dataset, []).append(took_s)
    return {dataset: _median(lengths_s[-_LATEST:]) for dataset, lengths_s in durations.items()}


def _median(numbers: Sequence[float]) -> float:
    """As `statistics.median`, whose import takes longer than all its calls in a nightly run."""
    in_order, middle = sorted(numbers), len(numbers) // 2
    return (in_order[middle] + in_order[~middle]) / 2


def slowest_first(pulls: Sequence[Pull], *, usual_s: Mapping[str, float], rows: Mapping[str, int]) -> list[Pull]:
    """
    The order in which reports are best ordered.

    Args:
        rows: Rows of each dataset's current snapshot, which stand in where no duration is known; then the number of
            columns does.
    """

    def key(pull: Pull) -> tuple[bool, float, int, int]:
        known_s = usual_s.get(pull.dataset)
        return known_s is not None, -(known_s or 0.0), -rows.get(pull.dataset, 0), -len(pull.columns)

    return sorted(pulls, key=key)
