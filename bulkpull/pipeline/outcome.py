"""The outcome of each dataset and of the run, and the one function that makes a manifest record from it (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bulkpull.catalog import load_catalog
from bulkpull.errors import (
    AccessDenied,
    AuthError,
    BulkpullError,
    ConverterDied,
    DiskTrouble,
    HeldBack,
    LedgerError,
    RunOverdue,
    Unchanged,
)
from bulkpull.model import Pull
from bulkpull.observability.failures import SUBMITTED, status_for_people
from bulkpull.output.manifest import DatasetRecord, DecisionRecord, Drift, PublishedFile, RunStatus, Seconds, status_of
from bulkpull.pipeline.plan import Unavailable
from bulkpull.pipeline.request import ExportRequest
from bulkpull.requested_data import requested_data

if TYPE_CHECKING:  # a run without news needs neither it nor what converts files
    from bulkpull.pipeline.publication.snapshot_facts import SnapshotFacts

# Fields that a skipped dataset copies from the snapshot that stays current (contract, section 4).
_REQUESTED = ("query", "timespan", "window", "question", "question_sha256")
_SNAPSHOT = (
    "rows", "rows_before", "files", "columns", "metrics", "metrics_left_out", "content_hash", "stored_md5",
    "downloaded_bytes", "vouched_by",
)  # fmt: skip
_IDS = ("query_id", "report_id", "execution_id")
# Fields that it copies only where the run found nothing newer.
_IF_UNKNOWN = ("generated_at", "unbelieved_at", "data_redacted")
# After these errors the fetched data are good: the error was local, the time was over, or publishing was refused.
_DATA_ARE_GOOD = DiskTrouble | LedgerError | ConverterDied | RunOverdue | HeldBack


@dataclass(frozen=True, slots=True)
class ServiceIds:
    """Which query, report and execution the data come from, as far as a pull has got."""

    query_id: str | None = None
    report_id: str | None = None
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class ExportOutcome:
    """
    How far the export of a dataset has got; `pull` has the query that was used, which may differ from the planned one.

    Attributes:
        drift: How the columns differ from the snapshot before; `None` where they do not, or are not known yet.
        rows_before: Rows of the snapshot before, where this one has noticeably fewer.
        files: The published files; `None` while readers cannot see the snapshot.
    """

    pull: Pull
    ids: ServiceIds = ServiceIds()
    data_redacted: bool = False
    seconds: Seconds = field(default_factory=Seconds)
    notes: tuple[str, ...] = ()
    snapshot: SnapshotFacts | None = None
    drift: Drift | None = None
    rows_before: int | None = None
    files: tuple[PublishedFile, ...] | None = None


@dataclass(frozen=True, slots=True)
class DatasetOutcome:
    """
    The outcome of one dataset.

    Attributes:
        named: The run is not complete without it: the user named it, or asked for a custom query.
        due_at, next_due_at: When an execution of its scheduled report was due that has not come, and is due next.
        export: `None` where nothing was fetched and no report created.
        generated_at: When the data were made that the service offers and that are published already.
        skipped: The reason why nothing was fetched.
        is_submitted: Its reports were created for a later run to collect.
        current: The snapshot that stays current where the dataset is skipped.
        held_by: The earlier run that fetched newer data than `current` and held them back.
        error: The error that ended it. Without an error, `skipped` or published files, it was interrupted.
    """

    pull: Pull
    named: bool = False
    notes: tuple[str, ...] = ()
    decision: DecisionRecord | None = None
    due_at: datetime | None = None
    next_due_at: datetime | None = None
    export: ExportOutcome | None = None
    generated_at: datetime | None = None
    skipped: str | None = None
    is_submitted: bool = False
    current: DatasetRecord | None = None
    held_by: str | None = None
    error: Exception | None = None

    @property
    def is_published(self) -> bool:
        """Whether readers see the snapshot."""
        return self.export is not None and self.export.files is not None

    @property
    def is_pending(self) -> bool:
        return self.error is None and self.skipped is None and not self.is_published


@dataclass(frozen=True, slots=True)
class UndeletedReport:
    """A report of ours that could not be deleted; `dataset` is `None` where it belongs to none of this run."""

    dataset: str | None
    note: str


@dataclass(slots=True)
class RunResults:
    """Collects the outcomes of a run; `refused` are the datasets that cannot be written."""

    notes: list[str] = field(default_factory=list)
    undeleted: list[UndeletedReport] = field(default_factory=list)
    refused: Mapping[str, DiskTrouble] = field(default_factory=dict)
    _datasets: dict[str, DatasetOutcome | DatasetRecord] = field(default_factory=dict)

    def put(self, result: DatasetOutcome | DatasetRecord) -> None:
        """Set the outcome of a dataset; a record is final."""
        name = result.dataset if isinstance(result, DatasetRecord) else result.pull.dataset
        self._datasets[name] = result

    def record(self, dataset: str) -> DatasetRecord:
        """The manifest record of a dataset as it is now."""
        result = self._datasets[dataset]
        return result if isinstance(result, DatasetRecord) else dataset_record(result)

    def outcome(self, dataset: str) -> DatasetOutcome:
        """The outcome of a dataset that this run pulls."""
        result = self._datasets[dataset]
        assert isinstance(result, DatasetOutcome)
        return result

    def put_unavailable(self, missing: Unavailable) -> None:
        """Record why a dataset of the plan cannot be pulled."""
        self.put(
            DatasetRecord(
                **_fields(missing, "dataset", "reason", "source", "named"),
                status="failed" if missing.failed else "unavailable",
                error=missing.error if isinstance(missing.error, AuthError) else None,
            )
        )

    def fail_all(self, error: BulkpullError, request: ExportRequest) -> None:
        """Fail every requested dataset, after an error before the first one was begun."""
        reads, error = {selection.name: selection.reads for selection in request.selections}, _as_role_problem(error)
        for name in request.names:
            dataset, source = load_catalog().canonical(name), reads.get(name)
            self.put(DatasetRecord(dataset=dataset, status="failed", reason=error.reason, source=source, error=error))

    def end_overdue(self, *, limit_s: float, request: ExportRequest) -> None:
        """Record the exceeded time limit for every unfinished dataset."""
        why = f"`run_timeout_seconds` ({limit_s:,.0f} s) is over"
        self.notes.append(f"the run ended because {why}; the same command resumes")
        if not self._datasets:
            self.fail_all(RunOverdue("the run had not created any report", why=why), request)
        for result in list(self._datasets.values()):
            if isinstance(result, DatasetOutcome) and result.is_pending:
                self.put(replace(result, error=RunOverdue("not finished", why=why)))

    @property
    def is_to_be_resumed(self) -> bool:
        """Whether a dataset failed whose fetched data are good."""
        left = [dataset for dataset in self._datasets if dataset not in self.refused]
        return any(isinstance(self.record(dataset).error, _DATA_ARE_GOOD) for dataset in left)

    def finish(self) -> tuple[list[DatasetRecord], RunStatus]:
        """The records as they are when the run ends, and its status."""
        self.notes += [report.note for report in self.undeleted if report.dataset is None]
        return finish_records(
            with_notes(self.record(dataset), [report.note for report in self.undeleted if report.dataset == dataset])
            for dataset in self._datasets
        )

    def count(self, records: Iterable[DatasetRecord], *, interrupted: bool) -> dict[str, int]:
        """How many datasets ended with which status; `submitted` and `unfinished` count by themselves."""
        statuses: Counter[str] = Counter()
        for record in records:
            result = self._datasets[record.dataset]
            is_submitted = isinstance(result, DatasetOutcome) and result.is_submitted
            statuses[SUBMITTED if is_submitted else status_for_people(record, interrupted=interrupted)] += 1
        return dict(statuses)


def dataset_record(outcome: DatasetOutcome) -> DatasetRecord:
    """The manifest record of an outcome; `failed` without a reason while the dataset is pending."""
    export = outcome.export or ExportOutcome(outcome.pull)
    requested = requested_data(export.pull)
    values = {
        **_fields(outcome.pull, "dataset", "wider_timespan", "source"),
        **_fields(outcome, "named", "decision", "due_at", "next_due_at"),
        **_fields(export, "data_redacted", "seconds", "drift", "rows_before"),
        **_fields(export.ids, *_IDS),
        **_fields(export.pull, "window", "metrics", "metrics_left_out"),
        "query": export.pull.query_text,
        "question": requested.as_dict(),
        "question_sha256": requested.sha256,
        "timespan": requested.span,
        **_snapshot_fields(export),
    }
    if outcome.generated_at is not None:
        values["generated_at"] = outcome.generated_at
    notes = [*outcome.pull.notes, *outcome.notes, *export.notes]
    ending = _ending(outcome, notes=notes)
    if ending["status"] == "skipped" and outcome.held_by is not None:
        publish = f"`bulkpull runs publish {outcome.held_by} {outcome.pull.dataset}` publishes them"
        notes.append(f"run {outcome.held_by} fetched newer data and held them back: {publish}")
    if ending["status"] == "skipped" and outcome.current is not None:
        # It describes the snapshot that stays current; the ids of a created report stay its own.
        unknown = [name for name in _IF_UNKNOWN if values.get(name) in (None, False)]
        values |= _fields(outcome.current, *_REQUESTED, *unknown, *_SNAPSHOT, *(() if outcome.is_submitted else _IDS))
    return DatasetRecord.model_validate({**values, **ending, "notes": notes})


def _fields(source: object, *names: str) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names}


def _snapshot_fields(export: ExportOutcome) -> dict[str, Any]:
    """The facts about the snapshot; its rows only once it is published."""
    if export.snapshot is None:
        return {}
    names = {fact.name for fact in fields(export.snapshot)} - {"notes"}  # the export has them among its own
    if export.files is None:
        return _fields(export.snapshot, *(names - {"rows"}))
    return _fields(export.snapshot, *names) | {"files": export.files}


def _ending(outcome: DatasetOutcome, *, notes: list[str]) -> dict[str, Any]:
    """Status, reason and error; an error after the publication adds a note only."""
    dataset, error = outcome.pull.dataset, outcome.error
    while isinstance(error, ExceptionGroup):  # of several errors of parallel windows the first
        error = error.exceptions[0]
    if outcome.is_published:
        if error is not None:
            reason = error.reason if isinstance(error, BulkpullError) else f"{type(error).__name__}: {error}"
            notes.append(f"published; what went wrong afterwards: {reason}")
        return {"status": "complete"}
    if error is None:
        return {"status": "failed" if outcome.skipped is None else "skipped", "reason": outcome.skipped}
    if isinstance(error, Unchanged):
        return {"status": "skipped", "reason": error.reason}
    if not isinstance(error, BulkpullError):
        error = BulkpullError(
            f"{dataset}: an unexpected error ({type(error).__name__})",
            why=str(error) or None,
            fix="this is a defect in bulkpull: run again with `--log-level debug` and report it",
        )
    return {
        "status": "unavailable" if isinstance(error, AccessDenied) else "failed",
        # Steps know reports and files, not datasets.
        "reason": error.reason if error.reason.startswith(f"{dataset}:") else f"{dataset}: {error.reason}",
        "error": error,
        "held_back": isinstance(error, HeldBack),
    }


def with_notes(record: DatasetRecord, notes: list[str]) -> DatasetRecord:
    return record.model_copy(update={"notes": [*record.notes, *notes]}) if notes else record


def finish_records(records: Iterable[DatasetRecord]) -> tuple[list[DatasetRecord], RunStatus]:
    """
    The records as they are when the run ends, and its status.

    A pending dataset was interrupted. If the service refuses every dataset that it offers, the role is missing: a
    failure, exit status 4.
    """
    finished: list[DatasetRecord] = []
    for record in records:
        is_interrupted = record.status == "failed" and record.reason is None
        reason = f"{record.dataset}: interrupted; run the same command again to resume"
        finished.append(record.model_copy(update={"reason": reason}) if is_interrupted else record)
    offered = [record for record in finished if record.status != "unavailable" or record.error is not None]
    if offered and all(isinstance(record.error, AccessDenied) for record in offered):
        finished = [
            record.model_copy(update={"status": "failed", "error": _as_role_problem(record.error)})
            if record.error is not None
            else record
            for record in finished
        ]
    return finished, status_of(finished)


def _as_role_problem(error: BulkpullError) -> BulkpullError:
    return AuthError(error.what, why=error.why, fix=error.fix) if isinstance(error, AccessDenied) else error
