"""
Our conversion as a process of its own, as a run does it.

    python -m benchmarks.ours_convert SOURCE FOLDER [--wide]

Prints the number of rows.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from benchmarks.columns import COLUMNS, WIDE_COLUMNS
from bulkpull.journey.convert import convert_report


async def convert(source: Path, folder: Path, *, wide: bool) -> int:
    """Convert in a child process; the rows."""
    table = await convert_report(
        source,
        into=folder,
        columns=WIDE_COLUMNS if wide else COLUMNS,
        metadata={},
        max_unpacked_bytes=1 << 40,
        limiter=anyio.CapacityLimiter(1),
    )
    assert not any(column.misfit for column in table.columns), "a column stayed text, which would be less work"
    return table.rows


async def main() -> None:
    """Convert what the command line names."""
    print(await convert(Path(sys.argv[1]), Path(sys.argv[2]), wide="--wide" in sys.argv))


if __name__ == "__main__":
    anyio.run(main)
