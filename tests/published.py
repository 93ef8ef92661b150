"""Output folders as runs leave them, made by hand: snapshots, pointer, links and manifests, of any age."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import polars as pl

from bulkpull.clock import iso_utc
from bulkpull.conversion.type_inference import type_name
from bulkpull.output.atomic_files import replace_symlink
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.layout import Layout
from bulkpull.output.ledger import Ledger, opened_ledger
from bulkpull.output.manifest import DatasetRecord, Manifest, PublishedColumn, PublishedFile, Requests, Tool, status_of
from bulkpull.output.store import LocalStore

NOW = datetime.now(UTC).replace(microsecond=0)


def run_id_of(begun: datetime, *, number: int = 1) -> str:
    """The id of a run that began then."""
    return f"{begun.astimezone(UTC):%Y%m%dT%H%M%SZ}-{number:06x}"


def publish(
    output: Path,
    dataset: str,
    *,
    run_id: str,
    frame: pl.DataFrame | None = None,
    generated_at: datetime | None = None,
    is_current: bool = True,
    source: str | None = None,
) -> DatasetRecord:
    """Write a snapshot; returns its part of a manifest."""
    frame = pl.DataFrame({"MPNId": ["0012", "0013"]}) if frame is None else frame
    folder = output / "datasets" / dataset / f"run={run_id}"
    folder.mkdir(parents=True)
    path = folder / "part-00000.parquet"
    lineage = {"dataset": dataset, "run_id": run_id, "execution_id": "e", "query_sha256": "0" * 64}
    lineage |= {"source": source} if source else {}
    lineage["generated_at"] = iso_utc(generated_at) if generated_at else ""
    frame.write_parquet(path, metadata={f"bulkpull.{name}": value for name, value in lineage.items()})
    file = PublishedFile(
        path=path.relative_to(output).as_posix(),
        rows=frame.height,
        bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    if is_current:
        current = Current.load(LocalStore(output))
        current.datasets[dataset] = CurrentSnapshot(run_id=run_id, rows=frame.height, files=[file.path])
        current.save(LocalStore(output))
        (output / "latest").mkdir(exist_ok=True)
        replace_symlink(output / "latest" / dataset, f"../datasets/{dataset}/run={run_id}")
    columns = [PublishedColumn(name=name, type=type_name(dtype)) for name, dtype in frame.schema.items()]
    return DatasetRecord(dataset=dataset, status="complete", rows=frame.height, columns=columns, files=[file])


def lost(dataset: str, status: str = "failed", reason: str = "the service refused") -> DatasetRecord:
    """The record of a dataset that a run did not get."""
    return DatasetRecord.model_validate({"dataset": dataset, "status": status, "reason": reason})


def write_manifest(
    output: Path, *records: DatasetRecord, run_id: str, took: timedelta = timedelta(minutes=5)
) -> Manifest:
    """Write the account of a run that ended as its records say."""
    begun = datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    manifest = Manifest(
        run_id=run_id,
        status=status_of(list(records)),
        started_at=begun,
        finished_at=begun + took,
        tool=Tool(version="1"),
        api_base_url="https://x",
        requests=Requests(total=3),
        datasets=list(records),
    )
    manifest.save(LocalStore(output))
    return manifest


def write_ledger(output: Path, write: Callable[[Ledger], Awaitable[None]]) -> None:
    """Let `write` fill the ledger of an output folder."""

    async def work() -> None:
        layout = Layout(output)
        layout.private.mkdir(parents=True, exist_ok=True)
        async with opened_ledger(layout.private) as ledger:
            await write(ledger)

    anyio.run(work)


def files_under(folder: Path) -> Mapping[str, Sequence[Any]]:
    """Every path below `folder` with its size and time of change, to see that nothing was touched."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in folder.rglob("*")
    }
