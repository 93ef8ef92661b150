"""
The conversion, with all of its checks, beside DuckDB and bare polars, which check less.

    python -m benchmarks.convert [--size 1.2e9] [--rounds 5] [--wide] [--only ours]

All convert the same gzip of a CSV, by turns and each in processes of its own, so that whatever else the machine does
meets every one of them. The file is made once and kept. `--wide` (80 columns with names of 100 letters) and
`--size 1e10` are there for the memory.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Cost, cost_of, machine, told

_FOLDER = Path(__file__).parents[1] / ".build" / "benchmarks"
_MB = 1e6

# What converts imports its libraries itself: a measurement pays for its own ones only.
# ruff: noqa: PLC0415


def ours(source: Path, folder: Path, *, wide: bool) -> int:
    """What an export runs: the conversion in its child process. The rows that it converted."""
    import anyio

    from benchmarks.columns import COLUMNS, WIDE_COLUMNS
    from bulkpull.journey.convert import convert_report

    async def rows() -> int:
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

    return anyio.run(rows)


def by_duckdb(source: Path, folder: Path, *, wide: bool) -> int:
    """As its documentation converts CSV to Parquet."""
    import duckdb

    del wide
    copied = duckdb.execute(
        "COPY (SELECT * FROM read_csv($source)) TO $target (FORMAT parquet, COMPRESSION zstd)",
        {"source": str(source), "target": str(folder / "out.parquet")},
    ).fetchone()
    assert copied
    return int(copied[0])


def by_polars(source: Path, folder: Path, *, wide: bool) -> int:
    """As its documentation converts what does not fit into memory."""
    import polars as pl

    del wide
    pl.scan_csv(source).sink_parquet(folder / "out.parquet", compression="zstd")
    return int(pl.scan_parquet(folder / "out.parquet").select(pl.len()).collect().item())


WAYS: dict[str, Callable[..., int]] = {"ours": ours, "duckdb": by_duckdb, "polars": by_polars}


def main() -> None:
    """Measure, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.convert", description=__doc__.splitlines()[1])
    parser.add_argument("--size", type=float, default=1.2e9, help="bytes of CSV (default: %(default).2g)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each one converts it (default: %(default)s)")
    parser.add_argument("--wide", action="store_true", help="80 columns with names of 100 letters")
    parser.add_argument("--only", choices=WAYS, action="append", help="leave out the others; may be given repeatedly")
    parser.add_argument("--once", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    source = _FOLDER / f"{'wide' if options.wide else 'usage'}-{int(options.size)}.csv.gz"
    target = _FOLDER / "converted"
    if options.once:
        print(WAYS[options.once](source, target, wide=options.wide))
        return
    from benchmarks.reports import make_report

    _FOLDER.mkdir(parents=True, exist_ok=True)
    make_report(source, size_bytes=int(options.size), wide=options.wide)
    again = [sys.executable, "-m", "benchmarks.convert", f"--size={options.size}", *["--wide"] * options.wide]
    costs: dict[str, list[Cost]] = {name: [] for name in options.only or WAYS}
    sizes = dict.fromkeys(costs, 0)
    for _ in range(options.rounds):
        for name, measured in costs.items():
            target.mkdir()
            try:
                measured.append(cost_of([*again, f"--once={name}"], output=_FOLDER / "rows"))
                sizes[name] = sum(file.stat().st_size for file in target.iterdir())
            finally:
                shutil.rmtree(target)
    _print(costs, sizes=sizes, source=source)


def _print(costs: dict[str, list[Cost]], *, sizes: dict[str, int], source: Path) -> None:
    rows = {int(cost.output) for measured in costs.values() for cost in measured}
    assert len(rows) == 1, f"they do not agree on the number of rows: {rows}"
    print(f"{source.name}: {rows.pop():,} rows; {machine()}")
    print("median (range)            wall s               CPU s        peak MB    Parquet MB")
    for name, measured in costs.items():
        wall, cpu = (told(getattr(cost, each) for cost in measured) for each in ("wall_s", "cpu_s"))
        peak = max(cost.peak_bytes for cost in measured) / _MB
        print(f"{name:8} {wall:>24} {cpu:>24} {peak:10.0f} {sizes[name] / _MB:12.0f}")
    for name, measured in costs.items():
        if "ours" in costs and name != "ours":
            pairs = list(zip(measured, costs["ours"], strict=True))
            # By turns, so round by round: what slowed the machine down in a round slowed down all of that round.
            speed = statistics.median(other.wall_s / own.wall_s for other, own in pairs)
            work = statistics.median(other.cpu_s / own.cpu_s for other, own in pairs)
            print(f"ours is {speed:.2f} × as fast as {name}, at {1 / work:.2f} × its processor time")


if __name__ == "__main__":
    main()
