"""What readers of the output folder rely on, asked as they ask: by current.json and by the pattern over latest/."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import polars as pl

Known = Mapping[str, Sequence[pl.DataFrame]]
"""By dataset: the contents of the snapshots that were ever whole."""

OURS = {"current.json", "latest", "datasets", "runs", "README.md", "views.sql", ".bulkpull"}
"""All that an export leaves in its folder (contract, section 4), without keep_raw."""


def check_readers(output: Path, known: Known, *, published: bool) -> dict[str, int]:
    """
    See that readers find whole snapshots, or none.

    Args:
        published: Whether there has to be something.

    Returns:
        By dataset, which of the known contents `current.json` names.
    """
    found: dict[str, int] = {}
    pointer = output / "current.json"
    assert pointer.exists() or not published, "there is no current.json any more"
    if pointer.exists():
        for dataset, snapshot in json.loads(pointer.read_text("utf-8"))["datasets"].items():
            frame = pl.read_parquet([output / file for file in snapshot["files"]], glob=False)
            assert frame.height == snapshot["rows"]
            found[dataset] = _which(frame, known[dataset])
    latest = output / "latest"
    for link in sorted(latest.iterdir()) if latest.exists() else ():
        if not link.name.startswith("."):
            _which(pl.read_parquet(link / "*.parquet"), known[link.name])
    assert not published or {path.name for path in latest.iterdir()} >= set(known)
    return found


def check_tidiness(output: Path, *, unfinished: Collection[str] = ()) -> None:
    """
    See that nothing lies in the folder but what belongs there: no temporary file, no half snapshot.

    Args:
        unfinished: Runs that were cut off and may keep what they have fetched.
    """
    assert {path.name for path in output.iterdir()} <= OURS
    assert not [path.name for path in (output / ".bulkpull").iterdir() if path.suffix == ".new"]
    current = json.loads((output / "current.json").read_text("utf-8"))["datasets"]
    assert {path.name for path in (output / "latest").iterdir()} == set(current)
    for run in (output / "runs").iterdir():
        assert not [path.name for path in run.iterdir() if path.is_dir() or path.name.startswith(".")], run
    for dataset in (output / "datasets").iterdir():
        for snapshot in dataset.iterdir():
            assert snapshot.name.startswith("run=")
            assert [path.suffix for path in snapshot.iterdir()] == [".parquet"], snapshot
    assert {path.name for path in (output / ".bulkpull" / "staging").iterdir()} <= set(unfinished)


def _which(frame: pl.DataFrame, known: Sequence[pl.DataFrame]) -> int:
    for number, whole in enumerate(known):
        if frame.equals(whole):
            return number
    raise AssertionError(f"a reader found {frame.height} rows that were never published together")
