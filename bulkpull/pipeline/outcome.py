"""Records the outcome of each dataset in its manifest record (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from bulkpull.catalog import Catalog
from bulkpull.clock import iso_utc
from bulkpull.errors import AccessDenied, AuthError, BulkpullError, HeldBack, Unchanged
from bulkpull.model import Pull
from bulkpull.output.manifest import DatasetRecord, DatasetStatus, RunStatus, status_of
from bulkpull.pipeline.plan import Unavailable
from bulkpull.question import question_of

# Fields that describe the question behind the data.
LABELS = ("query", "timespan", "window", "question", "question_sha256")
# Fields that a skipped dataset copies from the current snapshot, besides the labels.
_OF_THE_SNAPSHOT = (
    "rows", "rows_before", "files", "columns", "metrics", "metrics_left_out", "content_hash", "stored_md5",
    "downloaded_bytes", "vouched_by",
)  # fmt: skip
_IDS = ("query_id", "report_id", "execution_id")


def pending_record(pull: Pull, *, named: bool) -> DatasetRecord:
    """The initial record of a pull; its status is `failed` until the pull succeeds."""
    record = DatasetRecord(
        dataset=pull.dataset,
        status="failed",
        wider_timespan=pull.wider_timespan,
        source=pull.source,
        notes=list(pull.notes),
        named=named or bool(pull.source),
    )
    record_query(record, pull)
    return record


def record_query(record: DatasetRecord, pull: Pull) -> None:
    """Write the query of `pull`, which may differ from the planned one, and its question into the record."""
    question = question_of(pull)
    record.query = pull.query_text
    record.question, record.question_sha256 = question.as_dict(), question.sha256
    record.timespan, record.window = question.span, question.window_as_dict
    if pull.keeps_history and pull.window is not None:
        record.window = {"start": iso_utc(pull.window.start), "end": iso_utc(pull.window.end)}
    record.metrics, record.metrics_left_out = list(pull.metrics), list(pull.metrics_left_out)


def unavailable_record(missing: Unavailable) -> DatasetRecord:
    """The record of an unavailable dataset."""
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
    """The record of a dataset, or of a selection from `source`, where the service could not even be asked."""
    known = catalog.find(name)
    return DatasetRecord(
        dataset=known.name if known else name.strip(),
        status="failed",
        reason=error.reason,
        source=source,
        error=_as_role_problem(error),
    )


def record_error(record: DatasetRecord, error: Exception) -> None:
    """Write an error into the record; of several errors from parallel parts only the first."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if record.status == "complete":  # visible to readers: a later error becomes a note only
        reason = error.reason if isinstance(error, BulkpullError) else f"{type(error).__name__}: {error}"
        record.notes.append(f"published; what went wrong afterwards: {reason}")
        return
    if isinstance(error, Unchanged):
        record.status, record.reason = "skipped", error.reason
    elif isinstance(error, BulkpullError):
        # Steps know reports and files, not datasets.
        is_named = error.reason.startswith(f"{record.dataset}:")
        record.reason = error.reason if is_named else f"{record.dataset}: {error.reason}"
        record.status = "unavailable" if isinstance(error, AccessDenied) else "failed"
        record.error = error
        record.held_back = isinstance(error, HeldBack)
    else:
        fault = BulkpullError(
            f"{record.dataset}: an unexpected error ({type(error).__name__})",
            why=str(error) or None,
            fix="this is a defect in bulkpull: run again with `--log-level debug` and report it",
        )
        record.status, record.reason, record.error = "failed", fault.reason, fault


def copy_published(record: DatasetRecord, published: DatasetRecord | None, *, is_submitted: bool = False) -> None:
    """
    A skipped dataset carries the rows, the files and the ids of the snapshot that stays current (contract, section 4).

    Args:
        is_submitted: Its ids are those of the report that was ordered, which a later run collects.
    """
    if published is None:
        return
    for name in LABELS:
        setattr(record, name, getattr(published, name))
    for name in ("generated_at", "unbelieved_at", "data_redacted"):
        if getattr(record, name) in (None, False):
            setattr(record, name, getattr(published, name))
    for name in _OF_THE_SNAPSHOT if is_submitted else (*_OF_THE_SNAPSHOT, *_IDS):
        setattr(record, name, getattr(published, name))


def run_status(records: Sequence[DatasetRecord]) -> RunStatus:
    """
    The status of the run.

    Where every dataset that the service offers is refused, the role is missing altogether: a failure, exit status 4.
    """
    for record in records:
        if record.status == "failed" and record.reason is None:
            record.reason = f"{record.dataset}: interrupted; run the same command again to carry on"
    offered = [record for record in records if record.status != "unavailable" or record.error is not None]
    if offered and all(isinstance(record.error, AccessDenied) for record in offered):
        for record in offered:
            record.status, record.error = "failed", _as_role_problem(record.error)
    return status_of(list(records))


def _as_role_problem(error: BulkpullError | None) -> BulkpullError | None:
    if isinstance(error, AccessDenied):
        return AuthError(error.what, why=error.why, fix=error.fix)
    return error
