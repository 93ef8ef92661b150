"""
Scheduled reports: what the ledger knows of them, whether a pull can use one, when its executions are due, and which
data they hold.

They run on the service by themselves, so an ordinary run creates nothing. A report of another folder or tool may be
used, but only reports that this folder created are changed or deleted.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain

from bulkpull.clock import iso_utc
from bulkpull.errors import BulkpullError
from bulkpull.model import Execution, Pull, Report, ReportStatus
from bulkpull.output.ledger import Ledger, NotedFacts
from bulkpull.output.ledger_facts import MissedFacts, ScheduledReportFacts
from bulkpull.pipeline.steps.naming import earlier_fingerprint, parse_report_name, pull_fingerprint, query_digest
from bulkpull.query import normalise, parse
from bulkpull.query.render import unique_names
from bulkpull.requested_data import data_requested_by, requested_data

# The service wants four hours (behaviour 81); clocks differ, and the call takes its time.
_EARLIEST = timedelta(hours=4, minutes=15)
_A_DAY_H = 24
_LONGEST_H = 2_160
# Times come from two machines of the service, and from ours.
CLOCK_TOLERANCE = timedelta(minutes=5)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
_UNKNOWN = ScheduledReportFacts("")
LIST_UNKNOWN = (
    "the service does not tell which reports there are (the role may not list them); what is in the ledger counts, and "
    "nothing was created or deleted on a guess"
)


@dataclass(slots=True)
class ReportMemory:
    """
    The scheduled reports of one dataset in the ledger, by id.

    Attributes:
        created, adopted: Those that this folder created; those that it found and used.
        unanswered: Names of those that it created without an answer, each with the digest of its query, where noted.
        facts: The latest facts about each.
        missed: Those with an execution that did not arrive.
    """

    created: set[str] = field(default_factory=set)
    adopted: set[str] = field(default_factory=set)
    unanswered: dict[str, str | None] = field(default_factory=dict)
    facts: dict[str, ScheduledReportFacts] = field(default_factory=dict)
    missed: set[str] = field(default_factory=set)

    @property
    def ids(self) -> set[str]:
        return self.created | self.adopted

    def is_ours(self, report: Report) -> bool:
        """Whether this folder created the report, so that it may change and delete it."""
        if report.report_id in self.created:
            return True
        if report.name not in self.unanswered:
            return False
        # Another tool may use the name: only a report of the query that was sent is this folder's (case N20).
        digest = self.unanswered[report.name]
        return digest is None or (report.query_text is not None and query_digest(report.query_text) == digest)

    def facts_of(self, report_id: str) -> ScheduledReportFacts:
        """What was noted last of a report, or nothing."""
        return self.facts.get(report_id, _UNKNOWN)

    def serving(self, sha256: str) -> list[Report]:
        """The reports noted for requested data, by their hash, the last one first, as far as the ledger knows them."""
        return [
            Report(report_id, facts.name, facts.query_id or "")
            for report_id, facts in reversed(self.facts.items())
            if facts.question_sha256 in (sha256, None, "")
        ]


async def remember_reports(ledger: Ledger) -> dict[str, ReportMemory]:
    """As `read_memory`, from the ledger."""
    return read_memory(await ledger.noted(ScheduledReportFacts), await ledger.noted(MissedFacts))


def read_memory(
    scheduled: Iterable[NotedFacts[ScheduledReportFacts]], missed: Iterable[NotedFacts[MissedFacts]] = ()
) -> dict[str, ReportMemory]:
    """
    The memory of each dataset, from the ledger's facts about scheduled reports, the oldest first (pure).

    An id that follows a note of its name alone is of a report that this folder created; every other id was found. A
    later note repeats it (`own`), because the ledger forgets runs after some months (case N16).
    """
    memories: dict[str, ReportMemory] = {}
    for entry in scheduled:
        memory = memories.setdefault(entry.dataset, ReportMemory())
        facts, report_id = entry.facts, entry.facts.report_id
        if report_id is None:
            memory.unanswered[facts.name] = facts.query_digest
            continue
        if facts.own or (facts.own is None and facts.name in memory.unanswered):
            memory.created.add(report_id)
        elif report_id not in memory.created:
            memory.adopted.add(report_id)
        memory.unanswered.pop(facts.name, None)
        memory.facts.pop(report_id, None)  # keeps the order of the latest entries
        memory.facts[report_id] = facts
    for gap in missed:
        memories.setdefault(gap.dataset, ReportMemory()).missed.add(gap.facts.report_id)
    return memories


def unused_reports(
    reports: Iterable[Report], memories: Mapping[str, ReportMemory], *, used: Container[str]
) -> list[tuple[str, Report]]:
    """The scheduled reports that this folder created and no longer uses, each with its dataset (pure)."""
    by_id = {report_id: dataset for dataset, memory in memories.items() for report_id in memory.created}
    unused = [report for report in reports if report.report_id in by_id and report.report_id not in used]
    return [(by_id[report.report_id], report) for report in unused]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times that scheduled reports are compared with; `grace` is what an execution may take."""

    now: datetime
    lead_h: float
    grace: timedelta


