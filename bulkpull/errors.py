"""
All errors, as one class hierarchy.

    BulkpullError
    ├── SettingsError (QueryError)    a setting, an option or a dataset's name is wrong (exit 2)
    ├── AuthError                     credentials are missing or refused, or lack the role (exit 4)
    ├── OutputLocked                  another run is writing to the same output folder (exit 5)
    ├── ReportingError                the service answered with an error
    │   ├── RequestRejected (QuotaExceeded), AccessDenied, NotFound, Throttled, ServiceTrouble
    │   └── UnexpectedReply (ListUnknown), ReportLost, ExecutionFailed, ExecutionOverdue
    ├── TransferError                 a transfer failed
    │   ├── NotConnected, AnswerLost, ProxyRefused, TlsRefused, UnsafeAddress, HeadTooLong
    │   └── LinkExpired, FileGone, StorageTrouble, FileDamaged, Unchanged
    ├── ConversionError               the file is not the requested one, or cannot be converted
    │   └── NotTheReport (WindowNotHonoured, TimeNotReadable), TooLarge, ConverterDied
    ├── DiskTrouble, LedgerError      the output folder, or the ledger in it, cannot be used
    └── TooManyReports, HeldBack, NotDone, RunOverdue
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from enum import StrEnum
from typing import ClassVar, Self

from bulkpull.redact import printable, redact

# How much of a long query is shown around the place at fault, characters.
_EXCERPT_BEFORE, _EXCERPT_WIDTH = 50, 90
# Of a message of five lines, beside what happened and the next step.
_MOST_LINES = 3
_TELL_SUPPORT = "quote the request id and the correlation id to Microsoft's support"


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
    The base class of all errors of this package.

    Args:
        what: What happened, and to which dataset, setting or address.
        why: The cause, if known.
        fix: What a person can do next; written so that it can follow a semicolon. Without it, the class's `remedy`.
        why_lines: Where several things are wrong, a line for each; `why` has them all in one line.
        short_fix: The next step where there is little room: on a terminal, and in the doctor's list.
        doctor_fix: The one in the doctor's list, where `fix` speaks of what an export does, or of the doctor.

    Secrets are removed and control characters are escaped in all texts.
    """

    exit_code: int = 1
    restart_from: ClassVar[Step | None] = None
    """The step to restart from; `None` where a retry cannot help."""
    cause: ClassVar[str] = ""
    """The usual cause, in a few words; for the page of errors."""
    remedy: ClassVar[str] = ""
    """The default for `fix`."""
    doctor_hint: ClassVar[str] = ""
    """The words of `remedy` that send a person to `bulkpull doctor`, which leaves them out itself."""
    was_repeated: bool = False
    """All allowed retries were made, so no layer above retries."""

    def __init__(
        self,
        what: str,
        *,
        why: str | None = None,
        fix: str | None = None,
        why_lines: Sequence[str] = (),
        short_fix: str | None = None,
        doctor_fix: str | None = None,
    ) -> None:
        super().__init__()
        self.what, self.why, self.fix = what, why, fix or self.remedy or None
        self.short_fix, self._doctor_fix, self._why_lines = short_fix, doctor_fix, list(why_lines)
        self.reword(printable)

    @property
    def why_lines(self) -> list[str]:
        """The cause as a person reads it: one line, or at most three where several things are wrong."""
        lines = self._why_lines or ([self.why] if self.why else [])
        hidden = len(lines) - _MOST_LINES
        return [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1]}; and {hidden} more"] if hidden > 0 else lines

    @property
    def excerpt(self) -> str | None:
        """Lines that show the position of the error in the input, if there is one."""
        return None

    @property
    def doctor_fix(self) -> str | None:
        """The next step as `bulkpull doctor` shows it, which sends nobody to `bulkpull doctor`."""
        return self._doctor_fix or self.short_fix or (self.fix and self.fix.replace(self.doctor_hint, ""))

    @property
    def reason(self) -> str:
        """One sentence that a person can act on."""
        return self.message if not self.fix else f"{self.message}; {self.fix}"

    @property
    def message(self) -> str:
        """What happened and why, without the next step: for problems that do not stop the run."""
        return self.what if not self.why else f"{self.what}: {self.why}"

    def reword(self, words: Callable[[str], str]) -> None:
        """Say all parts of the message in other words."""
        self.what = words(self.what)
        self.why = words(self.why) if self.why else None
        self.fix = words(self.fix) if self.fix else None
        self.short_fix = words(self.short_fix) if self.short_fix else None
        self._doctor_fix = words(self._doctor_fix) if self._doctor_fix else None
        self._why_lines = [words(line) for line in self._why_lines]
        self.args = (self.reason,)

    def __str__(self) -> str:
        return self.reason

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross the border of the conversion process by pickle, which would otherwise call the subclass
        # with one positional argument and lose `why` and `fix`.
        return BaseException.__new__, (type(self), self.reason), self.__dict__.copy()


