"""
Night: what `bulkpull nightly` has to do for each dataset, out of what the service shows and what is published (pure).

Standing reports run on the service by themselves, so an ordinary night creates nothing: it reads which executions are
there, publishes what is newer than the snapshot, and says of the rest why it was left. Three calls tell all of it: the
datasets, the reports, and the latest completed execution of every standing report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from bulkpull.catalog import load_catalog
from bulkpull.clock import is_ahead, iso_utc
from bulkpull.errors import BulkpullError
from bulkpull.model import Execution, Pull, Report, ReportStatus
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.naming import earlier_mark_of, parse_report_name, pull_fingerprint
from bulkpull.pipeline.report_memory import ReportMemory
from bulkpull.query import normalise, parse
from bulkpull.query.names import unique_names
from bulkpull.question import question_of, question_of_text

# The service wants four hours (behaviour 81); clocks differ, and the call takes its time.
_EARLIEST = timedelta(hours=4, minutes=15)
_A_DAY_H = 24
_LONGEST_H = 2_160
# Times come from two machines of the service, and from ours.
_SKEW = timedelta(minutes=5)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is published of a dataset, or was looked at and found to be the same."""

    execution_id: str | None
    generated_at: datetime | None


@dataclass(slots=True)
class NightlyDecision:
    """
    One dataset tonight.

    Attributes:
        today: The pull as today's list of columns asks for it.
        pull: What to bring; with `execution`, the query of the standing report that made it.
        execution: A completed one that is newer than what is published.
        reason: Why nothing is brought; `None` when something is.
        ask: Nothing is published and nothing is ready: a one-off report brings data at once.
        standing: The standing report that serves from now on; `None` when one has to be made.
        is_own: This folder made that report.
        lead_h: How many hours before the nightly hour that report runs; `None` where it is not known.
        replaced: Standing reports of ours that are of no use any more.
        why_replaced: A word on that.
        served: A standing report was found or made tonight.
        may_order: Scheduled reports may be made and deleted; not where the service does not tell which there are.
        missed: The report of which an execution was due and has not come, and when it was due.
        due_at: When the last execution was due, where nothing has come of it yet.
        notes: What is to be told of it, each one sentence.
        seen_at: When the newest data that are published, or brought nothing new, were made.
    """

    today: Pull
    pull: Pull
    execution: Execution | None = None
    reason: str | None = None
    ask: bool = False
    standing: Report | None = None
    is_ours: bool = False
    lead_h: float | None = None
    replaced: list[Report] = field(default_factory=list)
    why_replaced: str | None = None
    served: bool = False
    may_order: bool = True
    missed: tuple[Report, datetime] | None = None
    due_at: datetime | None = None
    notes: list[str] = field(default_factory=list)
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
    known, marks = set(ours), {pull_fingerprint(pull), earlier_mark_of(pull)}
    found = [
        report
        for report in reports
        if report.report_id in known  # whatever somebody calls it now
        or (
            (name := parse_report_name(report.name))
            and name.run_id is None
            and name.dataset == pull.dataset
            and (name.mark in marks or report.name in known)
        )
    ]
    return sorted(found, key=lambda report: report.created_at or _LONG_AGO, reverse=True)


