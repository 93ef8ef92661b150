"""The outcome of each dataset, and the one function that makes its manifest record from it (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bulkpull.catalog import Catalog
from bulkpull.errors import AccessDenied, AuthError, BulkpullError, HeldBack, Unchanged
from bulkpull.model import Pull
from bulkpull.output.manifest import (
    DatasetRecord,
    DatasetStatus,
    DecisionRecord,
    Drift,
    PublishedFile,
    RunStatus,
    Seconds,
    status_of,
)
from bulkpull.pipeline.plan import Unavailable
from bulkpull.snapshot_question import question_of

if TYPE_CHECKING:  # a run without news needs neither it nor what converts files
    from bulkpull.pipeline.publication.snapshot_facts import SnapshotFacts

# Fields that a skipped dataset copies from the snapshot that stays current (contract, section 4).
_QUESTION = ("query", "timespan", "window", "question", "question_sha256")
_SNAPSHOT = (
    "rows", "rows_before", "files", "columns", "metrics", "metrics_left_out", "content_hash", "stored_md5",
    "downloaded_bytes", "vouched_by",
)  # fmt: skip
_IDS = ("query_id", "report_id", "execution_id")
# Fields that it copies only where the run found nothing newer.
_IF_UNKNOWN = ("generated_at", "unbelieved_at", "data_redacted")


@dataclass(frozen=True, slots=True)
class ServiceIds:
    """Which query, report and execution the data come from, as far as a pull has got."""

    query_id: str | None = None
    report_id: str | None = None
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class ExportOutcome:
    """
    How far the export of a dataset has got.

    Attributes:
        pull: With the query that was used, which may differ from the planned one.
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

    @property
    def is_published(self) -> bool:
        """Whether readers see the snapshot."""
        return self.files is not None


