"""
Everything that can go wrong, as one tree.

    BulkpullError
    ├── SettingsError            a setting, an option or a dataset's name is wrong            (exit 2)
    │   └── QueryError             a query is not what the service understands or offers
    ├── AuthError                credentials are missing, refused, or lack the role           (exit 4)
    ├── OutputLocked             another run is writing to the same output folder             (exit 5)
    ├── ReportingError           the service answered, and the answer is no
    │   ├── RequestRejected        400: the request itself is at fault; repeating it cannot help
    │   │   └── QuotaExceeded        400 as well, but it passes with time or after a clean-up
    │   ├── AccessDenied           403: the role or the program does not allow it
    │   ├── NotFound               404: nothing matches (for executions: nothing yet)
    │   ├── Throttled              429: asked too often
    │   ├── ServiceTrouble         5xx: the service's own fault
    │   ├── UnexpectedReply        an answer that is not understood is never guessed at
    │   ├── ReportLost             the report, or the query under it, is gone from the service
    │   ├── ExecutionFailed        the service gave up on this execution
    │   └── ExecutionOverdue       it was not ready before the deadline
    ├── TransferError            bytes did not arrive, or not as they should
    │   ├── NotConnected           nothing was sent
    │   ├── AnswerLost             the request was sent, and no whole answer came back
    │   ├── TlsRefused             the other side's certificate cannot be trusted
    │   ├── UnsafeAddress          an address that credentials or data must not go to
    │   ├── LinkExpired            the secure link is no longer valid: ask for a fresh one
    │   ├── FileGone               the stored file does not exist any more
    │   ├── StorageTrouble         the storage host is busy or at fault
    │   └── FileDamaged            length, MD5 or gzip say that the bytes are not the file
    ├── ConversionError          the file is not what was asked for, or cannot be converted
    │   ├── NotTheReport           wrong header, wrong number of fields, wrong encoding, an error page
    │   ├── TooLarge               more unpacked bytes than allowed
    │   └── ConverterDied          the converting process ended without an answer
    ├── HeldBack                 the data arrived, but publishing it would hurt: `on_shrink`, `on_drift`, redaction
    ├── DiskTrouble              no room, no permission, no such folder
    └── LedgerError              the run ledger cannot be read or written

Catch the base class to print one clear sentence::

    try:
        manifest = await bulkpull.export(output="data")
    except bulkpull.BulkpullError as error:
        print(error)
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from bulkpull.redact import printable, redact

# How much of a long query is shown around the place at fault, characters.
_EXCERPT_BEFORE, _EXCERPT_WIDTH = 50, 90


class Step(StrEnum):
    """The six steps of a pull, in their order."""

    PLAN = "plan"
    SUBMIT = "submit"
    POLL = "poll"
    DOWNLOAD = "download"
    CONVERT = "convert"
    PUBLISH = "publish"


class BulkpullError(Exception):
    """
    The base of every error that this package raises on purpose.

    Args:
        what: What happened, and to which dataset, setting or address.
        why: The cause, as far as it is known.
        fix: What a person can do next; written so that it can follow a semicolon.

    Secrets are removed and control characters are escaped before the text is kept, whatever the caller passed.
    """

    exit_code: ClassVar[int] = 1
    restart_from: ClassVar[Step | None] = None
    """The step to go back to; `None` where trying again cannot help."""

    @property
    def excerpt(self) -> str | None:
        """Lines that point at the place of the fault in what was given; `None` where there is no such place."""
        return None

    def __init__(self, what: str, *, why: str | None = None, fix: str | None = None) -> None:
        self.what = printable(what)
        self.why = printable(why) if why else None
        self.fix = printable(fix) if fix else None
        super().__init__(self.reason)

    @property
    def reason(self) -> str:
        """One sentence that a person can act on."""
        told = self.what if not self.why else f"{self.what}: {self.why}"
        return told if not self.fix else f"{told}; {self.fix}"

    def __str__(self) -> str:
        return self.reason

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross the border of the converting process by pickle, which would otherwise call the subclass
        # with one positional argument and lose `why` and `fix`.
        return _rebuild, (type(self), self.__dict__.copy(), self.reason)


def _rebuild(kind: type[BulkpullError], state: dict[str, object], reason: str) -> BulkpullError:
    error = kind.__new__(kind, reason)
    error.args = (reason,)
    error.__dict__.update(state)
    return error


class _WithPause(BulkpullError):
    """
    The other side may say how long to wait.

    Args:
        retry_after_s: The pause that it asked for, seconds; `None` when it named none.
    """

    def __init__(
        self, what: str, *, retry_after_s: float | None = None, why: str | None = None, fix: str | None = None
    ) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(what, why=why, fix=fix)


class SettingsError(BulkpullError):
    """A setting, an option or a dataset's name is wrong; nothing was started."""

    exit_code = 2