class _WithPause(BulkpullError):
    def __init__(
        self, what: str, *, retry_after_s: float | None = None, why: str | None = None, fix: str | None = None
    ) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(what, why=why, fix=fix)


class SettingsError(BulkpullError):
    """A setting, an option or a dataset name is wrong; nothing was started."""

    cause = "a name or a value was mistyped, or a file does not exist"
    doctor_hint = "; `bulkpull doctor` shows every setting and where it comes from"
    remedy = f"correct it and try again{doctor_hint}"
    exit_code = 2

    def within(self, place: str) -> Self:
        """The same error, with the file, table or key in which it was found."""
        wrapped = copy(self)
        wrapped.what = f"{printable(place)}: {self.what}"
        wrapped.args = (wrapped.reason,)
        return wrapped


class QueryError(SettingsError):
    """
    A query is invalid, or names something that the service does not offer; it was not sent.

    `text` is the query, or the part of it that was given; `at` and `length` say where the fault is, in characters.
    """

    cause = "a column, a metric, a function or a time span that the dataset does not have, or a typing error"
    remedy = "compare with what `bulkpull datasets NAME` shows, then correct the query"

    def __init__(
        self, what: str, *, text: str = "", at: int = 0, length: int = 1, why: str | None = None, fix: str | None = None
    ) -> None:
        self.text, self.at, self.length = text, at, length
        super().__init__(what, why=why, fix=fix)

    @property
    def excerpt(self) -> str | None:
        """Two lines: the text around the place, and marks under it; `None` where a secret is in it."""
        from rich.cells import cell_len  # noqa: PLC0415 - wide letters take two columns, combining ones none

        start = self.text.rfind("\n", 0, self.at) + 1
        line = self.text[start:].partition("\n")[0].rstrip()
        if not line or redact(line) != line:
            return None
        place = self.at - start
        cut = max(0, place - _EXCERPT_BEFORE) if len(line) > _EXCERPT_WIDTH else 0
        shown = "".join(letter if letter.isprintable() else " " for letter in line[cut : cut + _EXCERPT_WIDTH])
        lead, tail = "…" if cut else "", "…" if cut + _EXCERPT_WIDTH < len(line) else ""
        marks = "^" * max(1, min(self.length, len(shown) - place + cut))
        return f"{lead}{shown}{tail}\n{' ' * (len(lead) + cell_len(shown[: place - cut]))}{marks}"


class AuthError(BulkpullError):
    """Credentials are missing, were refused, or lack the role."""

    cause = "a secret expired or was mistyped, the sign-in needs a second factor, or the user lacks the role"
    remedy = "run `bulkpull auth check` to find the step that fails, then correct the credential or role it names"
    exit_code = 4


class OutputLocked(BulkpullError):
    """Another run is writing to the same output folder."""

    cause = "two runs use the same folder; a lock ends with its process, so it is never stale"
    remedy = "wait until the other run has ended, or choose another folder with --output"
    exit_code = 5


class ReportingError(BulkpullError):
    """The service answered with an error."""

    cause = "an error of the service"
    remedy = f"run the same command again later; if it happens again, {_TELL_SUPPORT}"


class RequestRejected(ReportingError):
    """The service rejected the request (400); a retry cannot help. Source: behaviours 42, 43 and 73."""

    cause = "the service does not know a column, a time span or a value that the request names"
    remedy = f"compare with what `bulkpull datasets NAME` shows today; if it happens again, {_TELL_SUPPORT}"


class QuotaExceeded(RequestRejected):
    """
    A quota is used up (400); wait, or clean up.

    `kind` is `one_off` (behaviour 85), `active_reports` (86) or `queries` (72).
    """

    cause = "the service limits one-off reports per hour, active reports and stored queries"
    remedy = "wait an hour, or delete what is not needed: `bulkpull reports list`, `bulkpull queries list`"

    def __init__(
        self, what: str, *, kind: str, limit: int | None = None, why: str | None = None, fix: str | None = None
    ) -> None:
        self.kind, self.limit = kind, limit
        super().__init__(what, why=why, fix=fix)


class AccessDenied(ReportingError):
    """The role or the program does not allow this (403); not retried. Source: behaviour 26."""

    cause = "the user's role or the account's program does not cover it"
    remedy = 'give the user the role "Executive report viewer" in Partner Center, wait up to an hour, and try again'


