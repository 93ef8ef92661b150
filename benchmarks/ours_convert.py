"""
Our conversion as a process of its own, as a run does it.

    python -m benchmarks.ours_convert SOURCE FOLDER [--wide]

Prints the number of rows and the seconds that it took as JSON. Starting Python and importing polars is not counted: in
a run, children that convert are started while the service still makes its reports.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio

from benchmarks.columns import COLUMNS, WIDE_COLUMNS
from bulkpull.conversion.messages import ColumnPlan
from bulkpull.pipeline.steps.convert import convert_report, warm_up

# Three times as long as a child takes.
_STARTING_S = 1.0


async def convert(source: Path, folder: Path, *, columns: Sequence[ColumnPlan], limiter: anyio.CapacityLimiter) -> int:
    """Convert in a child process; the rows."""
    table = await convert_report(
        source, into=folder, columns=columns, metadata={}, max_unpacked_bytes=1 << 40, limiter=limiter
    )
    assert not any(column.misfit for column in table.columns), "a column stayed text, which would be less work"
    return table.rows


async def main() -> None:
    """Convert what the command line names, by a child that has started."""
    limiter = anyio.CapacityLimiter(1)
    columns = WIDE_COLUMNS if "--wide" in sys.argv else COLUMNS
    async with anyio.create_task_group() as group:
        group.start_soon(partial(warm_up, limiter, most=1))
        await anyio.sleep(_STARTING_S)
        began_s = time.perf_counter()
        rows = await convert(Path(sys.argv[1]), Path(sys.argv[2]), columns=columns, limiter=limiter)
        print(json.dumps({"rows": rows, "wall_s": time.perf_counter() - began_s}))
        group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