class QueryError(SettingsError):
    """
    A query is not what the service understands or offers; it was not sent.

    Args:
        text: The query, or the part of it that was given.
        at: Where the fault is, in characters from 0.
        length: How many characters are at fault.
    """

    def __init__(
        self, what: str, *, text: str = "", at: int = 0, length: int = 1, why: str | None = None, fix: str | None = None
    ) -> None:
        self.text, self.at, self.length = text, at, length
        super().__init__(what, why=why, fix=fix)

    @property
    def excerpt(self) -> str | None:
        """
        Two lines: the text around the place, and marks under it.

        `None` when there is no text, or when a secret would have to be taken out of it.
        """
        start = self.text.rfind("\n", 0, self.at) + 1
        line = self.text[start:].partition("\n")[0].rstrip()
        if not line or redact(line) != line:
            return None
        place = self.at - start
        cut = max(0, place - _EXCERPT_BEFORE) if len(line) > _EXCERPT_WIDTH else 0
        shown = "".join(letter if letter.isprintable() else " " for letter in line[cut : cut + _EXCERPT_WIDTH])
        lead, tail = "…" if cut else "", "…" if cut + _EXCERPT_WIDTH < len(line) else ""
        marks = "^" * max(1, min(self.length, len(shown) - place + cut))
        return f"{lead}{shown}{tail}\n{' ' * (len(lead) + place - cut)}{marks}"


class AuthError(BulkpullError):
    """Credentials are missing, were refused, or lack the role."""

    exit_code = 4


class OutputLocked(BulkpullError):
    """Another run is writing to the same output folder."""

    exit_code = 5


class ReportingError(BulkpullError):
    """The service answered, and the answer is no."""


class RequestRejected(ReportingError):
    """
    The service refused the request itself (400); repeating it cannot help.

    Source: behaviours 42, 43 and 73.
    """


class QuotaExceeded(RequestRejected):
    """
    A quota refused the request (400); it passes with time or after a clean-up.

    Args:
        kind: `one_off` (behaviour 85), `active_reports` (86) or `queries` (72).
        limit: How many the service allows, when its words tell it.
    """

    def __init__(
        self, what: str, *, kind: str, limit: int | None = None, why: str | None = None, fix: str | None = None
    ) -> None:
        self.kind, self.limit = kind, limit
        super().__init__(what, why=why, fix=fix)


class AccessDenied(ReportingError):
    """The role or the program does not allow this (403); not repeated. Source: behaviour 26."""


class NotFound(ReportingError):
    """Nothing matches the filter (404); for executions it means "nothing yet". Source: behaviours 74, 102 to 105."""


class Throttled(_WithPause, ReportingError):
    """The service asked for a pause (429), and longer than this run may wait, or too many times in a row."""


class ServiceTrouble(_WithPause, ReportingError):
    """The service reports a fault of its own (5xx); a request that creates something may have acted all the same."""


class UnexpectedReply(ReportingError):
    """The reply is not what the service is known to send: HTML, cut JSON, a missing id. It is never guessed at."""


class ReportLost(ReportingError):
    """The report, or the query under it, is gone from the service; it has to be created anew."""

    restart_from = Step.SUBMIT


class ExecutionFailed(ReportingError):
    """The service gave up on this execution. Source: behaviours 109 and 110."""

    restart_from = Step.SUBMIT


class ExecutionOverdue(ReportingError):
    """The report was not ready before the deadline. Source: behaviour 109: a failed generation looks like waiting."""

    restart_from = Step.SUBMIT


class TransferError(BulkpullError):
    """Bytes did not arrive, or not as they should."""


class NotConnected(TransferError):
    """No connection came about, so nothing was sent and nothing was done at the other side."""


class AnswerLost(TransferError):
    """The request was sent and no whole answer came back; the other side may or may not have acted."""


class TlsRefused(TransferError):
    """The other side's certificate cannot be trusted; never repeated and never ignored."""


class UnsafeAddress(TransferError):
    """An address that credentials or data must not go to: plain http off loopback, another scheme, another origin."""


class LinkExpired(TransferError):
    """The secure link is no longer valid; a fresh one comes with the execution. Source: behaviour 124."""

    restart_from = Step.POLL


class FileGone(TransferError):
    """The stored file does not exist any more (404, 410). Source: behaviour 133."""

    restart_from = Step.SUBMIT


class StorageTrouble(_WithPause, TransferError):
    """The storage host is busy or at fault (500, 503). Source: behaviour 133."""


class FileDamaged(TransferError):
    """Length, MD5 or gzip say that the bytes are not the file; they are fetched once more."""

    restart_from = Step.DOWNLOAD


class ConversionError(BulkpullError):
    """The file cannot be converted."""


class NotTheReport(ConversionError):
    """The file is whole but is not what was asked for: header, fields a row, encoding, or an error page."""


class TooLarge(ConversionError):
    """The file unpacks to more bytes than `max_unpacked_bytes` allows."""


class ConverterDied(ConversionError):
    """The converting process ended without an answer, killed or crashed; worth one more try."""

    restart_from = Step.CONVERT


class HeldBack(BulkpullError):
    """The data arrived whole, but publishing it would hurt its readers; the snapshot that was current stays so."""


class DiskTrouble(BulkpullError):
    """The output folder cannot be written: no room, no permission, not a folder."""


class LedgerError(BulkpullError):
    """The run ledger cannot be read or written."""
