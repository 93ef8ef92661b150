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
    │   │   └── ListNotTold          a list of the service is null: what there is is unknown
    │   ├── ReportLost             the report, or the query under it, is gone from the service
    │   ├── ExecutionFailed        the service gave up on this execution
    │   └── ExecutionOverdue       it was not ready before the deadline
    ├── TransferError            bytes did not arrive, or not as they should
    │   ├── NotConnected           nothing was sent
    │   ├── AnswerLost             the request was sent, and no whole answer came back
    │   ├── ProxyRefused           the proxy refuses its user name or password
    │   ├── TlsRefused             the other side's certificate cannot be trusted
    │   ├── UnsafeAddress          an address that credentials or data must not go to
    │   ├── HeadTooLong            the head of an answer is beyond every limit
    │   ├── LinkExpired            the secure link is no longer valid: ask for a fresh one
    │   ├── FileGone               the stored file does not exist any more
    │   ├── StorageTrouble         the storage host is busy or at fault
    │   ├── FileDamaged            length, MD5 or gzip say that the bytes are not the file
    │   └── Unchanged              the stored file is the one that is published already
    ├── ConversionError          the file is not what was asked for, or cannot be converted
    │   ├── NotTheReport           wrong header, wrong number of fields, wrong encoding, an error page
    │   │   ├── WindowNotHonoured    rows outside of the window that was asked for
    │   │   └── TimeNotReadable      the time column does not tell which rows lie within a window
    │   ├── TooLarge               more unpacked bytes than allowed
    │   └── ConverterDied          the converting process ended without an answer
    ├── TooManyReports           as many reports were ordered for a dataset as one export may order
    ├── HeldBack                 the data arrived, but publishing it would hurt: `on_shrink`, `on_drift`, redaction
    ├── NotDone                  of several things that were named, some could not be done
    ├── RunOverdue               the time of `run_timeout_seconds` is over
    ├── DiskTrouble              no room, no permission, no such folder
    └── LedgerError              the run ledger cannot be read or written

Catch the base class to print one clear sentence::

    try:
        manifest = await bulkpull.export(output="data")
    except bulkpull.BulkpullError as error:
        print(error)
"""

from __future__ import annotations

from copy import copy
from enum import StrEnum
from typing import ClassVar, Self
from unicodedata import combining, east_asian_width

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
        fix: What a person can do next; written so that it can follow a semicolon. Without it, the class's `remedy`.

    Secrets are removed and control characters are escaped before the text is kept, whatever the caller passed.
    """

    exit_code: int = 1
    restart_from: ClassVar[Step | None] = None
    """The step to go back to; `None` where trying again cannot help."""
    cause: ClassVar[str] = ""
    """The usual cause, in a few words; for the page of errors."""
    remedy: ClassVar[str] = ""
    """What a person can do next where the one who raises it knows nothing better."""
    was_repeated: bool = False
    """It was tried as often as allowed already, so that no layer above tries again."""

    @property
    def excerpt(self) -> str | None:
        """Lines that point at the place of the fault in what was given; `None` where there is no such place."""
        return None

    def __init__(self, what: str, *, why: str | None = None, fix: str | None = None) -> None:
        self.what = printable(what)
        self.why = printable(why) if why else None
        fix = fix or self.remedy
        self.fix = printable(fix) if fix else None
        super().__init__(self.reason)

    @property
    def reason(self) -> str:
        """One sentence that a person can act on."""
        return self.message if not self.fix else f"{self.message}; {self.fix}"

    @property
    def message(self) -> str:
        """What happened and why, without the next step: for what goes on all the same."""
        return self.what if not self.why else f"{self.what}: {self.why}"

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

    cause = "a name or a value was mistyped, or a file is not where it was said to be"
    remedy = "correct it and run the command again; `bulkpull doctor` shows every setting and where it comes from"
    exit_code = 2

    def within(self, place: str) -> Self:
        """The same error, told with the file, table or key in which it was found."""
        wrapped = copy(self)
        wrapped.what = f"{printable(place)}: {self.what}"
        wrapped.args = (wrapped.reason,)
        return wrapped