def decide(
    pull: Pull,
    standing: Sequence[Report],
    executions: Iterable[Execution],
    *,
    published: DatasetRecord | None,
    seen: Iterable[Seen],
    memory: ReportMemory | None = None,
    schedule: Schedule | None = None,
    begun: Mapping[str, Execution] | None = None,
) -> NightlyDecision:
    """
    What to do for one dataset: take an execution, ask for a one-off report, or keep what is published.

    Args:
        standing: As `candidates` gives them.
        executions: The latest completed one of each standing report.
        published: The current snapshot; `None` when there is none.
        seen: What is published, and later executions that brought nothing new.
        memory: What the ledger knows of the dataset's reports. Only what it says this folder made is replaced.
        schedule: The moment and the times to hold reports against; `None` looks at no time.
        begun: The latest execution of each report whose last one has not come, in whatever state.
    """
    memory, night = memory or ReportMemory(), NightlyDecision(pull, pull)
    for report in standing:
        why = _why_useless(report, pull, memory=memory, schedule=schedule)
        if night.standing is None and why is None:
            night.standing, night.lead_h = report, memory.lead_h(report.report_id)
            night.is_ours = memory.is_ours(report)
        elif memory.is_ours(report):
            night.replaced.append(report)
            night.why_replaced = night.why_replaced or why or "there is a second one for the same query"
        elif why is not None:
            night.notes.append(f"report {report.report_id}, which this folder did not make, is left alone: {why}")
    by_id = {each.report_id: each for each in standing if answers(each, pull, memory)}
    ready = [each for each in executions if each.report_id in by_id and each.is_completed and each.link is not None]
    latest = max(ready, key=lambda each: each.generated_at or _LONG_AGO, default=None)
    already = [*seen] if published else []
    night.seen_at = max((each.generated_at for each in already if each.generated_at), default=None)
    if latest is not None and (
        all(_is_newer(latest, each) for each in already) or (published and asks_otherwise(pull, published))
    ):
        night.execution = latest
        night.pull = _as_ordered(pull, by_id[latest.report_id])
    elif published is None or asks_otherwise(pull, published):
        night.ask = True
    elif night.replaced and night.standing is None:
        night.ask = True  # the night brings data although its report is of no use
    else:
        since = iso_utc(night.seen_at) if night.seen_at else "the published one"
        night.reason = f"no execution newer than {since}"
    if schedule is not None and night.standing is not None:
        _look_for_due(night, ready, memory=memory, schedule=schedule, begun=begun or {})
    return night


