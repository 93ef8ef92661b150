"""A published export in a store that is no folder: pointer, manifest, data, verification and freshness by the store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from memory_store import MemoryStore
from support import FakeClock

from bulkpull.account import Account
from bulkpull.clock import iso_utc
from bulkpull.conversion.write_table import write_table
from bulkpull.events import Events
from bulkpull.model import OfferedDataset, Pull
from bulkpull.output.current import Current
from bulkpull.output.freshness import find_freshness
from bulkpull.output.layout import RAW
from bulkpull.output.manifest import DatasetRecord, Manifest, PublishedFile, Requests, Tool
from bulkpull.output.owner import Owner, claim_folder, load_owner
from bulkpull.output.run_history import load_manifest, run_ids
from bulkpull.output.scan import scan_runs
from bulkpull.output.store import INSIDE
from bulkpull.output.verify import Verifier
from bulkpull.output.workspace import load_published
from bulkpull.pipeline.publication.publish import Publisher

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
ACCOUNT = Account("https://x", "mpn", "contoso.example")
FRAME = pl.DataFrame({"MPNId": ["0012", "0013"]})
PULL = Pull("Profile", OfferedDataset("Profile", ("MPNId",)), ("MPNId",), "SELECT MPNId FROM Profile")


async def export(store: MemoryStore, tmp_path: Path, *, days: int, frame: pl.DataFrame = FRAME) -> Manifest:
    """What a run does when it publishes one dataset: a file, its snapshot, the pointer, and the manifest."""
    now = NOW + timedelta(days=days)
    run_id = f"{now:%Y%m%dT%H%M%SZ}-aaaaaa"
    folder, raw = tmp_path / run_id, tmp_path / f"{run_id}.csv"
    folder.mkdir()
    raw.write_text("MPNId\n0012\n0013\n")
    lineage = {"bulkpull.dataset": "Profile", "bulkpull.run_id": run_id, "bulkpull.generated_at": iso_utc(now)}
    file = write_table(
        frame.lazy(),
        path=folder / f"part-00000-{run_id}.parquet",
        row_group_rows=100,
        metadata=lineage,
        formats={},
    )
    files = [PublishedFile(path=file.path.name, rows=file.rows, bytes=file.bytes, sha256=file.sha256)]
    claim_folder(store, Owner(ACCOUNT))
    publisher = Publisher(store, run_id, 1, FakeClock(start=now), Events(), account=ACCOUNT)
    published = await publisher.publish_snapshot(PULL, folder, files, raw=[raw])
    assert published.undone == ()
    record = DatasetRecord(dataset="Profile", status="complete", rows=file.rows, files=published.files)
    manifest = Manifest(
        run_id=run_id,
        status="complete",
        started_at=now,
        finished_at=now,
        tool=Tool(version="1"),
        api_base_url=ACCOUNT.api_root,
        account=ACCOUNT.as_dict(),
        requests=Requests(),
        datasets=[record],
    )
    manifest.save(store)
    return manifest


def verify(store: MemoryStore) -> list[str]:
    verifier = Verifier(store, quick=False, ask_ledger=lambda _: None, pause=lambda: None)
    return [f"{trouble.path}: {trouble.what}" for trouble in verifier.verify_all().troubles]


async def test_an_export_is_published_read_and_verified_in_a_store_that_is_no_folder(tmp_path: Path) -> None:
    store = MemoryStore()

    manifest = await export(store, tmp_path, days=0)

    current = Current.load(store)
    assert current.datasets["Profile"].run_id == manifest.run_id
    assert load_owner(store) == Owner(ACCOUNT)
    assert load_manifest(store, manifest.run_id) == manifest
    assert load_published(store, current)[0]["Profile"].files == manifest.datasets[0].files
    assert scan_runs(store, "Profile", runs=["all"]).drop("_run_id").collect().equals(FRAME)
    assert store.list_names(INSIDE.snapshot("Profile", manifest.run_id, kind=RAW)) == ["Profile.csv"]
    assert "there is no `latest/`" in (store.read(INSIDE.readme) or b"").decode().lower()
    assert verify(store) == []
    (freshness,) = find_freshness(store, now=NOW)
    assert (freshness.rows, freshness.generated_at) == (2, NOW)


async def test_a_new_snapshot_replaces_the_old_one_and_retention_removes_it(tmp_path: Path) -> None:
    store = MemoryStore()
    old = await export(store, tmp_path, days=0)
    middle = await export(store, tmp_path, days=2)

    newest = await export(store, tmp_path, days=4)

    assert run_ids(store) == [newest.run_id, middle.run_id, old.run_id]
    assert store.list_names(INSIDE.snapshots("Profile")) == [f"run={middle.run_id}", f"run={newest.run_id}"]
    assert verify(store) == []


async def test_records_are_read_from_a_manifest_that_is_damaged_elsewhere(tmp_path: Path) -> None:
    store = MemoryStore()
    manifest = await export(store, tmp_path, days=0)
    content = json.loads(store.read(INSIDE.manifest(manifest.run_id)) or b"")
    content["datasets"][0]["query_id"] = "only the manifest has it"
    store.put(INSIDE.manifest(manifest.run_id), json.dumps(content | {"status": "unknown", "tool": None}))

    published, damaged = load_published(store, Current.load(store))

    assert load_manifest(store, manifest.run_id) is None
    assert published["Profile"].query_id == "only the manifest has it"
    assert damaged == {}


async def test_damage_in_such_a_store_is_found(tmp_path: Path) -> None:
    store = MemoryStore()
    manifest = await export(store, tmp_path, days=0)
    (file,) = manifest.datasets[0].files
    content = store.read(Path(file.path)) or b""

    store.put(Path(file.path), "x" * len(content))
    changed = verify(store)
    store.delete(Path(file.path))
    missing = verify(store)

    assert changed == [f"{file.path}: its content has changed: the SHA-256 differs from the published one"]
    assert missing == [f"{file.path}: the file is missing"]