class QueryError(SettingsError):
    """
    A query is not what the service understands or offers; it was not sent.

    Args:
        text: The query, or the part of it that was given.
        at: Where the fault is, in characters from 0.
        length: How many characters are at fault.
    """

    cause = "a column, a metric, a function or a time span that the dataset does not have, or a slip in the text"
    remedy = "compare with what `bulkpull datasets NAME` shows, then give the corrected query again"

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
        return f"{lead}{shown}{tail}\n{' ' * (len(lead) + _width(shown[: place - cut]))}{marks}"


def _width(text: str) -> int:
    """How many columns of a terminal `text` takes: wide letters take two, combining ones none."""
    return sum((east_asian_width(letter) in "WF") + (combining(letter) == 0) for letter in text)


class AuthError(BulkpullError):
    """Credentials are missing, were refused, or lack the role."""

    cause = "a secret expired or was mistyped, the sign-in needs a second factor, or the user lacks the role"
    remedy = (
        "find the step that fails with `bulkpull auth check`, then correct the credential or the role that it names"
    )
    exit_code = 4


class OutputLocked(BulkpullError):
    """Another run is writing to the same output folder."""

    cause = "two runs were started for one folder; a lock ends with its process, so it is never a left-over"
    remedy = "wait until the other run has ended, or give this one another folder with --output"
    exit_code = 5


class ReportingError(BulkpullError):
    """The service answered, and the answer is no."""

    cause = "the service's own, as far as it tells"
    remedy = (
        "run the same command again later; if it stays so, quote the request id and the correlation id to "
        "Microsoft's support"
    )


class RequestRejected(ReportingError):
    """
    The service refused the request itself (400); repeating it cannot help.

    Source: behaviours 42, 43 and 73.
    """

    cause = "the service does not know a column, a time span or a value that the request names"
    remedy = (
        "compare with what `bulkpull datasets NAME` shows today; if it stays so, quote the request id and "
        "the correlation id to Microsoft's support"
    )


class QuotaExceeded(RequestRejected):
    """
    A quota refused the request (400); it passes with time or after a clean-up.

    Args:
        kind: `one_off` (behaviour 85), `active_reports` (86) or `queries` (72).
        limit: How many the service allows, when its words tell it.
    """

    cause = "the service limits one-off reports an hour, active reports and stored queries"
    remedy = "wait an hour, or delete what is not needed: `bulkpull reports list`, `bulkpull queries list`"

    def __init__(
        self, what: str, *, kind: str, limit: int | None = None, why: str | None = None, fix: str | None = None
    ) -> None:
        self.kind, self.limit = kind, limit
        super().__init__(what, why=why, fix=fix)


class AccessDenied(ReportingError):
    """The role or the program does not allow this (403); not repeated. Source: behaviour 26."""

    cause = "the user's role or the account's program does not cover it"
    remedy = 'give the user the role "Executive report viewer" in Partner Center, wait up to an hour, and try again'


class NotFound(ReportingError):
    """Nothing matches the filter (404); for executions it means "nothing yet". Source: behaviours 74, 102 to 105."""

    cause = "it was deleted, belongs to another user, or was never offered to this account"
    remedy = "look at what is there today: `bulkpull datasets`, `bulkpull reports list`"


class Throttled(_WithPause, ReportingError):
    """The service asked for a pause (429), and longer than this run may wait, or too many times in a row."""

    cause = "this or another program of the same partner calls too often"
    remedy = "run the same command again later, with a smaller `requests_per_second` if it happens often"


class ServiceTrouble(_WithPause, ReportingError):
    """The service reports a fault of its own (5xx); a request that creates something may have acted all the same."""

    cause = "the service or a gateway before it is out of order"
    remedy = (
        "run the same command again later, it carries on where it was; if it stays so, quote the request "
        "id and the correlation id to Microsoft's support"
    )


class UnexpectedReply(ReportingError):
    """The reply is not what the service is known to send: HTML, cut JSON, a missing id. It is never guessed at."""

    cause = "a proxy answers in the service's place, an address is wrong, or the service has changed"
    remedy = "check `api_base_url`, `token_url` and the proxy (`bulkpull doctor`), then run the same command again"


