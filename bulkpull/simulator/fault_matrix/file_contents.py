"""Rows 76 to 97: the file itself."""

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
        survives(f"{row_id}x", f"{title}, once", here(name), reports_created=1),
        fails(f"{row_id}y", f"{title}, always", here(name, times=None)),
    )


def _always(name: str, **args: Any) -> Fault:
    return here(name, times=None, **args)


ROWS = (
    *_once_and_always("76a", "the gzip stream is cut", "cut_gzip"),
    *_once_and_always("76b", "the CRC is wrong", "bad_crc"),
    *_once_and_always("76c", "the length in the trailer is wrong", "bad_gzip_length"),
    *_once_and_always("76d", "a bit is flipped", "bit_flip"),
    survives("77a", "several gzip members", scenario={"gzip_members": 3}),
    survives("77b", "zero bytes after the end", _always("zero_padding_after_gzip")),
    fails("77c", "rubbish after the end", _always("rubbish_after_gzip")),
    survives("78a", "plain text where gzip is announced", _always("plain_csv")),
    survives("78b", "gzip that is not announced", scenario={"content_encoding": False}),
    fails("78c", "a zip archive", _always("zip"), reason_words=("zip",)),
    fails(
        "79",
        "a file that unpacks to too much",
        _always("bomb", bytes=16 << 20),
        settings={"max_unpacked_bytes": 1_000_000},
        reason_words=("max_unpacked_bytes",),
    ),
    survives("80a", "columns in another order", _always("reordered_header")),
    survives("80b", "header in another casing", _always("header_other_case")),
    survives("80c", "a column more", _always("extra_column")),
    fails("80d", "a column less", _always("missing_column"), reason_words=("lacks 'EOU'",)),
    fails("80e", "a column twice", _always("duplicate_header")),
    fails("80f", "other columns", _always("wrong_header")),
    fails("81a", "a row with too few fields", _always("short_row", row=100), reason_words=("17 fields instead of 18",)),
    fails("81b", "a row with too many fields", _always("long_row", row=100), reason_words=("19 fields instead of 18",)),
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
    fails("86b", "UTF-16", _always("utf16"), reason_words=("UTF",)),
    fails("86c", "a byte that is not UTF-8", _always("latin1"), reason_words=("UTF-8",)),
    survives("86d", "a NUL byte", _always("nul_bytes")),
    survives("90", "no rows", scenario={"header_only": frozenset({"OfficeUsage"})}),
    fails("97", "no rows where the current snapshot has some", second_run=(_always("header_only"),)),
)
"""Rows of the sections "Content and conversion" and "Publishing" that a service can bring about."""
