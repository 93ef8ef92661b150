"""The output folder of one export, read as other programs read it (contract, sections 4 and 5)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pytest
from journeys.kit import QUICK, export

import bulkpull
from bulkpull.model import Window
from bulkpull.output.manifest import DatasetRecord, Manifest
from bulkpull.simulator import Fault, Scenario, Simulator

WHOLE, IN_WINDOW = "OfficeUsage", "AzureUsage"
WINDOW = Window(datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
SHA256 = re.compile(r"[0-9a-f]{64}")
STATUSES = {"complete", "skipped", "unavailable", "failed"}


@dataclass(frozen=True)
class Exported:
    """An output folder and what stands in it."""

    output: Path
    whole: Manifest
    windowed: Manifest
    statuses: list[int | None]
    """Of every answer that the service gave to the first run."""

    def current(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.output / "current.json").read_text(encoding="utf-8"))
        return content

    def manifest(self, run_id: str) -> dict[str, Any]:
        text = (self.output / "runs" / run_id / "manifest.json").read_text(encoding="utf-8")
        content: dict[str, Any] = json.loads(text)
        return content

    def metadata(self, record: dict[str, Any]) -> dict[str, str]:
        return dict(pl.read_parquet_metadata(self.output / record["files"][0]["path"]))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Two runs: a dataset by its time span, after a 429; another one over a window."""
    output = tmp_path_factory.mktemp("contract") / "out"

    async def both() -> Exported:
        busy = Fault("throttle", endpoint="POST ScheduledReport", args={"retry_after": 0})
        async with Simulator(Scenario(rows=60, datasets=(WHOLE, IN_WINDOW), faults=(busy,))) as simulator:
            whole = await export(simulator, output, WHOLE.lower(), keep_raw=True)
            statuses = [call.status for call in simulator.calls]
            windowed = await export(simulator, output, IN_WINDOW, window=WINDOW)
            return Exported(output, whole, windowed, statuses)

    return anyio.run(both)


@pytest.fixture
def record(exported: Exported) -> dict[str, Any]:
    found: dict[str, Any] = exported.manifest(exported.whole.run_id)["datasets"][0]
    return found


