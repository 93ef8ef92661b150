"""
`python onlooker.py OUT`: reads what is published again and again, with polars and DuckDB, while others write and die.

It follows current.json and the pattern over latest/. Every snapshot that it has not seen before is printed as a line of
JSON: how it was found, dataset, rows, digest of its rows. It ends when its standard input does, or with status 1 and a
word at the first thing that is not whole.
"""

from __future__ import annotations

import hashlib
import json
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

Rows = list[tuple[Any, ...]]


def main(output: Path) -> None:
    """Look until standard input ends."""
    seen: set[str] = set()
    looks, pause_s = 0, 0.05
    while not select.select([sys.stdin], [], [], pause_s)[0]:
        began_s = time.thread_time()
        for sight in _look(output):
            line = json.dumps(sight)
            if line not in seen:
                seen.add(line)
                print(line, flush=True)  # noqa: T201 - its output
        looks += 1
        # It takes a fifth of one processor at most: the others need the machine, too.
        pause_s = max(0.05, 4 * (time.thread_time() - began_s))
    print(json.dumps({"looks": looks}), flush=True)  # noqa: T201 - its output


def _look(output: Path) -> Iterator[dict[str, Any]]:
    try:
        current = json.loads((output / "current.json").read_text("utf-8"))
    except FileNotFoundError:
        return
    for dataset, snapshot in current["datasets"].items():
        files = [str(output / file) for file in snapshot["files"]]
        rows = pl.read_parquet(files, glob=False).rows()
        if rows != duckdb.read_parquet(files).fetchall():
            raise SystemExit(f"{dataset}: polars and DuckDB read different rows")
        if len(rows) != snapshot["rows"]:
            raise SystemExit(f"{dataset}: {len(rows)} rows, and current.json says {snapshot['rows']}")
        yield _sight("current.json", dataset, rows)
    for link in sorted((output / "latest").glob("[!.]*")):
        # Followed once: an engine that opens a file twice by its path may meet two snapshots while the link moves.
        folder = link.resolve()
        yield _sight("latest", link.name, pl.read_parquet(folder / "*.parquet").rows())
        yield _sight("latest", link.name, duckdb.read_parquet(f"{folder}/*.parquet").fetchall())


def _sight(way: str, dataset: str, rows: Rows) -> dict[str, Any]:
    return {"way": way, "dataset": dataset, "rows": len(rows), "digest": digest_of(rows)}


def digest_of(rows: Rows) -> str:
    """A name for these rows in this order."""
    return hashlib.sha256(repr(rows).encode()).hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
