"""What is published: the record of each dataset's current snapshot, from the manifest of the run that made it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from bulkpull.records.beneath import status_beneath
from bulkpull.records.files import load_json
from bulkpull.records.manifest import Current, CurrentSnapshot, DatasetRecord, PublishedColumn, PublishedFile


def load_published(output: Path, current: Current) -> dict[str, DatasetRecord]:
    """
    The record of every snapshot that `current` names, by dataset.

    Where its manifest is gone or damaged, the Parquet files tell what they can: columns, types and origin.
    """
    manifests = {run_id: _records_of(output, run_id) for run_id in {each.run_id for each in current.datasets.values()}}
    return {
        name: manifests[snapshot.run_id].get(name) or _told_by_files(output, name, snapshot)
        for name, snapshot in current.datasets.items()
    }


def _records_of(output: Path, run_id: str) -> Mapping[str, DatasetRecord]:
    with suppress(ValueError, KeyError, TypeError, OSError, ValidationError):
        manifest = load_json(output / "runs" / run_id / "manifest.json", root=output) or {"datasets": ()}
        records = [DatasetRecord.model_validate(record) for record in manifest["datasets"]]
        return {record.dataset: record for record in records if record.status == "complete"}
    return {}


def _told_by_files(output: Path, dataset: str, snapshot: CurrentSnapshot) -> DatasetRecord:
    import polars as pl  # noqa: PLC0415 - half a second, and hardly ever needed

    from bulkpull.tabular.narrow import type_name  # noqa: PLC0415 - it imports polars

    record = DatasetRecord(dataset=dataset, status="complete", rows=snapshot.rows)
    record.files = [PublishedFile(path=path, rows=0, bytes=0, sha256="") for path in snapshot.files]
    with suppress(pl.exceptions.PolarsError, OSError, IndexError):
        status_beneath(output, snapshot.files[0])  # a pipe would be waited for
        first = output / snapshot.files[0]
        told = pl.read_parquet_metadata(first)
        record.execution_id = told.get("bulkpull.execution_id") or None
        record.generated_at = told.get("bulkpull.generated_at") or None
        schema = pl.scan_parquet(first, glob=False).collect_schema()
        record.columns = [PublishedColumn(name=name, type=type_name(dtype)) for name, dtype in schema.items()]
    return record
