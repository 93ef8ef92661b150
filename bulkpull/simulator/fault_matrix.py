"""
The fault matrix as data: each fault, and how an export under it should end.

`bulkpull simulate --fault ID` and the tests read the same table. Faults that a service cannot cause (locks, disks,
certificates, signals) are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from bulkpull.simulator.faults import Fault
from bulkpull.simulator.scenario import ColumnDrift, Scenario

HIT = "OfficeUsage"
"""The dataset that a row's fault strikes, unless it says otherwise."""

BYSTANDERS = ("Profile", "MSLearn")
"""The datasets that go on as if nothing were wrong."""

QUICK: Mapping[str, Any] = {"poll_initial_seconds": 0.05, "poll_max_seconds": 0.2, "report_timeout_seconds": 30}
"""Client settings that let a row run in real time; a row's own come on top."""

Outcome = Literal["complete", "failed", "unavailable", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """
    What goes wrong, and how an export of all offered datasets should end. The tests expect more of each row.

    Attributes:
        id: Number of the matrix, with a letter for a variant.
        expected: The status of the dataset `HIT`; `None` when the run ends before there is one.
        exit_codes: What the command may end with.
        settings: Client settings of this row, on top of `QUICK`, by their documented names.
    """

    id: str
    title: str
    scenario: Scenario
    expected: Outcome | None = "complete"
    exit_codes: tuple[int, ...] = (0,)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def number(self) -> int:
        return int(self.id.rstrip("abcdefghijklmnopqrstuvwxyz"))


def _row(
    row_id: str,
    title: str,
    *faults: Fault,
    expected: Outcome | None = "complete",
    exit_codes: tuple[int, ...] = (0,),
    settings: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> FaultRow:
    """A row of a service with three datasets of a few hundred rows, these faults, and parameters of `Scenario`."""
    defaults: dict[str, Any] = {"datasets": (HIT, *BYSTANDERS), "rows": 300}
    scenario = Scenario(faults=faults, **(defaults | parameters))
    return FaultRow(
        id=row_id, title=title, scenario=scenario, expected=expected, exit_codes=exit_codes, settings=settings or {}
    )


_unavailable = partial(_row, expected="unavailable")
_fails = partial(_row, expected="failed", exit_codes=(3,))
_no_access = partial(_row, expected=None, exit_codes=(4,))
# A list of datasets that cannot be read ends the run before it has a plan.
_no_plan = partial(_row, expected=None, exit_codes=(1, 3))


def _refused(row_id: str, title: str, code: int) -> FaultRow:
    """The token endpoint refuses for good: no second try."""
    return _no_access(row_id, title, _always("token_error", code=code))


def _once_and_always(row_id: str, title: str, name: str) -> tuple[FaultRow, FaultRow]:
    """Damage that a second fetch may heal."""
    return (
        _row(f"{row_id}x", f"{title}, once", _here(name)),
        _fails(f"{row_id}y", f"{title}, always", _here_always(name)),
    )


def _anywhere(name: str, endpoint: str | None = None, *, times: int | None = 1, skip: int = 0, **args: Any) -> Fault:
    return Fault(name, endpoint=endpoint, times=times, skip=skip, args=args)


def _here(name: str, endpoint: str | None = None, **more: Any) -> Fault:
    return replace(_anywhere(name, endpoint, **more), dataset=HIT)


def _refuses(endpoint: str, status: int, **message: str) -> Fault:
    return _here_always("http_status", endpoint, status=status, **message)


def _drifted(row_id: str, title: str, **drift: Any) -> FaultRow:
    return _row(row_id, title, drift={HIT: ColumnDrift(**drift)})


_always = partial(_anywhere, times=None)
_here_always = partial(_here, times=None)

_QUERY, _REPORT, _LIST = "POST ScheduledQueries", "POST ScheduledReport", "GET ScheduledDataset"
_TIMEOUT = "report_timeout_seconds"
_QUOTA = "User has exceeded its report creation quota of 50 active reports"
_SLOW = {"*": 0.5}
_LONG = {HIT: 2_000, "*": 300}
# CustomerName remains, which has empty values.
_ALL_BUT_CUSTOMER_NAME = (
    "CustomerTenantId", "CustomerTpid", "WorkloadName", "Month", "PaidAvailableUnits", "MonthlyActiveUsers",
    "CustomerMarket", "CustomerSegment", "MPNId", "PartnerName", "PartnerLocationID", "PartnerAttributionType",
    "IsDuplicateRowForPGA",
)  # fmt: skip

FAULT_TABLE: tuple[FaultRow, ...] = (
    # 13 to 27: tokens, roles, listings and what replies look like
    _refused("13a", "the client secret is wrong", 7000215),
    _refused("13b", "the client secret is expired", 7000222),
    _refused("13c", "the tenant does not exist", 90002),
    _refused("13d", "user name or password is wrong", 50126),
    _no_access("14a", "the token endpoint asks for a second factor", mfa="token"),
    _refused("14b", "nobody has consented to the application", 65001),
    _no_access("14c", "the API asks for a second factor", mfa="api"),
    _row("15a", "the token endpoint throttles", _anywhere("throttle", "token")),
    _row("15b", "the token endpoint is down for a moment", _anywhere("http_status", "token", status=503)),
    _row("15c", "the connection to the token endpoint is reset", _anywhere("reset_before_acting", "token")),
    _row("16", "the token ends while reports are under way", latency_s={"*": 2.5}, token_lifetime_s=2),
    _row("17a", "a good token is refused once", _anywhere("token_refused", skip=3)),
    _no_access("17b", "every token is refused", _always("token_refused")),
    _unavailable(
        "18", "the role does not cover one dataset", _refuses(_QUERY, 403, message="Forbidden"), exit_codes=(0, 3)
    ),
    _row("21a", "expires_in is missing", _always("expires_in_form", value=None)),
    _row("21b", "expires_in is zero", _always("expires_in_form", value="0")),
    _row("21c", "expires_in is negative", _always("expires_in_form", value=-5)),
    _row("21d", "expires_in is a number", _always("expires_in_form", value=3599)),
    _unavailable("22", "the dataset is not on the list", datasets=BYSTANDERS),
    _drifted("23a", "a column vanished, another appeared", removed=("PartnerLocationID",), added=("IndustryName",)),
    _drifted("23b", "columns are spelled otherwise", renamed={"MPNId": "PartnerID", "Month": "MONTH"}),
    _row("24a", "listings come in pages, linked by relative addresses", page_size=1),
    _row("24b", "listings come in pages, linked by absolute addresses", page_size=1, next_link="absolute"),
    _no_plan("24c", "the next page is the same page again", _always("next_link_loops", "ScheduledDataset")),
    _no_plan("24d", "the next page lies on another host", _always("next_link_foreign_host", "ScheduledDataset")),
    _fails("25a", "an error inside HTTP 200", _here_always("error_in_ok_envelope", _QUERY, message="Invalid query")),
    _row("25b", "a fault of the service inside HTTP 200", _here("error_in_ok_envelope", "execution", status=503)),
    _row("26a", "keys in PascalCase", key_casing="pascal"),
    _row("26b", "a reply whose value is null", _here("null_value", "execution")),
    _row("27a", "a web page in place of JSON, once", _anywhere("html_body", _LIST)),
    _row("27b", "JSON that stops in the middle, once", _anywhere("cut_json", _LIST)),
    _row("27c", "an empty body, once", _anywhere("empty_body", _LIST)),
    _row("27d", "JSON in another encoding, once", _anywhere("wrong_charset", _LIST)),
    _no_plan("27e", "a web page in place of JSON, always", _always("html_body", _LIST)),
    # 28 to 52: queries and reports, whose creation is not idempotent, and executions
    _fails("28", "the query is refused", _refuses(_QUERY, 400, message="Incorrect column name")),
    _row("29", "the query's name is taken by another", _here("name_taken")),
    _row("30a", "reset before the query was stored", _here("reset_before_acting", _QUERY)),
    _row("30b", "reset before the report was created", _here("reset_before_acting", _REPORT)),
    _row("31a", "reset after the query was stored", _here("reset_after_acting", _QUERY)),
    _row("31b", "reset after the report was created", _here("reset_after_acting", _REPORT)),
    _row("31c", "502 after the query was stored", _here("status_after_acting", _QUERY, status=502)),
    _row(
        "31d",
        "502 from a gateway after the report was created",
        _here("status_after_acting", _REPORT, status=502, body="html"),
    ),
    _row("32", "the listing lags behind a lost answer", _here("reset_after_acting", _REPORT), visible_lag_s=0.8),
    _fails(
        "33",
        "the answer is lost and the listing fails",
        _here("reset_after_acting", _REPORT),
        _always("http_status", "GET ScheduledReport", status=503),
    ),
    _row("34a", "success with an empty body", _here("empty_body", _REPORT)),
    _row("34b", "success without an id", _here("idless_body", _REPORT)),
    _row("34c", "success with JSON that stops in the middle", _here("cut_json", _QUERY)),
    _row("34d", "success with a web page", _here("html_body", _REPORT)),
    _row("35a", "two reports with our mark", _here("acts_twice", _REPORT)),
    _row("35b", "two queries with our mark", _here("acts_twice", _QUERY)),
    _fails("36a", "the quota of reports is full", _refuses(_REPORT, 400, message=_QUOTA), settings={_TIMEOUT: 2}),
    _row(
        "36b",
        "the quota of one-off reports is full for a while",
        settings={"one_off_quota_window_seconds": 1.5},
        one_off_quota=1,
        one_off_window_s=1.5,
    ),
    _row("37", "throttled while creating the report", _here("throttle", _REPORT)),
    _row("39a", "the query is deleted before the report is created", _here("query_vanishes")),
    _row(
        "39b",
        "the query is deleted while the report is under way",
        _here("query_vanishes_later"),
        settings={_TIMEOUT: 3},
        latency_s={"*": 0.3},
    ),
    _row("40a", "404 before the first completion", latency_s=_SLOW),
    _row("40b", "Pending before the first completion", latency_s=_SLOW, pending_without_status="200"),
    _row("41a", "several statuses in one call are refused", latency_s=_SLOW, joined_status=False),
    _row("41b", "several reports in one call are refused", latency_s=_SLOW, joined_ids=False),
    _row("41c", "one id spoils the call for all", _here_always("one_id_spoils_batch"), latency_s=_SLOW),
    _row("42a", "the answer lacks an id", _here("batch_lacks_ids", times=3)),
    _row("42b", "the answer holds a stranger", _here("strangers_in_batch", times=3)),
    _row("43a", "an unknown status, then the usual ones", _here("execution_status_unknown_word", reads=3)),
    _row("43b", "cancelled once", _here("execution_fails", status="Cancelled"), latency_s=_SLOW),
    _row("44", "paused until resumed", _here("execution_paused")),
    _row("45a", "failed once", _here("execution_fails"), latency_s=_SLOW),
    _fails("45b", "failed always", _here_always("execution_fails"), latency_s=_SLOW),
    _row("46a", "the first execution never ends", _here("execution_stuck"), settings={_TIMEOUT: 2}),
    _fails("46b", "no execution ever ends", _here_always("execution_stuck"), settings={_TIMEOUT: 2}),
    _row("47a", "polling meets 503", _anywhere("http_status", "execution", times=4, status=503), latency_s=_SLOW),
    _row("47b", "polling meets resets", _anywhere("reset_before_acting", "execution", times=4), latency_s=_SLOW),
    _row("48", "Completed, Pending, Completed", _here("execution_flips_back")),
    _row("49a", "Completed, and the link comes later", _here("completed_without_link", reads=2)),
    _row("49b", "Completed with an empty link at first", _here("completed_without_link", reads=2, link="empty")),
    _fails(
        "49c", "Completed and never a link", _here_always("completed_without_link", reads=None), settings={_TIMEOUT: 3}
    ),
    _row("50", "the first answer is an older execution", _here("old_execution_first", reads=3)),
    _row("51a", "reportGeneratedTime is null", _here("generated_time_odd", value=None)),
    _row("51b", "reportGeneratedTime has another form", _here("generated_time_odd", value="11/23/2026 2:04:05 AM")),
    _row("51c", "reportGeneratedTime lies in the future", _here("generated_time_odd", value="2099-01-01T00:00:00Z")),
    _row("52", "the data are redacted", _always("redacted")),
    # 53 to 97: links, downloads (72 to 74 need other means) and the file itself
    _row("53", "the link is at its end before the first byte", _here("link_expired")),
    _row(
        "54",
        "the link ends in the middle of the file, twice",
        _here("link_expires_mid_file", times=2, after=5_000),
        rows=_LONG,
    ),
    _row("55", "cut, and the file was replaced meanwhile", _here("cut_after_bytes"), _here("etag_changes"), rows=_LONG),
    _fails("56", "every link is refused", _here_always("link_always_refused")),
    _row("57a", "the file is gone once", _here("blob_gone")),
    _fails("57b", "the file is gone always", _here_always("blob_gone")),
    _row("58a", "the storage host is busy", _here("blob_busy", times=2)),
    _row("58b", "the storage host is at fault", _here("blob_busy", times=2, status=500)),
    _row("59", "a reset after every few bytes", _here_always("reset_every_bytes", after=9_000), rows=_LONG),
    _row("60a", "cut, length given", _here("cut_after_bytes")),
    _row("60b", "cut, length not given, ended by the connection", _here("cut_after_bytes", delimit="close")),
    _row("60c", "cut, length not given, in chunks", _here("cut_after_bytes", delimit="chunked")),
    _row("61", "more bytes than announced, once", _here("more_bytes_than_announced")),
    _row("62", "the transfer stands still for a moment", _here("stall_after_bytes", seconds=1.0)),
    _row("63", "200 in answer to a range", _here("cut_after_bytes"), _here("range_ignored")),
    _row("64a", "206 that begins elsewhere", _here("cut_after_bytes"), _here("range_wrong_start")),
    _row("64b", "206 of another total", _here("cut_after_bytes"), _here("range_other_total")),
    _row("64c", "206 in parts", _here("cut_after_bytes"), _here("range_multipart")),
    _row("65", "416 at the resume", _here("cut_after_bytes"), _here("range_not_satisfiable")),
    _row("66a", "cut, and no ETag", _here("cut_after_bytes"), _here_always("etag_missing")),
    _row("66b", "cut, and a weak ETag", _here("cut_after_bytes"), _here_always("etag_weak")),
    _row("67", "a proxy compresses the file on the fly", _here_always("encoding_by_proxy"), gzip=False),
    _row("68a", "a redirect to another host", _here("redirect", "blob", to="elsewhere")),
    _fails("68b", "a redirect to an address without encryption", _here_always("redirect", "blob", to="http")),
    _fails("68c", "too many redirects", _here_always("redirect", "blob", to="loop")),
    _row("69a", "the MD5 is wrong once", _here("md5_wrong")),
    _fails("69b", "the MD5 is wrong always", _here_always("md5_wrong")),
    _row("70", "an error of the storage host under 200", _here("xml_under_200")),
    _row("71a", "no byte at all, once", _here("empty_file")),
    _fails("71b", "no byte at all, always", _here_always("empty_file")),
    _row("75", "one segment fails for good", _here_always("segment_refused"), rows={HIT: 100_000, "*": 300}),
    *_once_and_always("76a", "the gzip stream is cut", "cut_gzip"),
    *_once_and_always("76b", "the CRC is wrong", "bad_crc"),
    *_once_and_always("76c", "the length in the trailer is wrong", "bad_gzip_length"),
    *_once_and_always("76d", "a bit is flipped", "bit_flip"),
    _row("77a", "several gzip members", gzip_members=3),
    _row("77b", "zero bytes after the end", _here_always("zero_padding_after_gzip")),
    _fails("77c", "rubbish after the end", _here_always("rubbish_after_gzip")),
    _row("78a", "plain text where gzip is announced", _here_always("plain_csv")),
    _row("78b", "gzip that is not announced", content_encoding=False),
    _fails("78c", "a zip archive", _here_always("zip")),
    _fails(
        "79",
        "a file that unpacks to too much",
        _here_always("bomb", bytes=16 << 20),
        settings={"max_unpacked_bytes": 1_000_000},
    ),
    _row("80a", "columns in another order", _here_always("reordered_header")),
    _row("80b", "header in another casing", _here_always("header_other_case")),
    _row("80c", "a column more", _here_always("extra_column")),
    _fails("80d", "a column less", _here_always("missing_column")),
    _fails("80e", "a column twice", _here_always("duplicate_header")),
    _fails("80f", "other columns", _here_always("wrong_header")),
    _fails("81a", "a row with too few fields", _here_always("short_row", row=100)),
    _fails("81b", "a row with too many fields", _here_always("long_row", row=100)),
    _row("82a", "blank lines at the end", _here_always("blank_lines_at_end")),
    _fails("82b", "a blank line inside", _here_always("blank_lines_inside")),
    _drifted("82c", "blank lines that are nulls of the only column", removed=_ALL_BUT_CUSTOMER_NAME),
    _row("83a", "the last line has no line end", _here_always("no_final_newline")),
    _fails("83b", "the text ends in the middle of its last row", _here_always("cut_row")),
    *_once_and_always("84", "the text ends inside quotes", "open_quote"),
    _row("86a", "a byte order mark", _here_always("bom")),
    _fails("86b", "UTF-16", _here_always("utf16")),
    _fails("86c", "a byte that is not UTF-8", _here_always("latin1")),
    _row("86d", "a NUL byte", _here_always("nul_bytes")),
    _row("90", "no rows", header_only=frozenset({HIT})),
    _fails("97", "no rows where the current snapshot has some"),
    # 100 to 110: the whole service
    _row("100", "our report cannot be deleted after publishing", _refuses("DELETE ScheduledReport", 503)),
    _no_plan(
        "105", "everything is 503, after the token", _always("http_status", skip=1, status=503), exit_codes=(3, 1)
    ),
    _row("106", "every third call is throttled", _always("throttle", every=3), datasets=(HIT,)),
    _row("107a", "Retry-After as a date", _here("throttle", _REPORT, retry_after_date=1)),
    _row("107b", "Retry-After in the past", _here("throttle", _REPORT, retry_after_date=-60)),
    _row("107c", "Retry-After below zero", _here("throttle", _REPORT, retry_after="-5")),
    _fails("107d", "Retry-After of thirty years", _here_always("throttle", _REPORT, retry_after=10**9)),
    _row("107e", "Retry-After that says nothing", _here("throttle", _REPORT, retry_after="soon")),
    _row("108", "every call takes its time", api_latency_s=0.3),
    _row("109", "the network is gone in mid-run", _anywhere("reset_before_acting", times=4, skip=8), latency_s=_SLOW),
    _row("110", "an older and a newer version answer in turn", _always("alternating_versions")),
)
"""All rows, in the order of the matrix."""