class NotFound(ReportingError):
    """Nothing matches the filter (404); for executions it means "nothing yet". Source: behaviours 74, 102 to 105."""

    cause = "it was deleted, belongs to another user, or was never offered to this account"
    remedy = "check what exists: `bulkpull datasets`, `bulkpull reports list`; if these fail too, check `api_base_url`"


class Throttled(_WithPause, ReportingError):
    """The service throttled the calls (429), for longer than this run may wait, or too many times in a row."""

    cause = "this or another program of the same partner sends too many calls"
    remedy = "run the same command again later, with a smaller `requests_per_second` if it happens often"


class ServiceTrouble(_WithPause, ReportingError):
    """The service reports an internal error (5xx); a request that creates something may still have taken effect."""

    cause = "the service or a gateway has an error"
    remedy = f"run the same command again later; if it happens again, {_TELL_SUPPORT}"


class UnexpectedReply(ReportingError):
    """The reply is not understood: HTML, truncated JSON, a missing id."""

    cause = "a proxy answers instead of the service, an address is wrong, or the service has changed"
    doctor_hint = " (`bulkpull doctor`)"
    remedy = f"check `api_base_url`, `token_url` and the proxy{doctor_hint}, then run the same command again"


class ListUnknown(UnexpectedReply):
    """A list of the service is null: its content is unknown, so nothing counts as missing and nothing is deleted."""

    cause = "a temporary error of the service, or a proxy that truncates replies"
    remedy = "run the same command again"


class NotDone(BulkpullError):
    """Some of several named items failed; the exit status is that of the first failure."""

    cause = "the service refused the operation for some of the named items"
    remedy = "correct what the message names, then run the command again for those items"

    def __init__(self, what: str, *, exit_code: int = 1, why: str | None = None, fix: str | None = None) -> None:
        super().__init__(what, why=why, fix=fix)
        self.exit_code = exit_code


class ReportLost(ReportingError):
    """The report, or its query, no longer exists on the service; it must be created again."""

    cause = "it was deleted in the portal or with another tool"
    remedy = "run the same command again: it creates the report again"
    restart_from = Step.SUBMIT


class ExecutionFailed(ReportingError):
    """The service gave up on this execution. Source: behaviours 109 and 110."""

    cause = "the service does not say; large or new reports fail more often"
    remedy = (
        "run the same command again: it creates a new report; if it happens again, quote the report id to "
        "Microsoft's support"
    )
    restart_from = Step.SUBMIT


class ExecutionOverdue(ReportingError):
    """The report was not ready before the deadline. Source: behaviour 109: a failed report looks like a pending one."""

    cause = "the service needs an unknown time for a report, and a failed one looks like a pending one"
    remedy = "raise `report_timeout_seconds` if reports of this size need longer, or run the same command again later"
    restart_from = Step.SUBMIT


class TransferError(BulkpullError):
    """A transfer failed."""

    cause = "the network, a proxy, or the remote host"
    doctor_hint = " with `bulkpull doctor`"
    remedy = f"check the network{doctor_hint}, then run the same command again"


class NotConnected(TransferError):
    """No connection could be made, so nothing was sent."""

    cause = "a name is not resolved, a port is closed, or a proxy is in the way"
    remedy = f"check network, DNS and HTTPS_PROXY{TransferError.doctor_hint}, then run the same command again"


class AnswerLost(TransferError):
    """The request was sent, but no complete reply arrived; the service may or may not have processed it."""

    cause = "the connection broke or timed out after the request was sent"
    remedy = f"{TransferError.remedy}: it checks what exists before it creates anything"


class ProxyRefused(TransferError):
    """The proxy rejects its user name or password (407), or the host; not retried: wrong passwords lock accounts."""

    cause = "HTTPS_PROXY or ALL_PROXY holds no credentials or wrong ones, or the proxy does not allow the host"
    remedy = "correct the user name and the password in HTTPS_PROXY, percent-encoded, then run the same command again"


class TlsRefused(TransferError):
    """The server's certificate is not trusted; never retried and never ignored."""

    cause = "a proxy inspects TLS with its own certificate, or a certificate has expired"
    remedy = "set `ca_file` to the certificate of the authority; verification cannot be switched off"


class UnsafeAddress(TransferError):
    """An address that must not receive credentials or data: plain http off loopback, another scheme or origin."""

    cause = "a setting, the service or a proxy gave an address that is not https, or is on another host"
    remedy = "use https addresses in the settings; if the service gave it, look for a proxy that rewrites replies"