def values_named(content: Any, suffix: str) -> Iterator[Any]:
    """The values of all keys that end so, however deep."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name.endswith(suffix) and not isinstance(value, dict | list):
                yield value
            yield from values_named(value, suffix)
    elif isinstance(content, list):
        for value in content:
            yield from values_named(value, suffix)


def test_the_folder_is_laid_out_as_the_contract_says(exported: Exported) -> None:
    output, run_id = exported.output, exported.whole.run_id
    expected = {"current.json", "latest", "datasets", "raw", "runs", ".bulkpull", "README.md", "views.sql"}

    assert {path.name for path in output.iterdir()} == expected
    assert list((output / "datasets" / WHOLE / f"run={run_id}").glob("*.parquet"))
    assert [path.name for path in (output / "raw" / WHOLE).iterdir()] == [f"run={run_id}"]
    assert (output / "runs" / run_id / "manifest.json").is_file()
    assert (output / "latest" / WHOLE).resolve() == (output / "datasets" / WHOLE / f"run={run_id}").resolve()


def test_a_pattern_over_latest_reads_the_current_snapshot(exported: Exported) -> None:
    frame = pl.read_parquet(f"{exported.output}/latest/{WHOLE}/*.parquet")

    assert frame.height == exported.current()["datasets"][WHOLE]["rows"] == exported.whole.datasets[0].rows


def test_the_readme_says_what_to_read_and_what_not(exported: Exported) -> None:
    text = (exported.output / "README.md").read_text(encoding="utf-8")

    assert "latest/<Dataset>/*.parquet" in text
    assert "current.json" in text
    assert "run=*" in text
    assert "counts every row\nseveral times" in text


def test_a_folder_has_the_canonical_name_whatever_was_typed(exported: Exported) -> None:
    assert exported.whole.datasets[0].dataset == WHOLE
    assert (exported.output / "datasets" / WHOLE).is_dir()


def test_the_pointer_has_the_keys_of_the_contract(exported: Exported) -> None:
    current = exported.current()

    assert (current["version"], set(current["datasets"])) == (1, {WHOLE, IN_WINDOW})
    assert MOMENT.fullmatch(current["updated_at"])
    snapshot = current["datasets"][WHOLE]
    assert (snapshot["run_id"], snapshot["rows"]) == (exported.whole.run_id, 60)
    assert [path for path in snapshot["files"] if not (exported.output / path).is_file()] == []
    assert all(path.startswith(f"datasets/{WHOLE}/run={exported.whole.run_id}/") for path in snapshot["files"])


def test_the_manifest_has_the_keys_and_types_of_the_contract(exported: Exported) -> None:
    manifest = exported.manifest(exported.whole.run_id)
    types: dict[str, type | tuple[type, ...]] = {
        "version": int, "run_id": str, "status": str, "started_at": str, "finished_at": str, "tool": dict,
        "api_base_url": str, "requests": dict, "datasets": list,
    }  # fmt: skip

    assert [name for name, kind in types.items() if not isinstance(manifest[name], kind)] == []
    assert (manifest["version"], manifest["status"]) == (1, "complete")
    assert manifest["tool"] == {"name": "bulkpull", "version": bulkpull.__version__}
    assert set(manifest["requests"]) >= {"total", "by_endpoint", "throttled", "retried"}


def test_a_dataset_of_the_manifest_has_the_keys_and_types_of_the_contract(record: dict[str, Any]) -> None:
    types: dict[str, Any] = {
        "dataset": str, "status": str, "reason": type(None), "query": str, "metrics": list, "metrics_left_out": list,
        "vouched_by": list, "query_id": str, "report_id": str, "execution_id": str, "data_redacted": bool, "rows": int,
        "columns": list, "downloaded_bytes": int, "files": list, "seconds": dict,
    }  # fmt: skip

    assert {name: type(record[name]) for name in types} == types
    assert record["status"] in STATUSES
    assert record["query"].startswith("SELECT ")
    assert set(record["columns"][0]) >= {"name", "type"}
    assert set(record["files"][0]) >= {"path", "rows", "bytes", "sha256"}
    assert {name: type(value) for name, value in record["seconds"].items()} == dict.fromkeys(
        ("submit", "wait", "download", "convert"), float
    )
    assert record["vouched_by"] == ["length", "md5", "gzip"]


def test_files_are_as_the_manifest_says(exported: Exported, record: dict[str, Any]) -> None:
    for file in record["files"]:
        path = exported.output / file["path"]
        content = path.read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
        assert pl.read_parquet(path, glob=False).height == file["rows"]
    assert sum(file["rows"] for file in record["files"]) == record["rows"]


def test_paths_are_relative_times_are_utc_and_durations_are_seconds(exported: Exported) -> None:
    for run_id in (exported.whole.run_id, exported.windowed.run_id):
        manifest = exported.manifest(run_id)
        assert not [path for path in values_named(manifest, "path") if Path(path).is_absolute() or ".." in path]
        moments = [value for value in values_named(manifest, "_at") if value is not None]
        assert len(moments) >= 2
        assert [value for value in moments if not MOMENT.fullmatch(value)] == []


def test_the_question_and_its_hash_stand_in_manifest_pointer_and_parquet(exported: Exported) -> None:
    for manifest, dataset in ((exported.whole, WHOLE), (exported.windowed, IN_WINDOW)):
        (record,) = exported.manifest(manifest.run_id)["datasets"]
        snapshot, metadata = exported.current()["datasets"][dataset], exported.metadata(record)
        assert SHA256.fullmatch(record["question_sha256"])
        assert record["question_sha256"] == snapshot["question_sha256"] == metadata["bulkpull.question_sha256"]
        assert record["question"] == snapshot["question"] == json.loads(metadata["bulkpull.question"])
        assert {"source", "columns", "metrics", "filter", "order", "limit", "format", "span", "window"} <= set(
            record["question"]
        )


def test_a_window_has_no_timespan_and_its_start_and_end(exported: Exported, record: dict[str, Any]) -> None:
    (windowed,) = exported.manifest(exported.windowed.run_id)["datasets"]

    assert (record["timespan"], record["window"]) == ("LAST_6_MONTHS", None)
    assert (windowed["timespan"], windowed["window"]) == (
        None, {"start": "2026-09-01T00:00:00Z", "end": "2026-10-01T00:00:00Z"},
    )  # fmt: skip


def test_each_parquet_file_tells_dataset_run_execution_query_and_generation_time(
    exported: Exported, record: dict[str, Any]
) -> None:
    metadata = exported.metadata(record)

    assert metadata["bulkpull.dataset"] == WHOLE
    assert metadata["bulkpull.run_id"] == exported.whole.run_id
    assert metadata["bulkpull.execution_id"] == record["execution_id"]
    assert SHA256.fullmatch(metadata["bulkpull.query_sha256"])
    assert metadata["bulkpull.generated_at"] == record["generated_at"]


def test_calls_are_counted_as_the_service_counts_them(exported: Exported) -> None:
    requests = exported.manifest(exported.whole.run_id)["requests"]

    assert requests["total"] == sum(requests["by_endpoint"].values()) == len(exported.statuses)
    assert requests["throttled"] == exported.statuses.count(429) == 1
    assert requests["retried"] == 1


def test_downloaded_bytes_are_the_size_of_the_stored_file(exported: Exported, record: dict[str, Any]) -> None:
    (raw,) = (exported.output / "raw" / WHOLE / f"run={exported.whole.run_id}").iterdir()

    assert record["downloaded_bytes"] == raw.stat().st_size


async def test_a_reason_is_one_sentence_and_a_lost_dataset_has_one(tmp_path: Path) -> None:
    fails = Fault("execution_fails", dataset=WHOLE, times=None)
    async with Simulator(Scenario(rows=10, datasets=(WHOLE, IN_WINDOW), faults=(fails,))) as simulator:
        manifest = await export(simulator, tmp_path, WHOLE, IN_WINDOW, "Profile")
    records = {record.dataset: record for record in manifest.datasets}

    assert {name: record.status for name, record in records.items()} == {
        WHOLE: "failed", IN_WINDOW: "complete", "Profile": "unavailable",
    }  # fmt: skip
    assert records[IN_WINDOW].reason is None
    for record in (records[WHOLE], records["Profile"]):
        assert record.reason
        assert "\n" not in record.reason
        assert not record.reason.endswith(".")


async def test_another_question_is_asked_and_never_unchanged(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=30, datasets=(WHOLE,))) as simulator:
        first, second = [
            (await export(simulator, tmp_path, WHOLE, timespan=span)).datasets[0]
            for span in ("LAST_6_MONTHS", "LAST_MONTH")
        ]

    assert (first.status, second.status) == ("complete", "complete")
    assert (first.timespan, second.timespan) == ("LAST_6_MONTHS", "LAST_MONTH")
    assert first.question_sha256 != second.question_sha256


async def test_the_two_lines_of_python_work_as_they_stand_in_the_contract(tmp_path: Path) -> None:
    async with Simulator(Scenario(rows=10, datasets=(IN_WINDOW,))) as simulator:
        settings = bulkpull.Settings(**QUICK).for_simulator(simulator.environment)
        manifest = await bulkpull.export(output=str(tmp_path / "data"), datasets=["AzureUsage"], settings=settings)
        frame = bulkpull.scan(str(tmp_path / "data"), "AzureUsage")

    assert isinstance(frame, pl.LazyFrame)
    assert isinstance(manifest.datasets[0], DatasetRecord)
    assert frame.collect().height == manifest.datasets[0].rows == 10
