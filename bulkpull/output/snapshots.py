"""
Loads the record of each dataset's current snapshot from the manifest of its run, and compares it with the files.

People, disks and other programs may damage a snapshot: each run publishes damaged datasets again (fault 10).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path

from bulkpull.conversion.file_formats import format_of
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.integrity import integrity_problems, location_problem
from bulkpull.output.manifest import DatasetRecord, PublishedColumn, PublishedFile
from bulkpull.output.run_history import manifests
from bulkpull.output.store import INSIDE, OutputStore
from bulkpull.snapshot_question import whole_question
from bulkpull.window_bounds import window_texts


def load_published(store: OutputStore, current: Current) -> tuple[dict[str, DatasetRecord], dict[str, str]]:
    """
    By dataset, the record of every snapshot that `current` names, and the first problem with its files, if any.

    If its manifest is gone or damaged, columns, types and origin come from its files. Of the files only names and sizes
    are checked.
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
    The same record, with the question that its snapshot answers.

    A snapshot of an earlier version records none. Of a whole dataset the query, time span and window tell it; of a
    custom query they do not, since it may have asked for every column, and then it stays unknown.
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
    question = whole_question(record.dataset, record.query, metrics=metrics, span=record.timespan, window=window)
    if question is None:
        return record
    answered = {"question": question.as_dict(), "question_sha256": question.sha256, "timespan": question.span}
    return record.model_copy(update=answered)


def _records_of(store: OutputStore, run_id: str) -> Mapping[str, DatasetRecord]:
    with suppress(ValueError, KeyError, TypeError, OSError):
        content = store.read(INSIDE.manifest(run_id))
        manifest = {"datasets": ()} if content is None else json.loads(content)
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
