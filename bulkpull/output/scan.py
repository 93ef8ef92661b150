"""
Reads several snapshots of a dataset as one table, with the run of each row, whatever their columns and types.

A column has one type over all snapshots: its common type, or the narrowest that holds all values, or else the text of
the report file. A column that a snapshot lacks is null there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import polars as pl

from bulkpull.conversion.date_formats import write_dates
from bulkpull.conversion.output_formats import Source, format_of, is_table
from bulkpull.conversion.type_inference import widen
from bulkpull.errors import DiskTrouble, SettingsError
from bulkpull.output.integrity import location_problem
from bulkpull.output.layout import RUN_ID, run_of_snapshot
from bulkpull.output.owner import foreign_runs
from bulkpull.output.run_history import load_manifest, resolve_run_id
from bulkpull.output.store import INSIDE, OutputStore

RUN_COLUMN = "_run_id"
ALL = "all"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    A snapshot that is to be read, from files of one set of columns and types.

    `formats` tells how the dates of a column were written in the report's file; `empty` columns have no value.
    """

    run_id: str
    files: tuple[Path, ...]
    formats: Mapping[str, str] = field(default_factory=dict)
    empty: frozenset[str] = frozenset()


def scan_files(files: Sequence[Path], *, source: Callable[[Path], Source]) -> pl.LazyFrame:
    """The rows of the files of one snapshot, in their order; loaded lazily."""
    return format_of(files[0]).files.scan([source(file) for file in files])


def scan_runs(store: OutputStore, dataset: str, *, runs: Sequence[str]) -> pl.LazyFrame:
    """
    Snapshots of a dataset read together, the oldest first; loaded lazily.

    `runs` are ids, or their beginnings; `["all"]` for every snapshot that is there, but for those of another account,
    which a copy brought into the folder (case O3). A snapshot that retention removes before the rows are collected
    makes collecting fail; reading again finds the rest. The columns are `_run_id`, then those of the last snapshot,
    then those that only earlier ones have.

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
        raise SettingsError(f"no snapshot of {dataset} is left in {store}", fix=f"export it again: {dataset}")
    place = store.place(folder)
    wanted = there if list(runs) == [ALL] else {resolve_run_id(run, known=there, output=place) for run in runs}
    snapshots = [_load_snapshot(store, dataset, run_id) for run_id in sorted(wanted)]
    try:
        return _scan_together(snapshots, source=store.source)
    except FileNotFoundError as gone:  # retention, or a person, was faster
        raise DiskTrouble(
            f"a snapshot of {dataset} in {store} was removed while it was checked",
            why=gone.filename or str(gone).partition("\n")[0],
            fix="read again: retention has deleted it, and the remaining snapshots will be found",
        ) from None


def _load_snapshot(store: OutputStore, dataset: str, run_id: str) -> Snapshot:
    manifest = load_manifest(store, run_id)
    if manifest and (record := manifest.published.get(dataset)):
        snapshot = Snapshot(
            run_id,
            tuple(Path(file.path) for file in record.files),
            formats={column.name: column.format for column in record.columns if column.format},
            empty=frozenset(column.name for column in record.columns if column.empty),
        )
    else:  # the run was killed before it wrote its manifest; the folder is complete all the same
        folder = INSIDE.snapshot(dataset, run_id)
        snapshot = Snapshot(run_id, tuple(folder / name for name in store.list_names(folder) if is_table(name)))
    faults = ((store.place(path), location_problem(store, path.as_posix())) for path in snapshot.files)
    missing = [f"{path}: {what}" for path, what in faults if what is not None]
    if missing or not snapshot.files:
        raise DiskTrouble(
            f"the snapshot of {dataset} by run {run_id} is no longer complete",
            why=missing[0] if missing else "its folder is empty",
            fix="`bulkpull runs verify` shows what else is damaged; read the others by naming their runs",
        )
    return snapshot


def _scan_together(snapshots: Sequence[Snapshot], *, source: Callable[[Path], Source]) -> pl.LazyFrame:
    schemas = [scan_files(snapshot.files[:1], source=source).collect_schema() for snapshot in snapshots]
    types = common_types(schemas, empty=[snapshot.empty for snapshot in snapshots])
    frames = [
        scan_files(snapshot.files, source=source).select(
            pl.lit(snapshot.run_id).alias(RUN_COLUMN),
            *(_as(dtype, name, schema.get(name), snapshot.formats.get(name)) for name, dtype in types.items()),
        )
        for snapshot, schema in zip(snapshots, schemas, strict=True)
    ]
    return pl.concat(frames, how="vertical")


def common_types(
    schemas: Sequence[Mapping[str, pl.DataType]], *, empty: Sequence[frozenset[str]]
) -> dict[str, pl.DataType]:
    """The type of each column that holds the values of all snapshots; those of `empty` columns do not count (pure)."""
    types: dict[str, pl.DataType] = {}
    for name in dict.fromkeys(name for schema in reversed(schemas) for name in schema):
        having = [(schema[name], name in blank) for schema, blank in zip(schemas, empty, strict=True) if name in schema]
        informative = [dtype for dtype, is_empty in having if not is_empty] or [having[-1][0]]
        types[name] = reduce(lambda one, other: widen(one, other) or pl.String(), informative)
    return types


def _as(dtype: pl.DataType, name: str, stored: pl.DataType | None, form: str | None) -> pl.Expr:
    """A column in the common type; text as in the report's file, as far as it can be restored."""
    column = pl.col(name)
    if stored is None:
        return pl.lit(None, dtype).alias(name)
    if stored == dtype:
        return column
    if dtype != pl.String():
        return column.cast(dtype)  # of a wider one, or of a column without a value
    if stored.is_temporal():
        return write_dates(column, form) if form else column.dt.to_string("iso")
    if stored.is_decimal():
        # The zeros at the end come from the type: 1.500000000000000000.
        return column.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    return column.cast(pl.String)
