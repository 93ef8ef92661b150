"""
When a one-off report of ours may be deleted on the service: one table (case C11).

A run waits longest for its reports, and the service's quota may not allow another one today, so the table is short. Any
other failure keeps the report: no network, a busy host, a refused link, a damaged file, a crashed conversion process, a
full disk, data that are held back. The next run reuses such a report; one that no run has used for a day is deleted
then (`earlier_work`).
"""

from __future__ import annotations

from bulkpull.errors import (
    AuthError,
    BulkpullError,
    ExecutionFailed,
    ExecutionOverdue,
    FileDamaged,
    FileGone,
    ReportingError,
    ReportLost,
    TransferError,
    Unchanged,
)

_OF_NO_USE = (
    Unchanged,  # its data are already published
    ExecutionFailed,  # the service says that it failed
    ExecutionOverdue,  # it was not ready within `report_timeout_seconds`
    ReportLost,  # the service does not know it, or its query, any more
    FileGone,  # the service has removed its file, also after repeated checks
)


def may_delete_report(error: BulkpullError | None) -> bool:
    """Whether a report may be deleted whose dataset ended with this error; `None`: published and durable."""
    return error is None or isinstance(error, _OF_NO_USE)


def is_worth_resuming(error: BulkpullError | None) -> bool:
    """Whether what was downloaded before this fault is still good: the report stays, and the bytes are undamaged."""
    is_passing = isinstance(error, TransferError | ReportingError | AuthError)
    return is_passing and not isinstance(error, FileDamaged) and not may_delete_report(error)
