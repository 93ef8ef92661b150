"""
The output folder as a run finds it: the current snapshots, what earlier runs left, and the run's own working folder.

People, disks and other programs may damage a snapshot: each run publishes damaged datasets again (fault 10).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bulkpull.conversion.output_formats import format_of
from bulkpull.errors import DiskTrouble
from bulkpull.output.atomic_files import makedirs_durable, to_disk_error
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.integrity import integrity_problems, location_problem
from bulkpull.output.layout import DATASETS, RAW, RUN_ID, Layout
from bulkpull.output.manifest import DatasetRecord, PublishedColumn, PublishedFile
from bulkpull.output.run_history import manifests
from bulkpull.output.store import INSIDE, OutputStore
from bulkpull.output.symlink_safety import names_beneath, remove_beneath, rename_beneath
from bulkpull.requested_data import requested_dataset
from bulkpull.window_bounds import window_texts


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """
    The output folder: `store` is what readers see of it, `staging` this run's own part.

    `published` are the records of the current snapshots, and `damaged` their problems, by dataset; `runs` are the ids
    of other runs that left something here.
    """

    output: Path
    store: OutputStore
    staging: Path
    current: Current
    published: Mapping[str, DatasetRecord]
    damaged: Mapping[str, str]
    runs: tuple[str, ...]

    @property
    def private(self) -> Path:
        """The private folder within the output folder."""
        return Layout(self.output).private


def read_folder(output: Path, store: OutputStore, *, run_id: str = "") -> OutputFolder:
    """The state of the folder as `open_folder` finds it for the run `run_id`, with reads only."""
    return _folder_of(output, store, Current.load(store), left=_staged(output), run_id=run_id)


def open_folder(
    output: Path, store: OutputStore, *, run_id: str, alive: frozenset[str], taken_over: str | None = None
) -> OutputFolder:
    """
    Read the state of the folder, and delete files of runs that will not be resumed.

    The lock says that no other run is at work, so what others left in staging goes, but for the runs in `alive`. Only
    what is named like a run goes: the private folder may be a link to one that others use as well. Raises `DiskTrouble`
    where `current.json` is damaged, and `OSError`.
    """
    current = Current.load(store)
    layout = Layout(output)
    private, staging = layout.private, layout.staged(run_id)
    for name in (INSIDE.datasets, INSIDE.runs):
        store.check_folder(name)  # before a report is created
    if taken_over in names_beneath(staging.parent, root=private) and not staging.exists():
        rename_beneath(layout.staged(str(taken_over)), staging, root=private)
    makedirs_durable(staging, root=private)
    left = _staged(output)
    for other in left - alive - {run_id}:
        remove_beneath(layout.staged(other), root=private)
    return _folder_of(output, store, current, left=left, run_id=run_id)


def _staged(output: Path) -> set[str]:
    layout = Layout(output)
    return {name for name in names_beneath(layout.staged(""), root=layout.private) if RUN_ID.fullmatch(name)}


def _folder_of(output: Path, store: OutputStore, current: Current, *, left: set[str], run_id: str) -> OutputFolder:
    runs = tuple((set(store.list_names(INSIDE.runs)) | left) - {run_id})
    published, damaged = load_published(store, current)
    return OutputFolder(output, store, Layout(output).staged(run_id), current, published, damaged, runs)


def find_blocked(store: OutputStore, datasets: Iterable[str], *, keep_raw: bool) -> dict[str, DiskTrouble]:
    """The datasets whose own folders are links, or no folders, so that no report is created for them (case C25)."""
    blocked: dict[str, DiskTrouble] = {}
    for dataset in datasets:
        for kind in (DATASETS, RAW) if keep_raw else (DATASETS,):
            folder = INSIDE.snapshots(dataset, kind=kind)
            try:
                store.check_folder(folder)
            except OSError as trouble:
                blocked.setdefault(dataset, to_disk_error(trouble, store.place(folder)))
    return blocked


def load_published(store: OutputStore, current: Current) -> tuple[dict[str, DatasetRecord], dict[str, str]]:
    """
    By dataset, the record of every snapshot that `current` names, and the first problem with its files, if any.

    Without a manifest, columns, types and origin come from its files, of which only names and sizes are checked.
    """
    published: dict[str, DatasetRecord] = {}
    damaged: dict[str, str] = {}
    records = {run_id: _records_of(store, run_id) for run_id in current.run_ids}
    for name, snapshot in current.datasets.items():
        record = records[snapshot.run_id].get(name)
        if record is not None:
            problems: Iterable[tuple[str, str]] = integrity_problems(record, store, run_id=snapshot.run_id)
        else:  # the run that published it was killed before it could describe it
            problems = ((path, what) for path in snapshot.files if (what := location_problem(store, path)) is not None)
        for path, what in islice(problems, 1):
            damaged[name] = f"{path}: {what}"
        published[name] = _with_question(record or _record_from_files(store, name, snapshot), snapshot)
    return published, damaged


def find_last_answer(store: OutputStore, dataset: str, question_sha256: str) -> DatasetRecord | None:
    """The record of the newest snapshot of `dataset` that answered this question, by the manifests that are left."""
    records = (manifest.published.get(dataset) for manifest in manifests(store))
    candidates = (_with_question(record) for record in records if record)
    return next((record for record in candidates if record.question_sha256 == question_sha256), None)


def _with_question(record: DatasetRecord, snapshot: CurrentSnapshot | None = None) -> DatasetRecord:
    """
    The same record, with the question that its snapshot answers, which earlier versions did not record.

    Of a whole dataset the query, time span and window tell it; of a custom query, which may have asked for every
    column, they do not.
    """
    if record.question_sha256 is not None:
        return record
    if snapshot is not None and snapshot.question_sha256 is not None:
        names = ("question", "question_sha256", "query", "timespan", "window")
        return record.model_copy(update={name: getattr(snapshot, name) for name in names})
    if record.source is not None or record.query is None:
        return record
    window = window_texts(record.window)
    metrics = "amounts" if record.metrics else "none"
    question = requested_dataset(record.dataset, record.query, metrics=metrics, span=record.timespan, window=window)
    if question is None:
        return record
    answered = {"question": question.as_dict(), "question_sha256": question.sha256, "timespan": question.span}
    return record.model_copy(update=answered)


def _records_of(store: OutputStore, run_id: str) -> Mapping[str, DatasetRecord]:
    """The published records of a manifest, which are read also where the rest of it is damaged."""
    with suppress(ValueError, KeyError, TypeError, OSError, RecursionError):
        manifest = json.loads(store.read(INSIDE.manifest(run_id)) or b"")
        records = [DatasetRecord.model_validate(record) for record in manifest["datasets"]]
        return {record.dataset: record for record in records if record.status == "complete"}
    return {}


def _record_from_files(store: OutputStore, dataset: str, snapshot: CurrentSnapshot) -> DatasetRecord:
    import polars as pl  # noqa: PLC0415 - half a second, and rarely needed

    from bulkpull.conversion.type_inference import type_name  # noqa: PLC0415 - it imports polars

    files = [PublishedFile(path=path, rows=0, bytes=0, sha256="") for path in snapshot.files]
    known = {"dataset": dataset, "status": "complete", "rows": snapshot.rows, "files": files}
    with suppress(pl.exceptions.PolarsError, OSError, IndexError):
        first = Path(snapshot.files[0])
        store.size_bytes(first)  # a read from a pipe would block
        reader = format_of(first).files
        metadata = reader.metadata(store.source(first))
        schema = reader.scan([store.source(first)]).collect_schema()
        columns = [PublishedColumn(name=name, type=type_name(dtype)) for name, dtype in schema.items()]
        found = {name: metadata.get(f"bulkpull.{name}") or None for name in ("execution_id", "generated_at")}
        known |= {**found, "columns": columns}
    return DatasetRecord.model_validate(known)
