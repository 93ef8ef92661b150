"""
Reads a file's header line by the same rules as its rows, and matches it with the requested columns: the separator, and
which field is which column.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from bulkpull.conversion.csv_index import LF, index_csv, positions
from bulkpull.conversion.csv_validator import BOM, HEADER_ROW, check_quotes, check_returns, ends_in_quotes
from bulkpull.conversion.messages import ColumnPlan
from bulkpull.errors import NotTheReport
from bulkpull.redact import printable

# A header of the service has a few hundred names at most. Names are matched in Python, one by one.
MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_COLUMNS = 20_000
_SEPARATORS = b",\t"
_STORAGE_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9_]{1,100})\s*</Code>")
_NAMES_SHOWN = 8
_START_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Header:
    """
    The first line of the file, without its line end and byte order mark.

    Attributes:
        size_bytes: What it takes of the file, with both.
        ends_open: The file ends with it, without a line end.
    """

    line: bytes
    size_bytes: int
    ends_open: bool = False


@dataclass(frozen=True, slots=True)
class RowLayout:
    """
    The layout of a file's rows.

    Attributes:
        wanted: For each requested column that the file has, in that order, the index of its field.
        extra: Name and index of the fields that nobody requested, in the order of the file.
        lacking: Requested columns that the file does not have, where that was allowed.
    """

    separator: int
    wanted: tuple[int, ...]
    extra: tuple[tuple[str, int], ...]
    lacking: tuple[str, ...] = ()

    @property
    def fields(self) -> int:
        return len(self.wanted) + len(self.extra)


def reject_non_csv(start: bytes) -> None:
    """Raise `NotTheReport` for a file that is no table: markup (its storage code is named), UTF-16, or only blanks."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _encoded_otherwise("UTF-16")
    text = start.removeprefix(BOM).lstrip()
    if text.startswith(b"<"):
        code = _STORAGE_CODE.search(text)
        why = f"the storage answered {code[1].decode('ascii')}" if code else "it did not come from the report's storage"
        raise NotTheReport("the report's file is a page of XML or HTML", why=why)
    if not text:
        raise NotTheReport(
            "the report's file is empty but for blanks", why="even a report without rows has a header line"
        )


def split_header(pieces: Iterator[bytes]) -> tuple[Header, Iterator[bytes]]:
    """
    Take the first line off the file; what follows is the data.

    Raises `FileDamaged` if the file ends inside quotes before the line does, `NotTheReport` if it is no table
    (`reject_non_csv`), or the line does not end within `MAX_HEADER_BYTES` or breaks the rules of `csv_validator`.
    """
    parts, size = [], 0
    while size <= MAX_HEADER_BYTES and (piece := next(pieces, b"")):
        parts.append(piece)
        size += len(piece)
        if size < _START_BYTES:
            continue
        parts = [b"".join(parts)]
        if b"\n" in parts[0] and index_csv(parts[0].removeprefix(BOM), separator=LF).ends.size:
            break
    start = b"".join(parts)
    reject_non_csv(start)
    text = start.removeprefix(BOM)
    bom_bytes = len(start) - len(text)
    marks = index_csv(text, separator=LF)
    is_ended = marks.ends.size > 0
    end = int(marks.ends[0]) if is_ended else len(text)
    header_bytes = min(end + 1, len(text))
    check_returns(marks.up_to(header_bytes), size_bytes=header_bytes, row=HEADER_ROW)
    is_open = not is_ended and marks.open_quote
    if is_open:
        _refuse_stray_quote(text)
    if end > MAX_HEADER_BYTES:
        raise NotTheReport(
            "the report's file has no header line",
            why=f"its first line does not end within {MAX_HEADER_BYTES:,} bytes",
            fix="look at the file with --keep-raw: a quote may never be closed, or it is another kind of file",
        )
    if is_open:
        raise ends_in_quotes()
    ends_open = not is_ended and not text.endswith(b"\r")
    header = Header(text[:end].removesuffix(b"\r"), bom_bytes + end + is_ended, ends_open)
    rest = text[end + 1 :]
    return header, chain([rest] if rest else [], pieces)  # an empty piece would be the end of the file


def read_header(
    line: bytes, *, columns: Sequence[ColumnPlan], is_redacted: bool = False, needed: str | None = None
) -> RowLayout:
    """
    Find each requested column exactly once in the header (behaviours 56, 136, 137, 139, 140, 161 and 184).

    A column is found by its exact name, else in any case, else by an alias, else by its letters and digits alone. Where
    one of these ways leads to two headers it is not clear which was meant.

    Args:
        is_redacted: Columns may be missing, because the service withholds them from the user's role (behaviour 23).
        needed: A column that may not be missing even then.

    Raises:
        NotTheReport: A column is missing, there twice, or could be either of two; the encoding is another one; or the
            line breaks the rules of `csv_validator`.
    """
    if line.count(0) > len(line) // 4:
        raise _encoded_otherwise("UTF-16")
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _encoded_otherwise(f"another encoding (byte 0x{line[error.start]:02X} in the header)") from None
    line = line.removeprefix(BOM)
    names, separator, found = _best_reading(line, columns, may_lack=is_redacted)
    _refuse_doubles(names, asked={column.name for column in columns})
    for column, indices in zip(columns, found, strict=True):
        if len(indices) > 1:
            raise NotTheReport(
                f"the report's file has more than one column that may be {column.name!r}: "
                f"{_listed(names[index] for index in indices)}",
                why="it is not clear which of them was requested",
                fix="run the same command again, and look at the file with --keep-raw if it happens again",
            )
    missing = [column.name for column, index in zip(columns, found, strict=True) if not index]
    is_withheld = is_redacted and needed not in missing and len(missing) < len(columns)
    if missing and not is_withheld:
        raise NotTheReport(
            f"the report's file lacks {_listed(missing)}",
            why=f"its header reads {_listed(names)}",
            fix="the service may have renamed or withdrawn columns: compare with `bulkpull datasets`",
        )
    wanted = tuple(index for indices in found for index in indices)
    return RowLayout(separator, wanted, extra=_extra(names, wanted, columns), lacking=tuple(missing))


