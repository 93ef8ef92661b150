"""Finds the retained snapshots of a dataset, to be read as one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from bulkpull.conversion.file_formats import is_table
from bulkpull.errors import DiskTrouble, SettingsError
from bulkpull.output.integrity import location_problem
from bulkpull.output.layout import RUN_ID, run_of_snapshot
from bulkpull.output.manifest import DatasetRecord
from bulkpull.output.owner import foreign_runs
from bulkpull.output.run_history import load_manifest, resolve_run_id
from bulkpull.output.scan import Snapshot, scan_together
from bulkpull.output.store import INSIDE, OutputStore

ALL = "all"


def scan_runs(store: OutputStore, dataset: str, *, runs: Sequence[str]) -> pl.LazyFrame:
    """
    Snapshots of a dataset read together, the oldest first.

    Those of another account, which a copy brought into the folder, are left out (case O3). A snapshot that retention
    removes before the rows are collected makes collecting fail; reading anew finds the rest.

    Args:
        dataset: The published name.
        runs: Ids, or their beginnings; `["all"]` for every snapshot that is there.

    Raises:
        DiskTrouble: A file of one of them is missing, or went while it was looked at.
        SettingsError: There is no snapshot of such a run; the message names those there are.
    """
    folder = INSIDE.snapshots(dataset)
    found = (run_of_snapshot(name) for name in store.list_names(folder))
    known = [run_id for run_id in found if RUN_ID.fullmatch(run_id)]
    foreign = foreign_runs(store, known)
    there = sorted((run_id for run_id in known if run_id not in foreign), reverse=True)
    if not there:
        raise SettingsError(f"no snapshot of {dataset} is left in {store}", fix=f"export it anew: {dataset}")
    place = store.place(folder)
    wanted = there if list(runs) == [ALL] else {resolve_run_id(run, known=there, output=place) for run in runs}
    snapshots = [_describe(store, dataset, run_id) for run_id in sorted(wanted)]
    for snapshot in snapshots:
        _refuse_damaged(snapshot, dataset, store=store)
    try:
        return scan_together(snapshots, source=store.source)
    except FileNotFoundError as gone:  # retention, or a hand, was faster
        raise DiskTrouble(
            f"a snapshot of {dataset} in {store} was removed while it was checked",
            why=gone.filename or str(gone).partition("\n")[0],
            fix="read again: retention has deleted it, and the remaining snapshots will be found",
        ) from None


def _describe(store: OutputStore, dataset: str, run_id: str) -> Snapshot:
    manifest = load_manifest(store, run_id)
    for record in manifest.datasets if manifest else ():
        if record.dataset == dataset and record.status == "complete":
            return _as_snapshot(record, run_id)
    # The run was killed before it wrote its manifest; the folder is complete all the same.
    folder = INSIDE.snapshot(dataset, run_id)
    return Snapshot(run_id, tuple(folder / name for name in store.list_names(folder) if is_table(name)))


def _refuse_damaged(snapshot: Snapshot, dataset: str, *, store: OutputStore) -> None:
    faults = ((store.place(path), location_problem(store, path.as_posix())) for path in snapshot.files)
    missing = [f"{path}: {what}" for path, what in faults if what is not None]
    if missing or not snapshot.files:
        raise DiskTrouble(
            f"the snapshot of {dataset} by run {snapshot.run_id} is no longer complete",
            why=missing[0] if missing else "its folder is empty",
            fix="`bulkpull runs verify` shows what else is damaged; read the others by naming their runs",
        )


def _as_snapshot(record: DatasetRecord, run_id: str) -> Snapshot:
    return Snapshot(
        run_id,
        tuple(Path(file.path) for file in record.files),
        formats={column.name: column.format for column in record.columns if column.format},
        empty=frozenset(column.name for column in record.columns if column.empty),
    )
