"""
How long reports took in earlier runs (pure).

Reports of the slowest datasets are created first, because the slowest one ends the run. A dataset without a known
duration goes before all others: it may be the slowest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median

from bulkpull.model import Pull
from bulkpull.output.ledger import StepEntry

REMEMBERED_DURATIONS = timedelta(days=60)
_LATEST = 5


def usual_durations(ordered: Iterable[StepEntry], executed: Iterable[StepEntry]) -> dict[str, float]:
    """
    How long reports usually take: the median of the latest five of each dataset.

    Returns:
        Seconds by dataset, from the order to the service's own time of completion; where one of these times is missing
        or odd, to the moment at which the completion was seen.
    """
    order_of = {entry.facts.get("report_id"): entry for entry in ordered}
    durations: dict[str, list[float]] = {}
    for entry in executed:
        order = order_of.get(entry.facts.get("report_id"))
        if order is None:
            continue
        seen_s = _between(order.at, entry.at)
        took_s = _between(order.facts.get("created_at"), entry.facts.get("generated_at"))
        if took_s is None or took_s < 0 or (seen_s is not None and took_s > seen_s):
            took_s = seen_s
        if took_s is not None and took_s >= 0:
            durations.setdefault(entry.dataset, []).append(took_s)
    return {dataset: median(lengths_s[-_LATEST:]) for dataset, lengths_s in durations.items()}


def slowest_first(pulls: Sequence[Pull], *, usual_s: Mapping[str, float], rows: Mapping[str, int]) -> list[Pull]:
    """
    The order in which reports are best ordered.

    Args:
        usual_s: As `usual_durations` gives it.
        rows: Rows of each dataset's current snapshot, which stand in where no duration is known; then the number of
            columns does.
    """

    def key(pull: Pull) -> tuple[bool, float, int, int]:
        known_s = usual_s.get(pull.dataset)
        return known_s is not None, -(known_s or 0.0), -rows.get(pull.dataset, 0), -len(pull.columns)

    return sorted(pulls, key=key)


def _between(begin: object, end: object) -> float | None:
    try:
        return (datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(begin))).total_seconds()
    except (ValueError, TypeError):
        return None