class HeadTooLong(TransferError):
    """The response headers exceed the limit (64 KiB per header, a thousand headers); not retried."""

    cause = "a proxy or gateway adds headers"
    remedy = "check the named header; if a proxy adds it, try without the proxy"


class LinkExpired(TransferError):
    """The secure link has expired; the execution has a fresh one. Source: behaviour 124."""

    cause = "the link was used after its expiry, or this machine's clock is wrong"
    remedy = f"check the clock{TransferError.doctor_hint}, then run the same command again: it requests a fresh link"
    restart_from = Step.POLL


class FileGone(TransferError):
    """The stored file no longer exists (404, 410). Source: behaviour 133."""

    cause = "the service removes files after some time"
    remedy = "run the same command again: it creates a new report"
    restart_from = Step.SUBMIT


class StorageTrouble(_WithPause, TransferError):
    """The storage host is busy or has an error (500, 503). Source: behaviour 133."""

    cause = "Azure Storage throttles or has a temporary error"
    remedy = "run the same command again later: the report stays on the service, and its file is fetched again"


class FileDamaged(TransferError):
    """Length, MD5 or gzip checks failed; the file is fetched again."""

    cause = "a proxy or a broken connection changed the file, or it is stored damaged"
    remedy = (
        "run the same command again to fetch it again; if it happens again, try without the proxy, and keep the "
        "bytes with --keep-raw"
    )
    restart_from = Step.DOWNLOAD


class Unchanged(TransferError):
    """The stored file is already published; there is nothing to do."""

    cause = "the service generated the report again from unchanged data"
    remedy = "nothing to do: the current snapshot stays"


class ConversionError(BulkpullError):
    """The file cannot be converted."""

    cause = "the file is not a CSV file as the service writes it"
    remedy = "run the same command again; if it happens again, keep the bytes with --keep-raw and report them"


class NotTheReport(ConversionError):
    """The file is complete but not the requested one: wrong header, fields per row or encoding, or an error page."""

    cause = "the service changed columns or format, or stored something else under this report"
    remedy = (
        "run the same command again, which fetches the file again, or creates a new report if this one is a day old; "
        "if it happens again, keep the bytes with --keep-raw and inspect them"
    )


class WindowNotHonoured(NotTheReport):
    """The report has rows outside of its window, and lacks requested rows. Source: behaviour 84."""

    cause = "the service ignores windows for this dataset, or interprets them differently"
    remedy = "use --timespan instead of --since, and report this to the service's support"


class TimeNotReadable(NotTheReport):
    """The time column does not show which rows lie within a window. Source: behaviour 155."""

    cause = "the order of day and month is ambiguous, or the date format is unknown"
    remedy = "use --timespan instead of --since"


class TooLarge(ConversionError):
    """The file decompresses to more bytes than `max_unpacked_bytes` allows."""

    cause = "the report is larger than expected, or the file is a decompression bomb"
    remedy = "raise `max_unpacked_bytes` if a report of that size is expected, or request less with --since"


class ConverterDied(ConversionError):
    """The conversion process ended without a reply; it is retried once."""

    cause = "the machine ran out of memory, or the process was killed"
    remedy = "free memory (two conversions at once need about 500 MB), then run the same command again"
    restart_from = Step.CONVERT


class TooManyReports(BulkpullError):
    """One export may not create more reports for a dataset, counting windows, halves and retries."""

    cause = "many windows, or failed windows that are requested again in halves"
    remedy = "run the same command again, which reuses what has arrived; `reports_per_dataset` (or --yes) allows more"


class HeldBack(BulkpullError):
    """The data are complete, but were not published to protect readers; the current snapshot stays."""

    cause = "an empty report, changed columns or withheld data would replace good data"
    remedy = "check the reason; the setting that it names allows the publication"


class RunOverdue(BulkpullError):
    """`run_timeout_seconds` has passed; published data stay, and nothing is lost."""

    cause = "the service, the network or the machine needed longer than the setting allows"
    remedy = "run the same command again: it resumes where it stopped; raise `run_timeout_seconds` if it happens often"


class DiskTrouble(BulkpullError):
    """The output folder cannot be written: no disk space, no permission, not a folder."""

    cause = "no disk space, no permission, or another file with that name"
    doctor_hint = "run `bulkpull doctor` to check folder and disk, or "
    remedy = f"{doctor_hint}choose another folder with --output"


class LedgerError(BulkpullError):
    """The run ledger cannot be read or written."""

    cause = "the file was damaged or changed by another program"
    remedy = "move `.bulkpull/ledger.sqlite` away and run again: published data is not touched"
