"""A run's numbers for Prometheus: readable by its own parser, and never forgetful."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from accounts import complete, failed, manifest
from journeys.kit import export
from prometheus_client.parser import text_string_to_metric_families
from support import EventRecorder

from bulkpull.errors import AuthError, BulkpullError
from bulkpull.observability.prometheus import EarlierMetrics, read_metrics, render_metrics
from bulkpull.output.manifest import DatasetRecord
from bulkpull.simulator import Fault, Scenario, Simulator

OUT = "/var/lib/bulkpull"
ENDED = datetime.fromisoformat("2026-11-23T02:14:05Z").timestamp()


class Numbers:
    """A file as Prometheus reads it."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def of(self, name: str, **labels: str) -> float | None:
        found = [
            sample.value
            for sample in self.samples
            if sample.name == f"bulkpull_{name}" and labels.items() <= sample.labels.items()
        ]
        assert len(found) <= 1, found
        return found[0] if found else None


def numbers(*records: DatasetRecord, remembered: EarlierMetrics | None = None, **changes: Any) -> Numbers:
    return Numbers(render_metrics(manifest(*records, **changes), output=OUT, remembered=remembered or EarlierMetrics()))


def test_every_series_has_its_help_its_type_and_the_folder() -> None:
    reported = numbers(complete("AzureUsage"))

    assert all(family.type == "gauge" and family.documentation for family in reported.families.values())
    assert {sample.labels["output"] for sample in reported.samples} == {OUT}


def test_a_dataset_tells_rows_bytes_steps_status_and_when_it_was_last_well() -> None:
    recorded = numbers(complete("AzureUsage", generated_at="2026-11-23T01:00:00Z"))

    assert recorded.of("dataset_rows", dataset="AzureUsage") == 1_200
    assert recorded.of("dataset_bytes", dataset="AzureUsage") == 54_000
    assert recorded.of("dataset_downloaded_bytes", dataset="AzureUsage") == 98_000
    assert recorded.of("dataset_step_duration_seconds", dataset="AzureUsage", step="wait") == 61
    assert recorded.of("dataset_status", dataset="AzureUsage", status="complete") == 1
    assert recorded.of("dataset_status", dataset="AzureUsage", status="failed") == 0
    assert recorded.of("dataset_last_success_timestamp_seconds", dataset="AzureUsage") == ENDED
    assert recorded.of("dataset_generated_timestamp_seconds", dataset="AzureUsage") == ENDED - 4_445


def test_a_run_tells_its_end_its_calls_and_its_exit_status() -> None:
    recorded = numbers(complete("AzureUsage"), failed("Profile", AuthError("no")))

    assert recorded.of("run_exit_code") == 4
    assert recorded.of("run_status", status="partial") == 1
    assert recorded.of("run_last_end_timestamp_seconds") == ENDED
    assert recorded.of("run_duration_seconds") == 600
    assert recorded.of("run_requests", endpoint="ScheduledReport") == 40
    assert (recorded.of("run_requests_throttled"), recorded.of("run_requests_retried")) == (2, 3)
    assert recorded.of("info", version="1.2.3") == 1
    assert recorded.of("run_last_success_timestamp_seconds") is None


def test_a_dataset_found_unchanged_is_well() -> None:
    recorded = numbers(DatasetRecord(dataset="AzureUsage", status="skipped", rows=7))

    assert recorded.of("dataset_last_success_timestamp_seconds", dataset="AzureUsage") == ENDED
    assert recorded.of("run_last_success_timestamp_seconds") == ENDED


def test_a_failed_run_forgets_nothing() -> None:
    before = EarlierMetrics(run_success=100, dataset_success={"AzureUsage": 50, "Other": 40}, rows={"AzureUsage": 9})
    recorded = numbers(failed("AzureUsage", BulkpullError("no")), remembered=before)

    assert recorded.of("dataset_last_success_timestamp_seconds", dataset="AzureUsage") == 50
    assert recorded.of("dataset_last_success_timestamp_seconds", dataset="Other") == 40
    assert recorded.of("dataset_rows", dataset="AzureUsage") == 9
    assert recorded.of("run_last_success_timestamp_seconds") == 100


def test_an_interrupted_run_says_so() -> None:
    assert numbers(complete("AzureUsage"), interrupted=True).of("run_status", status="interrupted") == 1


def test_odd_names_are_kept_and_another_folders_file_is_not_read() -> None:
    odd = 'A"b\\c\nd'
    text = render_metrics(manifest(complete(odd)), output=OUT, remembered=EarlierMetrics())

    assert read_metrics(text, output=OUT) == EarlierMetrics(ENDED, {odd: ENDED})
    assert read_metrics(text, output="/elsewhere") == EarlierMetrics()
    with pytest.raises(ValueError, match="Invalid"):
        read_metrics("{ this is JSON", output=OUT)


async def test_the_file_remembers_over_a_run_that_fails(tmp_path: Path) -> None:
    out, file = tmp_path / "out", tmp_path / "textfile" / "bulkpull.prom"
    async with Simulator(Scenario(rows=10)) as simulator:
        first = await export(simulator, out, "Profile", "OfficeUsage")  # and tells nobody
        simulator.arm(Fault("execution_fails", dataset="OfficeUsage", times=None))
        second = await export(simulator, out, "OfficeUsage", metrics_file=file)
    recorded = Numbers(file.read_text(encoding="utf-8"))

    assert second.exit_code == 3
    assert recorded.of("dataset_status", dataset="OfficeUsage", status="failed") == 1
    for dataset in ("Profile", "OfficeUsage"):
        well_at = recorded.of("dataset_last_success_timestamp_seconds", dataset=dataset)
        assert well_at == first.finished_at.timestamp()
        assert recorded.of("dataset_rows", dataset=dataset) == 10
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.fault(101)
async def test_a_file_that_cannot_be_written_is_a_warning_and_harms_nothing(tmp_path: Path) -> None:
    recorded = EventRecorder()
    (tmp_path / "taken").write_text("")
    async with Simulator(Scenario(rows=10)) as simulator:
        done = await export(
            simulator,
            tmp_path / "out",
            "Profile",
            listeners=[recorded.events.append],
            metrics_file=tmp_path / "taken" / "bulkpull.prom",
        )

    assert (done.status, done.exit_code) == ("complete", 0)
    assert [warning["part"] for warning in recorded.of("account.lacking")] == ["bulkpull.prom"]