def decide_blindly(
    pull: Pull,
    executions: Sequence[Execution],
    *,
    published: DatasetRecord | None,
    seen: Iterable[Seen],
    memory: ReportMemory,
    now: datetime,
) -> NightlyDecision:
    """
    What to do where the service does not tell which reports there are: go by the ids in the ledger, create nothing.

    Without a report that is known, and where nothing newer has come in the time in which the data change, a one-off
    report is asked for.
    """
    known = memory.serving(question_of(pull).sha256)
    night = decide(pull, known, executions, published=published, seen=seen, memory=memory)
    night.standing, night.replaced, night.why_replaced = next(iter(known), None), [], None
    night.may_order = False
    if night.execution is None and is_due(night.seen_at, refresh_days=refresh_days_of(pull), now=now):
        night.ask, night.reason = True, None
    night.notes = ["the service does not tell which reports there are, so no scheduled report was made or replaced"]
    return night


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    The times that reports are held against.

    Attributes:
        now: By the service's clock, aware.
        lead_h: The setting `standing_lead_hours`.
        grace: How long after its time an execution may take.
    """

    now: datetime
    lead_h: float
    grace: timedelta


def last_due(report: Report, now: datetime) -> datetime | None:
    """When the latest execution of a scheduled report was due; `None` before the first, and where it is not known."""
    if report.start_at is None or not report.recurrence_h or report.start_at > now:
        return None
    every = timedelta(hours=report.recurrence_h)
    return report.start_at + every * ((now - report.start_at) // every)


def has_come(due_at: datetime, executions: Iterable[Execution]) -> bool:
    """Whether one of the completed executions is the one that was due, or a later one."""
    return any(each.generated_at is None or each.generated_at >= due_at - _SKEW for each in executions)


def answers(report: Report, pull: Pull, memory: ReportMemory) -> bool:
    """
    Whether the executions of a report answer the question of `pull`, whatever the report is called.

    Its query is compared as parsed. A query that is gone, or that is not told, is taken for what the ledger noted of
    the report, or for what the mark in its name says.
    """
    question = question_of(pull)
    noted = memory.question_of(report.report_id)
    if noted is not None and noted != question.sha256:
        return False
    if report.query_text is None:
        name = parse_report_name(report.name)
        marks = {pull_fingerprint(pull), earlier_mark_of(pull)}
        return report.window is None and (noted is not None or (name is not None and name.mark in marks))
    if question_of_text(report.query_text, pull, window=report.window) != question:
        return False
    # Of a report that nobody noted, only its query can tell whether it was made with the metrics.
    if noted is not None or pull.metrics_choice is None:
        return True
    return _has_metrics(report.query_text, pull) == bool(pull.metrics)


def _has_metrics(query_text: str, pull: Pull) -> bool:
    columns = {name.casefold() for name in pull.offered.columns}
    metrics = {name.casefold() for name in pull.offered.metrics} - columns
    return any(name.casefold() in metrics for name in columns_of(query_text))


def _look_for_due(
    night: NightlyDecision,
    ready: Sequence[Execution],
    *,
    memory: ReportMemory,
    schedule: Schedule,
    begun: Mapping[str, Execution],
) -> None:
    """Notice an execution that was due and has not come; the data are asked for by a one-off report."""
    report = night.standing
    assert report is not None
    due_at = last_due(report, schedule.now)
    mine = [each for each in ready if each.report_id == report.report_id]
    if due_at is None or has_come(due_at, mine) or (night.seen_at is not None and night.seen_at >= due_at - _SKEW):
        return
    execution = begun.get(report.report_id)
    has_failed = execution is not None and execution.has_failed
    night.due_at = due_at
    if not has_failed and schedule.now - due_at < schedule.grace:
        if night.reason:
            night.reason += f"; the one due at {iso_utc(due_at)} is still being made"
        return
    state = f"its status is {execution.status}" if execution else "it has not begun"
    what = f"the execution due at {iso_utc(due_at)} has not come ({state})"
    night.missed = (report, due_at)
    night.notes.append(f"{what}; a one-off report is asked for instead" if night.execution is None else what)
    if night.execution is None:
        night.ask, night.reason = True, None
    if has_failed and report.report_id not in memory.missed:
        return  # once is no reason to make another
    night.standing = None
    if memory.is_ours(report):
        night.replaced.append(report)
        night.why_replaced = night.why_replaced or what


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


def moment_of(text: str | None, *, now: datetime) -> datetime | None:
    """A moment of a record, aware UTC; `None` for one that has not come yet, which an older version believed."""
    moment = datetime.fromisoformat(text) if text else None
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


def _why_useless(
    report: Report, pull: Pull, *, memory: ReportMemory | None = None, schedule: Schedule | None = None
) -> str | None:
    return (
        _why_at_rest(report)
        or _why_other_query(report, pull, memory=memory or ReportMemory())
        or _why_other_times(report, pull, memory=memory or ReportMemory(), schedule=schedule)
    )


def _why_at_rest(report: Report) -> str | None:
    if report.status.casefold() == ReportStatus.PAUSED.casefold():
        return "it was paused"
    if report.status.casefold() != ReportStatus.ACTIVE.casefold():
        return f"it is used up (its status is {report.status})"
    return None


def _why_other_query(report: Report, pull: Pull, *, memory: ReportMemory) -> str | None:
    if report.query_text is None:
        return "its query was deleted"
    if report.window is not None:
        return "it asks for other days"
    if not _is_same_query(report.query_text, pull):
        return "its query or its columns are out of date"
    return None if answers(report, pull, memory) else "it was made for another question"


def _why_other_times(report: Report, pull: Pull, *, memory: ReportMemory, schedule: Schedule | None) -> str | None:
    every_h = recurrence_h(pull)
    if report.recurrence_h is not None and report.recurrence_h > every_h:
        return f"it was changed to run every {report.recurrence_h} hours"
    if schedule is None or report.start_at is None:
        return None
    if report.start_at > schedule.now + timedelta(hours=every_h) + _SKEW:
        return f"it was changed to run from {iso_utc(report.start_at)} on"
    lead_h = memory.lead_h(report.report_id)
    if lead_h is not None and lead_h != schedule.lead_h:
        return f"`standing_lead_hours` was changed from {lead_h:g} to {schedule.lead_h:g}"
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
