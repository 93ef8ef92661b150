"""Rows 53 to 97: links, downloads, and the file itself."""

from __future__ import annotations

from typing import Any

from bulkpull.simulator.fault_matrix.row import FaultRow, fails, here, survives
from bulkpull.simulator.faults import Fault
from bulkpull.simulator.scenario import ColumnDrift

# CustomerName remains, which has empty values.
_ALL_BUT_ONE = (
    "CustomerTenantId",
    "CustomerTpid",
    "WorkloadName",
    "Month",
    "PaidAvailableUnits",
    "MonthlyActiveUsers",
    "CustomerMarket",
    "CustomerSegment",
    "MPNId",
    "PartnerName",
    "PartnerLocationID",
    "PartnerAttributionType",
    "IsDuplicateRowForPGA",
)


def _once_and_always(row_id: str, title: str, name: str) -> tuple[FaultRow, FaultRow]:
    """Damage that a second fetch may heal."""
    return (
        survives(f"{row_id}x", f"{title}, once", here(name)),
        fails(f"{row_id}y", f"{title}, always", here(name, times=None)),
    )


def _always(name: str, **args: Any) -> Fault:
    return here(name, times=None, **args)


_CUT = here("cut_after_bytes")
_LONG = {"rows": {"OfficeUsage": 2_000, "*": 300}}
_BIG = {"rows": {"OfficeUsage": 100_000, "*": 300}}

ROWS = (
    survives("53", "the link is at its end before the first byte", here("link_expired")),
    survives(
        "54",
        "the link ends in the middle of the file, twice",
        here("link_expires_mid_file", times=2, after=5_000),
        scenario=_LONG,
    ),
    survives("55", "cut, and the file was replaced meanwhile", _CUT, here("etag_changes"), scenario=_LONG),
    fails("56", "every link is refused", here("link_always_refused", times=None)),
    survives("57a", "the file is gone once", here("blob_gone")),
    fails("57b", "the file is gone always", here("blob_gone", times=None)),
    survives("58a", "the storage host is busy", here("blob_busy", times=2)),
    survives("58b", "the storage host is at fault", here("blob_busy", times=2, status=500)),
    survives("59", "a reset after every few bytes", here("reset_every_bytes", times=None, after=9_000), scenario=_LONG),
    survives("60a", "cut, length given", _CUT),
    survives("60b", "cut, length not given, ended by the connection", here("cut_after_bytes", delimit="close")),
    survives("60c", "cut, length not given, in chunks", here("cut_after_bytes", delimit="chunked")),
    survives("61", "more bytes than announced, once", here("more_bytes_than_announced")),
    survives("62", "the transfer stands still for a moment", here("stall_after_bytes", seconds=1.0)),
    survives("63", "200 in answer to a range", _CUT, here("range_ignored")),
    survives("64a", "206 that begins elsewhere", _CUT, here("range_wrong_start")),
    survives("64b", "206 of another total", _CUT, here("range_other_total")),
    survives("64c", "206 in parts", _CUT, here("range_multipart")),
    survives("65", "416 at the resume", _CUT, here("range_not_satisfiable")),
    survives("66a", "cut, and no ETag", _CUT, here("etag_missing", times=None)),
    survives("66b", "cut, and a weak ETag", _CUT, here("etag_weak", times=None)),
    survives(
        "67", "a proxy compresses the file on the fly", here("encoding_by_proxy", times=None), scenario={"gzip": False}
    ),
    survives("68a", "a redirect to another host", here("redirect", endpoint="blob", to="elsewhere")),
    fails(
        "68b", "a redirect to an address without encryption", here("redirect", endpoint="blob", times=None, to="http")
    ),
    fails("68c", "too many redirects", here("redirect", endpoint="blob", times=None, to="loop")),
    survives("69a", "the MD5 is wrong once", here("md5_wrong")),
    fails("69b", "the MD5 is wrong always", here("md5_wrong", times=None)),
    survives("70", "an error of the storage host under 200", here("xml_under_200")),
    survives("71a", "no byte at all, once", here("empty_file")),
    fails("71b", "no byte at all, always", here("empty_file", times=None)),
    survives("75", "one segment fails for good", here("segment_refused", times=None), scenario=_BIG),
    *_once_and_always("76a", "the gzip stream is cut", "cut_gzip"),
    *_once_and_always("76b", "the CRC is wrong", "bad_crc"),
    *_once_and_always("76c", "the length in the trailer is wrong", "bad_gzip_length"),
    *_once_and_always("76d", "a bit is flipped", "bit_flip"),
    survives("77a", "several gzip members", scenario={"gzip_members": 3}),
    survives("77b", "zero bytes after the end", _always("zero_padding_after_gzip")),
    fails("77c", "rubbish after the end", _always("rubbish_after_gzip")),
    survives("78a", "plain text where gzip is announced", _always("plain_csv")),
    survives("78b", "gzip that is not announced", scenario={"content_encoding": False}),
    fails("78c", "a zip archive", _always("zip")),
    fails(
        "79",
        "a file that unpacks to too much",
        _always("bomb", bytes=16 << 20),
        settings={"max_unpacked_bytes": 1_000_000},
    ),
    survives("80a", "columns in another order", _always("reordered_header")),
    survives("80b", "header in another casing", _always("header_other_case")),
    survives("80c", "a column more", _always("extra_column")),
    fails("80d", "a column less", _always("missing_column")),
    fails("80e", "a column twice", _always("duplicate_header")),
    fails("80f", "other columns", _always("wrong_header")),
    fails("81a", "a row with too few fields", _always("short_row", row=100)),
    fails("81b", "a row with too many fields", _always("long_row", row=100)),
    survives("82a", "blank lines at the end", _always("blank_lines_at_end")),
    fails("82b", "a blank line inside", _always("blank_lines_inside")),
    survives(
        "82c",
        "blank lines that are nulls of the only column",
        scenario={"drift": {"OfficeUsage": ColumnDrift(removed=_ALL_BUT_ONE)}},
    ),
    survives("83a", "the last line has no line end", _always("no_final_newline")),
    fails("83b", "the text ends in the middle of its last row", _always("cut_row")),
    *_once_and_always("84", "the text ends inside quotes", "open_quote"),
    survives("86a", "a byte order mark", _always("bom")),
    fails("86b", "UTF-16", _always("utf16")),
    fails("86c", "a byte that is not UTF-8", _always("latin1")),
    survives("86d", "a NUL byte", _always("nul_bytes")),
    survives("90", "no rows", scenario={"header_only": frozenset({"OfficeUsage"})}),
    fails("97", "no rows where the current snapshot has some"),
)
"""Rows of the sections "Download" (72 to 74 need other means), "Content and conversion" and "Publishing"."""