def _refuse_stray_quote(text: bytes) -> None:
    """Refuse a quote in the middle of a field, under every separator that a file may have: it swallows the line end."""
    refusals: list[NotTheReport] = []
    for separator in _SEPARATORS:
        try:
            check_quotes(index_csv(text, separator=separator), first_row=HEADER_ROW)
        except NotTheReport as refusal:
            refusals.append(refusal)
    if len(refusals) == len(_SEPARATORS):
        raise refusals[0]


def _best_reading(
    line: bytes, columns: Sequence[ColumnPlan], *, may_lack: bool
) -> tuple[list[str], int, list[list[int]]]:
    """Names, separator and match under the separator that most of the columns appear with; a tie is a comma's."""
    readings: list[tuple[list[str], int, list[list[int]]]] = []
    refusals: list[NotTheReport] = []
    for separator in _SEPARATORS:
        try:
            names = [name.decode("utf-8") for name in _fields_of(line, separator=separator)]
            readings.append((names, separator, _match(names, columns)))
        except NotTheReport as refusal:
            refusals.append(refusal)
    best = max(readings, key=lambda reading: sum(map(bool, reading[2])), default=None)
    if best is None or (refusals and [] in best[2] and not (may_lack and any(best[2]))):
        raise refusals[0]
    return best


def _fields_of(line: bytes, *, separator: int) -> list[bytes]:
    """The fields of the header line, without their quoting."""
    row = line + b"\n"
    marks = index_csv(row, separator=separator)
    check_quotes(marks, first_row=HEADER_ROW)
    fields = int(marks.fields[0])
    if fields > MAX_COLUMNS:
        raise NotTheReport(
            f"the report's file has {fields:,} columns",
            why=f"that is more than the {MAX_COLUMNS:,} that are converted",
            fix="select fewer columns, or look at the file with --keep-raw",
        )
    stops = positions(marks.separators | marks.line_ends).tolist()
    raw = [row[start:stop] for start, stop in zip([0, *(stop + 1 for stop in stops)], stops, strict=False)]
    return [field[1:-1].replace(b'""', b'"') if field.startswith(b'"') else field for field in raw]


def _match(names: Sequence[str], columns: Sequence[ColumnPlan]) -> list[list[int]]:
    """For each column the indices of the headers that it may be; better ways to match go first for all columns."""
    found: list[list[int]] = [[] for _ in columns]
    taken: set[int] = set()

    def letters_of(name: str) -> str:
        return "".join(letter for letter in name.casefold() if letter.isalnum())

    ways: tuple[tuple[Callable[[str], str], Callable[[ColumnPlan], Iterable[str]]], ...] = (
        (str, lambda column: (column.name,)),
        (str.casefold, lambda column: (column.name,)),
        (str.casefold, lambda column: column.aliases),
        (letters_of, lambda column: (column.name, *column.aliases)),
    )
    for folded, spellings in ways:
        by_name: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            if index not in taken:
                by_name.setdefault(folded(name.strip()), []).append(index)
        for place, column in enumerate(columns):
            if found[place]:
                continue
            keys = dict.fromkeys(folded(spelling) for spelling in spellings(column))
            found[place] = [index for key in keys if key for index in by_name.get(key, ()) if index not in taken]
            taken.update(found[place])
    return found


def _extra(names: Sequence[str], wanted: Sequence[int], columns: Sequence[ColumnPlan]) -> tuple[tuple[str, int], ...]:
    """Names and indices of the fields that nobody requested; one without a name is called after its place."""
    asked, taken = set(wanted), {name.casefold() for name in (*names, *(column.name for column in columns))}
    extra: list[tuple[str, int]] = []
    for index, name in enumerate(names):
        if index in asked:
            continue
        shown = name
        if not name.strip():
            shown = f"column_{index + 1}"
            while shown.casefold() in taken:
                shown += "_"
            taken.add(shown.casefold())
        extra.append((shown, index))
    return tuple(extra)


def _refuse_doubles(names: Sequence[str], *, asked: set[str]) -> None:
    counted = Counter(name.strip().casefold() for name in names)
    # Two columns that differ in case only are two columns if both were asked for by exactly these names.
    doubled = [name for name in names if counted[name.strip().casefold()] > 1 and name.strip() and name not in asked]
    doubled += [name for name, times in Counter(names).items() if times > 1 and name in asked]
    if doubled:
        raise NotTheReport(
            f"the report's file has {_listed(dict.fromkeys(doubled))} more than once in its header",
            why="it is not clear which of them was requested",
            fix="run the same command again, and look at the file with --keep-raw if it happens again",
        )


def _encoded_otherwise(name: str) -> NotTheReport:
    return NotTheReport(f"the report's file is written in {name}", why="reports are UTF-8")


def _listed(names: Iterable[str]) -> str:
    shown = [repr(printable(name, most=60)) for name in names]
    more = f" and {len(shown) - _NAMES_SHOWN} more" if len(shown) > _NAMES_SHOWN else ""
    return ", ".join(shown[:_NAMES_SHOWN]) + more
