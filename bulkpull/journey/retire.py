"""
Retire: what is old goes, so that a folder that is filled every night stays bounded; what somebody may need does not.

- A snapshot, with its raw file: when `retain_runs` newer ones are there and the one that replaced it is a day old.
- A run's folder in `runs/`: when no snapshot of it is left, it is a day old, and `retain_runs` newer ones are there,
  but at least thirty: nights that found nothing new are worth looking back at.
- What the ledger knows of a run: when its folder is gone and it began ninety days ago.

The snapshot that `current.json` names never goes, nor does anything that is not named like a run of ours. Deciding is
pure; a folder that cannot be removed stays until the next run, and harms nothing (fault 99).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import anyio
import anyio.to_thread

from bulkpull.clock import iso_utc
from bulkpull.records.files import remove_tree, sync_folder
from bulkpull.records.history import PRIVATE, RUN_ID, RUNS, run_ids
from bulkpull.records.ledger import Ledger

# A reader that opened a snapshot shortly before it was replaced is left the time to finish.
_A_DAY = timedelta(days=1)
_FEWEST_RUNS = 30
_REMEMBERED = timedelta(days=90)
_PREFIX = "run="


def snapshots_to_retire(names: Sequence[str], *, current: str, retain: int, now: datetime) -> list[str]:
    """
    Which `run=…` folders of a dataset may go (pure).

    Args:
        names: The folders that there are.
        current: The run that `current.json` names.
        retain: How many snapshots stay, the current one included.
    """
    runs = sorted((name for name in names if RUN_ID.fullmatch(name.removeprefix(_PREFIX))), reverse=True)
    kept = [f"{_PREFIX}{current}", *(name for name in runs if name != f"{_PREFIX}{current}")][:retain]
    replaced = {older for newer, older in pairwise(runs) if newer < f"{_PREFIX}{_stamp(now - _A_DAY)}"}
    return [name for name in runs if name not in kept and name in replaced]


def runs_to_retire(runs: Sequence[str], *, needed: Collection[str], retain: int, now: datetime) -> list[str]:
    """
    Which runs' folders may go (pure).

    Args:
        runs: The ids of the runs that have one.
        needed: Runs of which a snapshot is still there.
        retain: As `retain_runs` says.
    """
    by_age = sorted(runs, reverse=True)
    old = by_age[max(retain, _FEWEST_RUNS) :]
    return [run_id for run_id in old if run_id not in needed and run_id < _stamp(now - _A_DAY)]


def retire_snapshots(output: Path, dataset: str, *, current: str, retain: int, now: datetime) -> None:
    """Remove the dataset's old snapshots and their raw files; each is there whole, or gone."""
    folder = output / "datasets" / dataset
    names = [path.name for path in folder.iterdir()]
    for name in snapshots_to_retire(names, current=current, retain=retain, now=now):
        _remove_whole(folder / name, output=output)
        remove_tree(output / "raw" / dataset / name)


async def retire_runs(output: Path, ledger: Ledger, *, retain: int, now: datetime) -> None:
    """
    Remove the folders of old runs, and what the ledger knows of them.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    left = await anyio.to_thread.run_sync(lambda: _retire_runs(output, retain=retain, now=now))
    await ledger.prune(before=iso_utc(now - _REMEMBERED), keep=left)


def _retire_runs(output: Path, *, retain: int, now: datetime) -> set[str]:
    """Remove old runs' folders; returns the runs whose folders are left."""
    for run_id in runs_to_retire(run_ids(output), needed=set(_runs_with_data(output)), retain=retain, now=now):
        _remove_whole(output / RUNS / run_id, output=output)
    remove_tree(output / PRIVATE / "retired")
    return set(run_ids(output))


def _runs_with_data(output: Path) -> Iterator[str]:
    for kind in ("datasets", "raw"):
        for path in (output / kind).glob(f"*/{_PREFIX}*"):
            yield path.name.removeprefix(_PREFIX)


def _remove_whole(folder: Path, *, output: Path) -> None:
    """Move the folder out of readers' sight in one step, then remove it: nobody finds half of it."""
    aside = output / PRIVATE / "retired" / f"{folder.parent.name}-{folder.name}"
    with suppress(OSError):
        aside.parent.mkdir(parents=True, exist_ok=True)
        remove_tree(aside)
        folder.rename(aside)
        sync_folder(folder.parent)  # before what it holds goes, or a power cut could bring an empty one back
        remove_tree(aside)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%SZ}"