@dataclass(frozen=True, slots=True)
class DatasetOutcome:
    """
    The outcome of one dataset.

    Attributes:
        due_at: When an execution of its scheduled report was due that has not come.
        next_due_at: When the next execution of its scheduled report is due.
        export: `None` where nothing was fetched or ordered.
        generated_at: When the data were made that the service offers and that are published already.
        skipped: The reason why nothing was fetched.
        is_submitted: Its reports were ordered for a later run to collect.
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
    def is_required(self) -> bool:
        """Whether the run is not complete without it: the user named it, or asked for a custom query."""
        return self.named or bool(self.pull.source)

    @property
    def is_pending(self) -> bool:
        """Whether it has not ended."""
        is_published = self.export is not None and self.export.is_published
        return self.error is None and self.skipped is None and not is_published


def dataset_record(outcome: DatasetOutcome) -> DatasetRecord:
    """The manifest record of an outcome; `failed` without a reason while the dataset is pending."""
    export = outcome.export or ExportOutcome(outcome.pull)
    values = {
        "dataset": outcome.pull.dataset,
        "wider_timespan": outcome.pull.wider_timespan,
        "source": outcome.pull.source,
        "named": outcome.is_required,
        "decision": outcome.decision,
        "due_at": outcome.due_at,
        "next_due_at": outcome.next_due_at,
        "query_id": export.ids.query_id,
        "report_id": export.ids.report_id,
        "execution_id": export.ids.execution_id,
        "data_redacted": export.data_redacted,
        "seconds": export.seconds,
        "drift": export.drift,
        "rows_before": export.rows_before,
        **_query_fields(export.pull),
        **_snapshot_fields(export),
    }
    if outcome.generated_at is not None:
        values["generated_at"] = outcome.generated_at
    notes = [*outcome.pull.notes, *outcome.notes, *export.notes]
    ending = _ending(outcome, is_published=export.is_published, notes=notes)
    if ending["status"] == "skipped" and outcome.held_by is not None:
        publish = f"`bulkpull runs publish {outcome.held_by} {outcome.pull.dataset}` publishes them"
        notes.append(f"run {outcome.held_by} fetched newer data and held them back: {publish}")
    if ending["status"] == "skipped" and outcome.current is not None:
        values |= _current_fields(outcome, values)
    return DatasetRecord.model_validate({**values, **ending, "notes": notes})


def _query_fields(pull: Pull) -> dict[str, Any]:
    """The query of a pull, and its question."""
    question = question_of(pull)
    return {
        "query": pull.query_text,
        "question": question.as_dict(),
        "question_sha256": question.sha256,
        "timespan": question.span,
        "window": pull.window,
        "metrics": list(pull.metrics),
        "metrics_left_out": list(pull.metrics_left_out),
    }


def _snapshot_fields(export: ExportOutcome) -> dict[str, Any]:
    """The facts about the snapshot, under their own names; its rows only once it is published."""
    if export.snapshot is None:
        return {}
    facts = {fact.name: getattr(export.snapshot, fact.name) for fact in fields(export.snapshot)}
    del facts["notes"]  # the export has them among its own
    if export.files is None:
        del facts["rows"]
        return facts
    return facts | {"files": export.files}


def _current_fields(outcome: DatasetOutcome, found: Mapping[str, Any]) -> dict[str, Any]:
    """A skipped dataset describes the snapshot that stays current; the ids of an ordered report stay its own."""
    unknown = [name for name in _IF_UNKNOWN if found.get(name) in (None, False)]
    names = (*_QUESTION, *unknown, *_SNAPSHOT, *(() if outcome.is_submitted else _IDS))
    return {name: getattr(outcome.current, name) for name in names}


def _ending(outcome: DatasetOutcome, *, is_published: bool, notes: list[str]) -> dict[str, Any]:
    """Status, reason and error; an error after the publication adds a note only."""
    error = outcome.error
    while isinstance(error, ExceptionGroup):  # of several errors of parallel windows the first
        error = error.exceptions[0]
    if is_published:
        if error is not None:
            reason = error.reason if isinstance(error, BulkpullError) else f"{type(error).__name__}: {error}"
            notes.append(f"published; what went wrong afterwards: {reason}")
        return {"status": "complete"}
    if error is None:
        return {"status": "failed" if outcome.skipped is None else "skipped", "reason": outcome.skipped}
    if isinstance(error, Unchanged):
        return {"status": "skipped", "reason": error.reason}
    return _failure(outcome.pull.dataset, error)


def _failure(dataset: str, error: Exception) -> dict[str, Any]:
    if not isinstance(error, BulkpullError):
        error = BulkpullError(
            f"{dataset}: an unexpected error ({type(error).__name__})",
            why=str(error) or None,
            fix="this is a defect in bulkpull: run again with `--log-level debug` and report it",
        )
    # Steps know reports and files, not datasets.
    reason = error.reason if error.reason.startswith(f"{dataset}:") else f"{dataset}: {error.reason}"
    return {
        "status": "unavailable" if isinstance(error, AccessDenied) else "failed",
        "reason": reason,
        "error": error,
        "held_back": isinstance(error, HeldBack),
    }


def unavailable_record(missing: Unavailable) -> DatasetRecord:
    status: DatasetStatus = "failed" if missing.failed else "unavailable"
    return DatasetRecord(
        dataset=missing.dataset,
        status=status,
        reason=missing.reason,
        source=missing.source,
        named=missing.named,
        error=missing.error if isinstance(missing.error, AuthError) else None,
    )


def failed_record(name: str, error: BulkpullError, *, source: str | None, catalog: Catalog) -> DatasetRecord:
    """The record of a dataset, or of a custom query of `source`, where the service could not even be asked."""
    return DatasetRecord(
        dataset=catalog.canonical(name),
        status="failed",
        reason=error.reason,
        source=source,
        error=_as_role_problem(error),
    )


def with_notes(record: DatasetRecord, notes: Iterable[str]) -> DatasetRecord:
    """The same record with further notes."""
    added = list(notes)
    return record.model_copy(update={"notes": [*record.notes, *added]}) if added else record


def finish_records(records: Iterable[DatasetRecord]) -> tuple[list[DatasetRecord], RunStatus]:
    """
    The records as they are when the run ends, and its status.

    A pending dataset was interrupted. If the service refuses every dataset that it offers, the role is missing: a
    failure, exit status 4.
    """
    finished = [_as_interrupted(record) for record in records]
    offered = [record for record in finished if record.status != "unavailable" or record.error is not None]
    if offered and all(isinstance(record.error, AccessDenied) for record in offered):
        finished = [_as_refused(record) if record.error is not None else record for record in finished]
    return finished, status_of(finished)


def _as_interrupted(record: DatasetRecord) -> DatasetRecord:
    if record.status != "failed" or record.reason is not None:
        return record
    reason = f"{record.dataset}: interrupted; run the same command again to resume"
    return record.model_copy(update={"reason": reason})


def _as_refused(record: DatasetRecord) -> DatasetRecord:
    return record.model_copy(update={"status": "failed", "error": _as_role_problem(record.error)})


def _as_role_problem(error: BulkpullError | None) -> BulkpullError | None:
    if isinstance(error, AccessDenied):
        return AuthError(error.what, why=error.why, fix=error.fix)
    return error
