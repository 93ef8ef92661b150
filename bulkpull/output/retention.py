"""
Retention: deletes old snapshots, run folders and ledger entries.

- A snapshot goes, with its raw file, if `retain_runs` newer ones exist and it was replaced more than a day ago.
- A run's folder in `runs/` goes if no snapshot of it is left, it is a day old, and `retain_runs` newer ones exist, but
  at least thirty, so that runs without new data can be inspected.
- The ledger entries of a run go if its folder is gone and it began more than ninety days ago.

The snapshot in `current.json` is never deleted, nor is anything without the name of one of our runs. A folder that
cannot be removed stays until the next run (fault 99).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import anyio.to_thread

from bulkpull.output.current import CurrentSnapshot
from bulkpull.output.layout import DATASETS, RAW, RUN_ID, run_of_snapshot, snapshot_name
from bulkpull.output.ledger import Ledger
from bulkpull.output.ledger_facts import ScheduledReportFacts
from bulkpull.output.owner import foreign_runs
from bulkpull.output.run_history import run_ids
from bulkpull.output.store import INSIDE, OutputStore

# A reader that opened a snapshot shortly before it was replaced has time to finish.
_A_DAY = timedelta(days=1)
_FEWEST_RUNS = 30
_REMEMBERED = timedelta(days=90)


def snapshots_to_retire(
    names: Sequence[str], *, current: str, retain: int, now: datetime, replaced: Mapping[str, datetime] | None = None
) -> list[str]:
    """Which `run=…` folders of a dataset may go (pure); `replaced` tells when those of known runs were replaced."""
    known, a_day_ago = replaced or {}, now - _A_DAY
    runs = sorted((name for name in names if RUN_ID.fullmatch(run_of_snapshot(name))), reverse=True)
    newest = snapshot_name(current)
    kept = [newest, *(name for name in runs if name != newest)][:retain]
    # Replaced when the next newer run began, at the earliest.
    superseded = {older for newer, older in pairwise(runs) if newer < snapshot_name(_stamp(a_day_ago))}

    def is_free(name: str) -> bool:
        at = known.get(run_of_snapshot(name))
        return name in superseded if at is None else at < a_day_ago

    return [name for name in runs if name not in kept and is_free(name)]


def runs_to_retire(runs: Sequence[str], *, needed: Collection[str], retain: int, now: datetime) -> list[str]:
    """Which runs' folders may go (pure)."""
    by_age = sorted(runs, reverse=True)
    old = by_age[max(retain, _FEWEST_RUNS) :]
    return [run_id for run_id in old if run_id not in needed and run_id < _stamp(now - _A_DAY)]


def retire_snapshots(
    store: OutputStore, dataset: str, *, snapshot: CurrentSnapshot, retain: int, now: datetime
) -> None:
    """Remove the dataset's old snapshots and their raw files; each is there whole, or gone."""
    folder = INSIDE.snapshots(dataset)
    names = store.list_names(folder)
    find_old = partial(snapshots_to_retire, current=snapshot.run_id, retain=retain, now=now, replaced=snapshot.replaced)
    if len(names) <= retain or not find_old(names):
        return  # with fewer names even less is old, and no manifest has to be read
    # Runs copied from another account's folder are neither counted nor removed (case O3).
    foreign = foreign_runs(store, [run_of_snapshot(name) for name in names])
    for name in find_old([name for name in names if run_of_snapshot(name) not in foreign]):
        store.delete(folder / name)
        store.delete(INSIDE.snapshots(dataset, kind=RAW) / name)


async def retire_runs(store: OutputStore, ledger: Ledger, *, retain: int, now: datetime) -> None:
    """Remove the folders of old runs, and what the ledger knows of them."""

    def retire_folders() -> set[str]:
        folders = [Path(kind, dataset) for kind in (DATASETS, RAW) for dataset in store.list_names(Path(kind))]
        needed = {run_of_snapshot(name) for folder in folders for name in store.list_names(folder)}
        for run_id in runs_to_retire(run_ids(store), needed=needed, retain=retain, now=now):
            store.delete(INSIDE.run(run_id))
        store.delete_leftovers()
        return set(run_ids(store))

    left = await anyio.to_thread.run_sync(retire_folders)
    await ledger.prune(before=now - _REMEMBERED, keep=left, keep_last=ScheduledReportFacts)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%SZ}"
