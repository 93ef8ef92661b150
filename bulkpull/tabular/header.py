"""The file's first line × the columns asked for → the separator, and which field of a row is which column."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bulkpull.errors import NotTheReport
from bulkpull.redact import printable
from bulkpull.tabular.table import ColumnPlan

_BOM = b"\xef\xbb\xbf"
_SEPARATORS = (",", "\t")
_STORAGE_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9_]{1,100})\s*</Code>")
_NAMES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """
    How the rows of a file are to be read.

    Attributes:
        separator: The byte between two fields.
        wanted: For each column asked for, in that order, the index of its field.
        extra: Name and index of the fields that nobody asked for, in the order of the file.
    """

    separator: int
    wanted: tuple[int, ...]
    extra: tuple[tuple[str, int], ...]

    @property
    def fields(self) -> int:
        """How many fields each row must have."""
        return len(self.wanted) + len(self.extra)


def read_header(line: bytes, *, columns: Sequence[ColumnPlan]) -> Layout:
    """
    Find each column asked for exactly once in the header.

    A column is found by its exact name, else in any case, else by an alias, else by its letters and digits alone.

    Args:
        line: The first line of the file without its line end, with or without a byte order mark.

    Raises:
        NotTheReport: A column is missing or there twice, or the encoding is another one.

    Source: behaviours 56, 136, 137, 139 and 140.
    """
    text = _decoded(line)
    # The separator is the one under which most of the wanted columns appear; a tie is a comma's.
    layouts = [(_fields(text, separator), separator) for separator in _SEPARATORS]
    names, separator = max(layouts, key=lambda each: sum(found is not None for found in _match(each[0], columns)))
    found = _match(names, columns)
    missing = [column.name for column, index in zip(columns, found, strict=True) if index is None]
    if missing:
        raise NotTheReport(
            f"the report's file lacks {_listed(missing)}",
            why=f"its header reads {_listed(names)}",
            fix="the service may have renamed or withdrawn columns: compare with `bulkpull datasets`",
        )
    wanted = tuple(index for index in found if index is not None)
    _refuse_doubles(names, asked={column.name for column in columns})
    extra = tuple((name or f"column_{index + 1}", index) for index, name in enumerate(names) if index not in wanted)
    return Layout(separator=ord(separator), wanted=wanted, extra=extra)


def refuse_strangers(start: bytes) -> None:
    """
    Refuse a file that is no table at all, whatever its lines look like.

    Args:
        start: The first bytes of the file; for a page of the storage enough of them to hold its code.

    Raises:
        NotTheReport: A page of markup (its storage code is named), UTF-16, or nothing but blank lines.
    """
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _encoded_otherwise("UTF-16")
    text = start.removeprefix(_BOM).lstrip()
    if text.startswith(b"<"):
        code = _STORAGE_CODE.search(text)
        told = (
            f"the storage answered {code[1].decode('ascii')}" if code else "it did not come from the report's storage"
        )
        raise NotTheReport("the report's file is a page of XML or HTML", why=told)
    if not text:
        raise NotTheReport(
            "the report's file is empty but for blanks",
            why="even a report without rows has a header line",
        )


def _decoded(line: bytes) -> str:
    if line.count(0) > len(line) // 4:
        raise _encoded_otherwise("UTF-16")
    try:
        return line.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _encoded_otherwise(f"another encoding (byte 0x{line[error.start]:02X} in the header)") from None


def _fields(text: str, separator: str) -> list[str]:
    # strict: a header that the csv module can only guess at is matched as one long name, that is not at all
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), [""])
    except csv.Error:
        return [text]


def _match(names: Sequence[str], columns: Sequence[ColumnPlan]) -> list[int | None]:
    """For each column the index of its header, or `None`; better ways to match go first for all columns."""
    found: list[int | None] = [None] * len(columns)
    taken: set[int] = set()
    ways: tuple[tuple[Callable[[str], str], Callable[[ColumnPlan], Iterable[str]]], ...] = (
        (str, lambda column: (column.name,)),
        (str.casefold, lambda column: (column.name,)),
        (str.casefold, lambda column: column.aliases),
        (_bare, lambda column: (column.name, *column.aliases)),
    )
    for folded, spellings in ways:
        by_name: dict[str, int] = {}
        for index, name in enumerate(names):
            if index not in taken:
                by_name.setdefault(folded(name.strip()), index)
        for place, column in enumerate(columns):
            if found[place] is not None:
                continue
            for spelling in spellings(column):
                index_found = by_name.pop(folded(spelling), None)
                if index_found is not None:
                    found[place] = index_found
                    taken.add(index_found)
                    break
    return found


def _bare(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _refuse_doubles(names: Sequence[str], *, asked: set[str]) -> None:
    counted = Counter(name.strip().casefold() for name in names)
    # Two columns that differ in case only are two columns if both were asked for by exactly these names.
    doubled = [name for name in names if counted[name.strip().casefold()] > 1 and name.strip() and name not in asked]
    doubled += [name for name, times in Counter(names).items() if times > 1 and name in asked]
    if doubled:
        raise NotTheReport(
            f"the report's file has {_listed(dict.fromkeys(doubled))} more than once in its header",
            why="it cannot be told which of them was asked for",
            fix="run the same command again, and look at the file with --keep-raw if it stays so",
        )


def _encoded_otherwise(name: str) -> NotTheReport:
    return NotTheReport(f"the report's file is written in {name}", why="reports are UTF-8")


def _listed(names: Iterable[str]) -> str:
    shown = [repr(printable(name, most=60)) for name in names]
    more = f" and {len(shown) - _NAMES_SHOWN} more" if len(shown) > _NAMES_SHOWN else ""
    return ", ".join(shown[:_NAMES_SHOWN]) + more