class ListNotTold(UnexpectedReply):
    """A list of the service is null: what there is is unknown, so nothing is taken for missing, and nothing deleted."""

    cause = "a passing trouble of the service, or a proxy that cuts replies short"
    remedy = "run the same command again"


class NotDone(BulkpullError):
    """Something that was named could not be done; the exit status is that of the first failure."""

    cause = "the service refused it for one of the things that were named, and did the others"
    remedy = "see to what is named, then run the command again with those alone"

    def __init__(self, what: str, *, exit_code: int = 1, why: str | None = None, fix: str | None = None) -> None:
        super().__init__(what, why=why, fix=fix)
        self.exit_code = exit_code


class ReportLost(ReportingError):
    """The report, or the query under it, is gone from the service; it has to be created anew."""

    cause = "somebody deleted it, by the portal or with another tool"
    remedy = "run the same command again: it creates the report anew"
    restart_from = Step.SUBMIT


class ExecutionFailed(ReportingError):
    """The service gave up on this execution. Source: behaviours 109 and 110."""

    cause = "the service does not say; large or new reports fail more often"
    remedy = (
        "run the same command again: it asks for a new report; if it stays so, quote the report id to "
        "Microsoft's support"
    )
    restart_from = Step.SUBMIT


class ExecutionOverdue(ReportingError):
    """The report was not ready before the deadline. Source: behaviour 109: a failed generation looks like waiting."""

    cause = "the service makes reports in its own time, and a failed one looks like a waiting one"
    remedy = "raise `report_timeout_seconds` if reports of this size need longer, or run the same command again later"
    restart_from = Step.SUBMIT


class TransferError(BulkpullError):
    """Bytes did not arrive, or not as they should."""

    cause = "the network, a proxy, or the host at the other side"
    remedy = "check the network with `bulkpull doctor`, then run the same command again: it carries on where it was"


class NotConnected(TransferError):
    """No connection came about, so nothing was sent and nothing was done at the other side."""

    cause = "a name is not resolved, a port is closed, or a proxy stands between"
    remedy = "check network, DNS and HTTPS_PROXY with `bulkpull doctor`, then run the same command again"


class AnswerLost(TransferError):
    """The request was sent and no whole answer came back; the other side may or may not have acted."""

    cause = "the connection broke or timed out after the request had left"
    remedy = (
        "check the network with `bulkpull doctor`, then run the same command again: it looks before it "
        "creates anything twice"
    )


class ProxyRefused(TransferError):
    """The proxy refuses its user name or password (407); not repeated, since wrong passwords lock accounts."""

    cause = "HTTPS_PROXY or ALL_PROXY holds no credentials or wrong ones"
    remedy = "correct the user name and the password in HTTPS_PROXY, percent-encoded, then run the same command again"


class TlsRefused(TransferError):
    """The other side's certificate cannot be trusted; never repeated and never ignored."""

    cause = "a proxy opens the connection with a certificate of its own, or a certificate ended"
    remedy = "name the authority's certificate by `ca_file`; verification is never switched off"


class UnsafeAddress(TransferError):
    """An address that credentials or data must not go to: plain http off loopback, another scheme, another origin."""

    cause = "a setting, the service or a proxy named an address that is not https, or on another host"
    remedy = "use https addresses in the settings; if the service named it, look for a proxy that rewrites replies"


class HeadTooLong(TransferError):
    """The head of an answer is beyond every limit (64 KiB a header, a thousand headers); it would be the same again."""

    cause = "a proxy or gateway adds headers"
    remedy = "look at the header that is named; if a proxy adds it, try without the proxy"


class LinkExpired(TransferError):
    """The secure link is no longer valid; a fresh one comes with the execution. Source: behaviour 124."""

    cause = "the link was used after its end, or this machine's clock is wrong"
    remedy = "check the clock with `bulkpull doctor`, then run the same command again: it asks for a fresh link"
    restart_from = Step.POLL


