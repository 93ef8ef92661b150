"""
CSV in gzip to Parquet, as the documentation of each library does it.

Prints the number of rows and the seconds that it took as JSON. The start of Python and of the library is
not counted.

    python convert.py duckdb|polars|pyarrow SOURCE FOLDER [--wide]
"""

# Each way imports its library itself: a measurement pays for its own one only, and that before the clock starts.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

Convert = Callable[[Path, Path], int]


def by_duckdb() -> Convert:
    import duckdb

    def convert(source: Path, folder: Path) -> int:
        copied = duckdb.execute(
            "COPY (SELECT * FROM read_csv($source)) TO $target (FORMAT parquet, COMPRESSION zstd)",
            {"source": str(source), "target": str(folder / "out.parquet")},
        ).fetchone()
        assert copied
        return int(copied[0])

    return convert


def by_polars() -> Convert:
    import polars as pl

    def convert(source: Path, folder: Path) -> int:
        pl.scan_csv(source).sink_parquet(folder / "out.parquet", compression="zstd")
        return int(pl.scan_parquet(folder / "out.parquet").select(pl.len()).collect().item())

    return convert


def by_pyarrow() -> Convert:
    from pyarrow import csv, parquet

    def convert(source: Path, folder: Path) -> int:
        rows = 0
        # Quoted fields may hold line ends; without this option they are errors.
        parsing = csv.ParseOptions(newlines_in_values=True)
        reading = csv.ReadOptions(block_size=8 << 20)
        with (
            csv.open_csv(source, read_options=reading, parse_options=parsing) as reader,
            parquet.ParquetWriter(folder / "out.parquet", reader.schema, compression="zstd") as writer,
        ):
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
        return rows

    return convert


if __name__ == "__main__":
    ways = {"duckdb": by_duckdb, "polars": by_polars, "pyarrow": by_pyarrow}
    convert = ways[sys.argv[1]]()
    began_s = time.perf_counter()
    rows = convert(Path(sys.argv[2]), Path(sys.argv[3]))
    print(json.dumps({"rows": rows, "wall_s": time.perf_counter() - began_s}))
