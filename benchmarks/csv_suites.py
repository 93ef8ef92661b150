"""
Every CSV file of a folder through the converter, held against Python's `csv` cell for cell.

    python -m benchmarks.csv_suites FOLDER

For public collections of odd CSV files, such as csv-spectrum or Pollock; `benchmarks/README.md` tells how to get them.
A file is either equal, cell for cell, or refused with a reason. Anything else is a fault of the converter.
"""

from __future__ import annotations

import csv
import io
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import polars as pl

from bulkpull.catalog import ColumnType
from bulkpull.conversion.convert_file import convert
from bulkpull.conversion.messages import ColumnPlan, ConversionRequest
from bulkpull.errors import BulkpullError

ENDINGS = frozenset({".csv", ".tsv", ".txt"})
_MAX_UNPACKED_BYTES = 1 << 32
_BATCH_BYTES = 1 << 20
Cells = list[tuple[str | None, ...]]


class Verdict(StrEnum):
    """What became of a file."""

    EQUAL = "equal"
    REFUSED = "refused"
    NO_TABLE = "no table"
    DIFFERENT = "DIFFERENT"
    CRASHED = "CRASHED"


BAD = frozenset({Verdict.DIFFERENT, Verdict.CRASHED})


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A file, its verdict, and the reason or the first difference."""

    path: Path
    verdict: Verdict
    words: str = ""


def read_by_python(data: bytes, *, separator: str) -> tuple[list[str], Cells] | None:
    """Header and rows as Python's `csv` reads them; `None` when they are no table of rows of one length."""
    try:
        header, *rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=separator, strict=True)
    except (UnicodeDecodeError, csv.Error, ValueError):
        return None
    if len(header) == 1:
        rows = [row or [""] for row in rows]
    while rows and not rows[-1]:
        rows.pop()
    if not header or any(len(row) != len(header) for row in rows):
        return None
    return header, [tuple(cell or None for cell in row) for row in rows]


def separator_of(data: bytes) -> str:
    """The separator by which the service writes: a tab where the first line has one, else a comma."""
    return "\t" if b"\t" in data.partition(b"\n")[0] else ","


def hold_against_python(path: Path) -> CheckResult:
    """Convert one file, asking for every column that its header names, and compare every cell."""
    data = path.read_bytes()
    expected = read_by_python(data, separator=separator_of(data))
    names = expected[0] if expected else ["Column"]
    plans = tuple(ColumnPlan(name, ColumnType.STRING) for name in names)
    try:
        with tempfile.TemporaryDirectory() as folder:
            table = convert(
                ConversionRequest(
                    source=path,
                    into=Path(folder),
                    columns=plans,
                    metadata={},
                    max_unpacked_bytes=_MAX_UNPACKED_BYTES,
                    batch_bytes=_BATCH_BYTES,
                )
            )
            rows = pl.read_parquet([file.path for file in table.files]).rows()
    except BulkpullError as refused:
        return CheckResult(path, Verdict.REFUSED if expected else Verdict.NO_TABLE, refused.reason)
    except Exception as fault:  # noqa: BLE001 - whatever it is, it is what we look for
        return CheckResult(path, Verdict.CRASHED, f"{type(fault).__name__}: {fault}")
    if expected is None:
        return CheckResult(path, Verdict.DIFFERENT, "published, though Python finds no table in it")
    if rows != expected[1]:
        return CheckResult(path, Verdict.DIFFERENT, _first_difference(rows, expected[1]))
    return CheckResult(path, Verdict.EQUAL, f"{len(rows):,} rows x {len(names):,} columns")


def _first_difference(ours: Cells, theirs: Cells) -> str:
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), 1):
        if one != other:
            return f"row {number}: {one!r}, and Python reads {other!r}"
    return f"{len(ours):,} rows, and Python reads {len(theirs):,}"


def check_folder(folder: Path) -> Iterator[CheckResult]:
    """A finding for every CSV file beneath a folder, by path."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.casefold() in ENDINGS and path.is_file():
            yield hold_against_python(path)


def main(arguments: list[str]) -> int:
    """Print a line a file and a count; returns 1 where a file is neither equal nor refused, 2 for wrong usage."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: python -m benchmarks.csv_suites FOLDER\n")
        return 2
    folder, counts = Path(arguments[0]), Counter[Verdict]()
    for finding in check_folder(folder):
        counts[finding.verdict] += 1
        sys.stdout.write(f"{finding.verdict:10} {finding.path.relative_to(folder)}  {finding.words}\n")
    if not counts:
        sys.stderr.write(f"{folder} holds no file that ends in {', '.join(sorted(ENDINGS))}\n")
        return 2
    sys.stdout.write(", ".join(f"{count:,} {verdict}" for verdict, count in sorted(counts.items())) + "\n")
    return int(any(verdict in BAD for verdict in counts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