class FileGone(TransferError):
    """The stored file does not exist any more (404, 410). Source: behaviour 133."""

    cause = "the service removes files after some time"
    remedy = "run the same command again: it asks for a new report"
    restart_from = Step.SUBMIT


class StorageTrouble(_WithPause, TransferError):
    """The storage host is busy or at fault (500, 503). Source: behaviour 133."""

    cause = "Azure Storage limits or repairs itself"
    remedy = "run the same command again later: the report stays on the service, and its file is fetched again"


class FileDamaged(TransferError):
    """Length, MD5 or gzip say that the bytes are not the file; they are fetched once more."""

    cause = "a proxy or a broken connection changed it on the way, or it was stored so"
    remedy = (
        "run the same command again to fetch it anew; if it stays so, try without the proxy, and keep the "
        "bytes with --keep-raw"
    )
    restart_from = Step.DOWNLOAD


class Unchanged(TransferError):
    """The stored file holds what is published already; nothing is wrong, and there is nothing to do."""

    cause = "the service made the report again from data that did not change"
    remedy = "nothing is to be done: the snapshot that is current stays so"


class ConversionError(BulkpullError):
    """The file cannot be converted."""

    cause = "the file is not a CSV of the kind that the service is known to write"
    remedy = "run the same command again; if it stays so, keep the bytes with --keep-raw and report them"


class NotTheReport(ConversionError):
    """The file is whole but is not what was asked for: header, fields a row, encoding, or an error page."""

    cause = "the service changed columns or form, or stored something else under this report"
    remedy = (
        "run the same command again, which fetches it anew, or asks for a new report when this one is a day old; if it "
        "stays so, keep the bytes with --keep-raw and look at them"
    )


class WindowNotHonoured(NotTheReport):
    """The report holds rows outside of its window, and does not hold all that was asked for. Source: behaviour 84."""

    cause = "the service ignores windows for this dataset, or reads them in another way"
    remedy = "ask for it by --timespan instead of --since, and report this to the service's support"


class TimeNotReadable(NotTheReport):
    """The values of the time column do not tell which rows lie within a window. Source: behaviour 155."""

    cause = "day and month may stand either way round, or the dates have a form that is not known"
    remedy = "ask for it by --timespan instead of --since"


class TooLarge(ConversionError):
    """The file unpacks to more bytes than `max_unpacked_bytes` allows."""

    cause = "the report is larger than expected, or the file is made to fill disks"
    remedy = "raise `max_unpacked_bytes` if a report of that size is expected, or ask for less with --since"


class ConverterDied(ConversionError):
    """The converting process ended without an answer, killed or crashed; worth one more try."""

    cause = "the machine ran out of memory, or somebody ended the process"
    remedy = "free memory (two conversions at once need about 500 MB), then run the same command again"
    restart_from = Step.CONVERT


class TooManyReports(BulkpullError):
    """As many reports were ordered for a dataset as one export may order: windows, halves and repeats together."""

    cause = "many windows, or windows that fail and are asked for again in halves"
    remedy = "run the same command again, which takes up what has arrived; `reports_per_dataset` or --yes allow more"


class HeldBack(BulkpullError):
    """The data arrived whole, but publishing it would hurt its readers; the snapshot that was current stays so."""

    cause = "an empty report, changed columns or withheld data would replace good data"
    remedy = "look at the reason; the setting that it names lets the data through"


class RunOverdue(BulkpullError):
    """The time that `run_timeout_seconds` gives a run is over; what is published stays, and nothing is lost."""

    cause = "the service, the network or the machine needed longer than the setting allows"
    remedy = "run the same command again: it carries on where it was; raise `run_timeout_seconds` if it happens often"


class DiskTrouble(BulkpullError):
    """The output folder cannot be written: no room, no permission, not a folder."""

    cause = "no room, no permission, or something else of that name"
    remedy = "let `bulkpull doctor` check folder and disk, or choose another folder with --output"


class LedgerError(BulkpullError):
    """The run ledger cannot be read or written."""

    cause = "the file was damaged or changed by another program"
    remedy = "move `.bulkpull/ledger.sqlite` away and run again: published data is not touched"
