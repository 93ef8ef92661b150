"""
Our conversion as a process of its own, as a run does it.

    python -m benchmarks.ours_convert SOURCE FOLDER [--wide] [--at-once N]

Prints the number of rows and the seconds that it took as JSON. Starting Python and importing polars is not counted: in
a run, children that convert are started while the service still makes its reports. With `--at-once` so many children
convert the same file side by side, each into a folder of its own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio

from benchmarks.columns import COLUMNS, WIDE_COLUMNS
from bulkpull.conversion.messages import ColumnPlan, ConversionRequest
from bulkpull.pipeline.steps.convert import BATCH_BYTES, convert_report, warm_up

# Three times as long as a child takes.
_STARTING_S = 1.0


async def convert(source: Path, folder: Path, *, columns: Sequence[ColumnPlan], limiter: anyio.CapacityLimiter) -> int:
    """Convert in a child process; the rows."""
    request = ConversionRequest(source, folder, tuple(columns), {}, 1 << 40, BATCH_BYTES)
    table = await convert_report(request, limiter=limiter)
    assert not any(column.misfit for column in table.columns), "a column stayed text, which would be less work"
    return table.rows


async def main() -> None:
    """Convert what the command line names, by children that have started."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--at-once", type=int)
    given = parser.parse_args()
    columns, at_once = WIDE_COLUMNS if given.wide else COLUMNS, given.at_once or 1
    folders = [given.folder / str(number) for number in range(at_once)] if given.at_once else [given.folder]
    limiter, rows = anyio.CapacityLimiter(at_once), list[int]()

    async def convert_into(folder: Path) -> None:
        rows.append(await convert(given.source, folder, columns=columns, limiter=limiter))

    for folder in folders:
        folder.mkdir(exist_ok=True)
    async with anyio.create_task_group() as background:
        background.start_soon(partial(warm_up, limiter, most=at_once))
        await anyio.sleep(_STARTING_S * at_once)
        began_s = time.perf_counter()
        async with anyio.create_task_group() as conversions:
            for folder in folders:
                conversions.start_soon(convert_into, folder)
        print(json.dumps({"rows": rows[0], "wall_s": time.perf_counter() - began_s}))
        background.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
