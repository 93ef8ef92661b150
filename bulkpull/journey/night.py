"""
Night: what `bulkpull nightly` has to do for each dataset, out of what the service shows and what is published (pure).

Standing reports run on the service by themselves, so an ordinary night creates nothing: it reads which executions are
there, publishes what is newer than the snapshot, and says of the rest why it was left. Three calls tell all of it: the
datasets, the reports, and the latest completed execution of every standing report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from bulkpull.catalog import load_catalog
from bulkpull.clock import is_ahead, iso_utc
from bulkpull.errors import BulkpullError
from bulkpull.journey.names import earlier_mark_of, mark_of, read_report_name
from bulkpull.model import Execution, Pull, Report, ReportStatus
from bulkpull.query import normalise, parse
from bulkpull.query.names import unique_names
from bulkpull.question import question_of
from bulkpull.records.manifest import DatasetRecord

# The service wants four hours (behaviour 81); clocks differ, and the call takes its time.
_EARLIEST = timedelta(hours=4, minutes=15)
_A_DAY_H = 24
_LONGEST_H = 2_160
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is published of a dataset, or was looked at and found to be the same."""

    execution_id: str | None
    generated_at: datetime | None


@dataclass(slots=True)
class Night:
    """
    One dataset tonight.

    Attributes:
        today: The pull as today's list of columns asks for it.
        pull: What to bring; with `execution`, the query of the standing report that made it.
        execution: A completed one that is newer than what is published.
        reason: Why nothing is brought; `None` when something is.
        ask: Nothing is published and nothing is ready: a one-off report brings data at once.
        standing: The standing report that serves from now on; `None` when one has to be made.
        remembered: The ledger knows that report already.
        replaced: Standing reports of ours that are of no use any more.
        why_replaced: A word on that.
        served: A standing report was found or made tonight.
        seen_at: When the newest data that are published, or brought nothing new, were made.
    """

    today: Pull
    pull: Pull
    execution: Execution | None = None
    reason: str | None = None
    ask: bool = False
    standing: Report | None = None
    remembered: bool = False
    replaced: list[Report] = field(default_factory=list)
    why_replaced: str | None = None
    served: bool = False
    seen_at: datetime | None = None


def candidates(pull: Pull, reports: Iterable[Report], *, ours: Iterable[str]) -> list[Report]:
    """
    The standing reports of this dataset that are ours, the newest first.

    Args:
        reports: All that the service lists.
        ours: Ids of standing reports that this output folder has made or adopted, and names of those that it ordered
            without hearing of them again. Reports of the same query are ours as well, whoever made them; another query
            of the same dataset may serve another output folder.
    """
    known, marks = set(ours), {mark_of(pull), earlier_mark_of(pull)}
    found = [
        report
        for report in reports
        if (name := read_report_name(report.name))
        and name.run_id is None
        and name.dataset == pull.dataset
        and (name.mark in marks or report.report_id in known or report.name in known)
    ]
    return sorted(found, key=lambda report: report.created_at or _LONG_AGO, reverse=True)


def decide(
    pull: Pull,
    standing: Sequence[Report],
    executions: Iterable[Execution],
    *,
    published: DatasetRecord | None,
    seen: Iterable[Seen],
) -> Night:
    """
    What to do for one dataset.

    Args:
        standing: As `candidates` gives them.
        executions: The latest completed one of each standing report.
        published: The current snapshot; `None` when there is none.
        seen: What is published, and later executions that brought nothing new.
    """
    night = Night(pull, pull)
    for report in standing:
        why = _why_useless(report, pull)
        if night.standing is None and why is None:
            night.standing = report
        else:
            night.replaced.append(report)
            night.why_replaced = night.why_replaced or why or "there is a second one for the same query"
    by_id = {report.report_id: report for report in standing}
    of_use = {each.report_id for each in standing if pull.source is None or _is_same_query(each.query_text, pull)}
    ready = [each for each in executions if each.report_id in of_use and each.is_completed and each.link is not None]
    latest = max(ready, key=lambda each: each.generated_at or _LONG_AGO, default=None)
    already = [*seen] if published else []
    night.seen_at = max((each.generated_at for each in already if each.generated_at), default=None)
    if latest is not None and all(_is_newer(latest, each) for each in already):
        night.execution = latest
        night.pull = _as_ordered(pull, by_id[latest.report_id])
    elif published is None or asks_otherwise(pull, published):
        night.ask = True
    else:
        since = iso_utc(night.seen_at) if night.seen_at else "the published one"
        night.reason = f"no execution newer than {since}"
    return night


