"""
CSV in gzip to Parquet, as the documentation of each library does it.

Prints the number of rows and the seconds that it took as JSON. The start of Python and of the library is
not counted.

    python convert.py WAY SOURCE FOLDER [--wide] [--at-once N]

WAY is one of `WAYS`. A folder as SOURCE stands for all files below it, one after another. With `--at-once` so many
processes convert the same file side by side, each into a folder of its own.
"""

# Each way imports its library itself: a measurement pays for its own one only, and that before the clock starts.
# ruff: noqa: PLC0415

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

Convert = Callable[[Path, Path], int]
# As ours writes them: zstd at its quickest level, and about 32 MB of values in a row group.
_LEVEL, _GROUP_ROWS, _GROUP_ROWS_WIDE = 1, 262_144, 32_768


def by_duckdb(*, is_wide: bool, options: str = "") -> Convert:
    import duckdb

    rows = _GROUP_ROWS_WIDE if is_wide else _GROUP_ROWS
    written = f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {_LEVEL}, ROW_GROUP_SIZE {rows}"

    def convert(source: Path, folder: Path) -> int:
        copied = duckdb.execute(
            f"COPY (SELECT * FROM read_csv($source{options})) TO $target ({written})",  # noqa: S608 - constants only
            {"source": str(source), "target": str(folder / "out.parquet")},
        ).fetchone()
        assert copied
        return int(copied[0])

    return convert


def by_polars(*, is_wide: bool, has_types: bool = False) -> Convert:
    import polars as pl

    rows = _GROUP_ROWS_WIDE if is_wide else _GROUP_ROWS
    types: dict[str, pl.DataType | type[pl.DataType]] = {
        **dict.fromkeys(("PGAMpnId", "CustomerTpid"), pl.String),
        **dict.fromkeys(("SubscriptionStartDate", "SubscriptionEndDate", "Month"), pl.Date),
        "FirstUseDate": pl.Datetime("us"),
        **dict.fromkeys(("UsageUnits", "MonthlySubscriptionLevelACR"), pl.Decimal(38, 6)),
    }

    def scan(source: Path) -> pl.LazyFrame:
        if not has_types:
            return pl.scan_csv(source)
        return pl.scan_csv(source, infer_schema=False) if is_wide else pl.scan_csv(source, schema_overrides=types)

    def convert(source: Path, folder: Path) -> int:
        scan(source).sink_parquet(
            folder / "out.parquet",
            compression="zstd",
            compression_level=_LEVEL,
            row_group_size=rows,
            engine="streaming",
        )
        return int(pl.scan_parquet(folder / "out.parquet").select(pl.len()).collect().item())

    return convert


def by_pyarrow(*, is_wide: bool) -> Convert:  # noqa: ARG001 - its row groups are the batches that it reads
    from pyarrow import csv, parquet

    def convert(source: Path, folder: Path) -> int:
        rows = 0
        # Quoted fields may hold line ends; without this option they are errors.
        parsing = csv.ParseOptions(newlines_in_values=True)
        reading = csv.ReadOptions(block_size=8 << 20)
        with (
            csv.open_csv(source, read_options=reading, parse_options=parsing) as reader,
            parquet.ParquetWriter(
                folder / "out.parquet", reader.schema, compression="zstd", compression_level=_LEVEL
            ) as writer,
        ):
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
        return rows

    return convert


WAYS: dict[str, Callable[..., Convert]] = {
    "duckdb": by_duckdb,
    "duckdb-ignoring-errors": partial(by_duckdb, options=", ignore_errors = true"),
    "polars": by_polars,
    "polars-same-types": partial(by_polars, has_types=True),
    "pyarrow": by_pyarrow,
}


def load(way: str, *, is_wide: bool) -> None:
    """Import the library, in a process that waits for its file."""
    WAYS[way](is_wide=is_wide)


def convert_file(way: str, source: Path, folder: Path, *, is_wide: bool) -> int:
    """Convert in this process; the rows."""
    folder.mkdir(exist_ok=True)
    return WAYS[way](is_wide=is_wide)(source, folder)


def convert_side_by_side(way: str, source: Path, folder: Path, *, is_wide: bool, at_once: int) -> tuple[int, float]:
    """Convert the file so many times at once, each in a process that has started; the rows of one, and seconds."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(at_once, initializer=partial(load, way, is_wide=is_wide)) as pool:
        ready = [pool.apply_async(time.sleep, (1,)) for _ in range(at_once)]  # one for each: they have all started then
        for answer in ready:
            answer.get()
        began_s = time.perf_counter()
        folders = [folder / str(number) for number in range(at_once)]
        rows = pool.map(partial(convert_file, way, source, is_wide=is_wide), folders, chunksize=1)
        return rows[0], time.perf_counter() - began_s


def _files(source: Path) -> list[Path]:
    return [path for path in source.rglob("*.gz") if path.is_file()] if source.is_dir() else [source]


def main() -> None:
    """Convert what the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--at-once", type=int)
    given = parser.parse_args()
    if given.at_once:
        rows, wall_s = convert_side_by_side(
            given.way, given.source, given.folder, is_wide=given.wide, at_once=given.at_once
        )
    else:
        convert = WAYS[given.way](is_wide=given.wide)
        began_s = time.perf_counter()
        rows = 0
        for number, source in enumerate(sorted(_files(given.source))):
            into = given.folder / str(number) if given.source.is_dir() else given.folder
            into.mkdir(exist_ok=True)
            rows += convert(source, into)
        wall_s = time.perf_counter() - began_s
    print(json.dumps({"rows": rows, "wall_s": wall_s}))


if __name__ == "__main__":
    main()
