"""
CSV in gzip to Parquet, as the documentation of each library does it.

Prints the number of rows and the seconds that it took as JSON. The start of Python and of the library is
not counted.

    python convert.py duckdb|polars|pyarrow SOURCE FOLDER [--wide]
"""

# Each way imports its library itself: a measurement pays for its own one only.
# ruff: noqa: PLC0415

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path

NEEDED = {"duckdb": ("duckdb",), "polars": ("polars",), "pyarrow": ("pyarrow.csv", "pyarrow.parquet")}


def by_duckdb(source: Path, folder: Path) -> int:
    import duckdb

    copied = duckdb.execute(
        "COPY (SELECT * FROM read_csv($source)) TO $target (FORMAT parquet, COMPRESSION zstd)",
        {"source": str(source), "target": str(folder / "out.parquet")},
    ).fetchone()
    assert copied
    return int(copied[0])


def by_polars(source: Path, folder: Path) -> int:
    import polars as pl

    pl.scan_csv(source).sink_parquet(folder / "out.parquet", compression="zstd")
    return int(pl.scan_parquet(folder / "out.parquet").select(pl.len()).collect().item())


def by_pyarrow(source: Path, folder: Path) -> int:
    from pyarrow import csv, parquet

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


if __name__ == "__main__":
    ways = {"duckdb": by_duckdb, "polars": by_polars, "pyarrow": by_pyarrow}
    for name in NEEDED[sys.argv[1]]:
        importlib.import_module(name)
    began_s = time.perf_counter()
    rows = ways[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
    print(json.dumps({"rows": rows, "wall_s": time.perf_counter() - began_s}))