def find_candidates(pull: Pull, reports: Iterable[Report], memory: ReportMemory) -> list[Report]:
    """
    The scheduled reports that may serve a pull, the newest first.

    Those that the ledger knows, by id or by the name of one created without an answer, and those of the same query,
    whoever made them; another query of the same dataset may serve another output folder.
    """
    known, fingerprints = memory.ids | memory.unanswered.keys(), _fingerprints_of(pull)
    found = [
        report
        for report in reports
        if report.report_id in known  # also after it was renamed
        or (
            (name := parse_report_name(report.name))
            and name.run_id is None
            and name.dataset == pull.dataset
            and (name.fingerprint in fingerprints or report.name in known)
        )
    ]
    return sorted(found, key=lambda report: report.created_at or LONG_AGO, reverse=True)


def last_due(report: Report, now: datetime) -> datetime | None:
    """When the latest execution of a scheduled report was due; `None` before the first, and where it is not known."""
    if report.start_at is None or not report.recurrence_h or report.start_at > now:
        return None
    every = timedelta(hours=report.recurrence_h)
    return report.start_at + every * ((now - report.start_at) // every)


def next_due(report: Report, now: datetime) -> datetime | None:
    """When a scheduled report is executed next; `None` where the service does not say when it began."""
    latest = last_due(report, now)
    return report.start_at if latest is None else latest + timedelta(hours=report.recurrence_h or 0)


def has_arrived(due_at: datetime, executions: Iterable[Execution]) -> bool:
    """Whether one of the completed executions is the one that was due, or a later one."""
    return any(
        execution.generated_at is None or execution.generated_at >= due_at - CLOCK_TOLERANCE for execution in executions
    )


def is_late(report: Report, executions: Iterable[Execution], *, now: datetime) -> bool:
    """Whether an execution of the report was due and is not among the completed ones."""
    due_at = last_due(report, now)
    own = [execution for execution in executions if execution.report_id == report.report_id]
    return due_at is not None and not has_arrived(due_at, own)


def first_start(now: datetime, *, lead_h: float) -> datetime:
    """When a scheduled report that is made now runs first: `lead_h` hours before the same hour tomorrow."""
    return max(now + timedelta(hours=_A_DAY_H - lead_h), now + _EARLIEST)


def recurrence_h(pull: Pull) -> int:
    """Hours between two executions of a scheduled report: a day, or the dataset's minimum (behaviour 50)."""
    return min(max(_A_DAY_H, pull.offered.minimum_recurrence_h), _LONGEST_H)


def answers(report: Report, pull: Pull, memory: ReportMemory) -> bool:
    """
    Whether the executions of a report hold the data that `pull` requests; its name does not matter.

    Its query is compared as parsed. For a query that is deleted or not shown, what the ledger noted of the report
    counts, or the mark in its name.
    """
    requested, noted = requested_data(pull), memory.facts_of(report.report_id).question_sha256 or None
    if noted is not None and noted != requested.sha256:
        return False
    if report.query_text is None:
        name = parse_report_name(report.name)
        is_marked = name is not None and name.fingerprint in _fingerprints_of(pull)
        return report.window is None and (noted is not None or is_marked)
    if data_requested_by(report.query_text, pull, window=report.window) != requested:
        return False
    # For a report without a ledger entry, only its query shows whether it has the metrics.
    if noted is not None or pull.metrics_choice is None:
        return True
    metrics = _only_metrics(pull)
    return any(name.casefold() in metrics for name in _columns_of(report.query_text)) == bool(pull.metrics)


def serves(report: Report, pull: Pull) -> bool:
    """Whether a scheduled report is active and executes the query of `pull`."""
    return unusable_reason(report, pull, memory=ReportMemory(), schedule=None) is None


def unusable_reason(report: Report, pull: Pull, *, memory: ReportMemory, schedule: Schedule | None) -> str | None:
    """Why a scheduled report does not serve a pull; `None` where it does."""
    timed = _changed_times(report, pull, memory=memory, schedule=schedule) if schedule else ()
    return next(chain(_mismatches(report, pull, memory=memory), timed), None)


def _mismatches(report: Report, pull: Pull, *, memory: ReportMemory) -> Iterator[str]:
    status = report.status.casefold()
    if status == ReportStatus.PAUSED.casefold():
        yield "it was paused"
    if status != ReportStatus.ACTIVE.casefold():
        yield f"it has ended (its status is {report.status})"
    if report.query_text is None:
        yield "its query was deleted"
    elif report.window is not None:
        yield "it asks for other days"
    elif not _is_same_query(report.query_text, pull):
        yield "its query or its columns have changed"
    if not answers(report, pull, memory):
        yield "it was made for another question"


def _changed_times(report: Report, pull: Pull, *, memory: ReportMemory, schedule: Schedule) -> Iterator[str]:
    every_h, lead_h = recurrence_h(pull), memory.facts_of(report.report_id).lead_h
    if report.recurrence_h is not None and report.recurrence_h > every_h:
        yield f"it was changed to run every {report.recurrence_h} hours"
    if report.start_at is None:
        return
    if report.start_at > schedule.now + timedelta(hours=every_h) + CLOCK_TOLERANCE:
        yield f"it was changed to run from {iso_utc(report.start_at)} on"
    if lead_h is not None and lead_h != schedule.lead_h:
        yield f"`standing_lead_hours` was changed from {lead_h:g} to {schedule.lead_h:g}"


def as_executed(pull: Pull, report: Report) -> Pull:
    """The pull with the query that the report executes, which may be older than today's columns."""
    if report.query_text is None or _is_same_query(report.query_text, pull):
        return pull
    columns = _columns_of(report.query_text)
    if not columns:
        return pull
    taken, only_metrics = {name.casefold() for name in columns}, _only_metrics(pull)
    metrics = tuple(name for name in columns if name.casefold() in only_metrics)
    left_out = tuple(name for name in unique_names(pull.offered.metrics) if name.casefold() not in taken)
    return replace(pull, query_text=report.query_text, columns=columns, metrics=metrics, metrics_left_out=left_out)


def _fingerprints_of(pull: Pull) -> set[str]:
    return {pull_fingerprint(pull), earlier_fingerprint(pull)}


def _only_metrics(pull: Pull) -> set[str]:
    return {name.casefold() for name in pull.offered.metrics} - {name.casefold() for name in pull.offered.columns}


def _columns_of(query_text: str) -> tuple[str, ...]:
    """The columns that a query of ours names; none when it is not understood."""
    try:
        return tuple(name.text for name in parse(query_text).names)
    except BulkpullError:
        return ()


def _is_same_query(text: str, pull: Pull) -> bool:
    return normalise(text) == normalise(pull.query_text)