def first_start(now: datetime, *, lead_h: float) -> datetime:
    """
    When a standing report that is made now runs first: `lead_h` hours before the same hour tomorrow.

    Args:
        now: By the service's clock, aware.
    """
    return max(now + timedelta(hours=_A_DAY_H - lead_h), now + _EARLIEST)


def recurrence_h(pull: Pull) -> int:
    """Hours between two executions of a standing report: a day, or the dataset's minimum (behaviour 50)."""
    return min(max(_A_DAY_H, pull.offered.minimum_recurrence_h), _LONGEST_H)


def refresh_days_of(pull: Pull) -> int | None:
    """Days between two refreshes of the dataset that a pull reads, as far as the documents say."""
    known = load_catalog().find(pull.reads)
    return known.refresh_days if known else None


def is_due(seen_at: datetime | None, *, refresh_days: int | None, now: datetime) -> bool:
    """
    Whether the service has refreshed a dataset since data of it were last seen (behaviour 142).

    Asking more often yields the same rows.
    """
    return seen_at is None or now - seen_at >= timedelta(days=refresh_days or 1)


def moment_of(told: str | None, *, now: datetime) -> datetime | None:
    """A moment of a record, aware UTC; `None` for one that has not come yet, which an older version believed."""
    moment = datetime.fromisoformat(told) if told else None
    return None if moment is None or is_ahead(moment, now=now) else moment


def columns_of(query_text: str) -> tuple[str, ...]:
    """The columns that a query of ours names; none when it is not understood."""
    try:
        return tuple(name.text for name in parse(query_text).names)
    except BulkpullError:
        return ()


def asks_otherwise(pull: Pull, published: DatasetRecord) -> bool:
    """
    Whether the snapshot answers another question than the pull asks: other rows are wanted at once.

    The columns of a whole dataset change by themselves, and its rows are still what was asked for.
    """
    return published.question_sha256 != question_of(pull).sha256


def _is_same_query(text: str | None, pull: Pull) -> bool:
    return text is not None and normalise(text) == normalise(pull.query_text)


def serves(report: Report, pull: Pull) -> bool:
    """Whether a standing report is active and executes the query of `pull`."""
    return _why_useless(report, pull) is None


def _why_useless(report: Report, pull: Pull) -> str | None:
    if report.status.casefold() == ReportStatus.PAUSED.casefold():
        return "it was paused"
    if report.status.casefold() != ReportStatus.ACTIVE.casefold():
        return f"it is used up (its status is {report.status})"
    if report.query_text is None:
        return "its query was deleted"
    if not _is_same_query(report.query_text, pull):
        return "its query or its columns are out of date"
    return None


def _is_newer(execution: Execution, seen: Seen) -> bool:
    if execution.execution_id == seen.execution_id:
        return False
    if execution.generated_at is None or seen.generated_at is None:
        return True
    return execution.generated_at >= seen.generated_at


def _as_ordered(pull: Pull, report: Report) -> Pull:
    """The pull with the query that the report executes, which may be older than today's columns."""
    if report.query_text is None or _is_same_query(report.query_text, pull):
        return pull
    columns = columns_of(report.query_text)
    if not columns:
        return pull
    listed = {name.casefold() for name in pull.offered.metrics} - {name.casefold() for name in pull.offered.columns}
    selected = tuple(name for name in columns if name.casefold() in listed)
    taken = {name.casefold() for name in columns}
    return replace(
        pull,
        query_text=report.query_text,
        columns=columns,
        metrics=selected,
        metrics_left_out=tuple(name for name in unique_names(pull.offered.metrics) if name.casefold() not in taken),
    )
