"""A list of datasets that offers nothing, or lacks what was published here, is never a complete run (C18)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from journeys.kit import settings_for

from bulkpull.events import Events
from bulkpull.output.current import Current
from bulkpull.output.manifest import Manifest
from bulkpull.output.store import LocalStore
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import Scenario, Simulator


@asynccontextmanager
async def service(*datasets: str) -> AsyncIterator[Simulator]:
    """A service that offers `datasets`."""
    async with Simulator(Scenario(datasets=datasets, rows=5)) as simulator:
        yield simulator


def withdraw(simulator: Simulator, *datasets: str) -> None:
    """List them no more."""
    for dataset in datasets:
        del simulator.service.tables[dataset]


async def run(simulator: Simulator, output: Path, *asked: str, nightly: bool = False) -> Manifest:
    """Export what is asked for, or everything usual."""
    request = ExportRequest(asked, nightly=nightly)
    return await Run(request, settings_for(simulator, output), Events()).export()


@pytest.mark.case("C18")
@pytest.mark.parametrize("nightly", [False, True])
async def test_a_list_without_any_dataset_is_a_failure_that_names_role_and_account(
    tmp_path: Path, nightly: bool
) -> None:
    async with service() as simulator:
        manifest = await run(simulator, tmp_path, nightly=nightly)

    assert (manifest.status, manifest.exit_code) == ("failed", 3)
    assert {record.status for record in manifest.datasets} == {"failed"}
    assert "Executive report viewer" in str(manifest.datasets[0].reason)
    assert "right partner account" in str(manifest.datasets[0].reason)
    assert "`api_base_url`" in str(manifest.datasets[0].reason)


@pytest.mark.case("C18")
async def test_a_wrong_address_says_that_no_list_is_there(tmp_path: Path) -> None:
    async with service("Profile") as simulator:
        settings = settings_for(simulator, tmp_path)
        elsewhere = settings.model_copy(update={"api_base_url": f"{settings.api_base_url}/elsewhere"})
        manifest = await Run(ExportRequest(("Profile",)), elsewhere, Events()).export()

    assert (manifest.status, manifest.exit_code) == ("failed", 3)
    reason = str(manifest.datasets[0].reason)
    assert "Profile: the service has no list of datasets at this address (404)" in reason
    assert "check that `api_base_url` is right" in reason


@pytest.mark.case("C18")
@pytest.mark.parametrize("nightly", [False, True])
async def test_a_published_dataset_that_is_listed_no_more_makes_the_run_exit_3(tmp_path: Path, nightly: bool) -> None:
    async with service("Profile", "OfficeUsage") as simulator:
        await run(simulator, tmp_path, nightly=nightly)
        before = Current.load(LocalStore(tmp_path)).datasets
        withdraw(simulator, "Profile")

        manifest = await run(simulator, tmp_path, nightly=nightly)

    status = {record.dataset: record.status for record in manifest.datasets}
    assert manifest.exit_code == 3
    assert status["Profile"] == "failed"
    assert status["OfficeUsage"] in ("complete", "skipped")
    assert set(status.values()) - {status["OfficeUsage"], "failed"} == {"unavailable"}
    assert Current.load(LocalStore(tmp_path)).datasets["Profile"] == before["Profile"]


@pytest.mark.case("C18")
@pytest.mark.parametrize("left", [(), ("AzureUsage",)])
@pytest.mark.parametrize("nightly", [False, True])
async def test_a_list_that_lacks_all_that_was_published_looks_like_a_lost_role(
    tmp_path: Path, left: tuple[str, ...], nightly: bool
) -> None:
    async with service("Profile", "OfficeUsage", *left) as simulator:
        await run(simulator, tmp_path, "Profile", "OfficeUsage", nightly=nightly)
        withdraw(simulator, "Profile", "OfficeUsage")

        manifest = await run(simulator, tmp_path, nightly=nightly)

    assert manifest.exit_code == 4
    reasons = {record.dataset: str(record.reason) for record in manifest.datasets if record.status == "failed"}
    assert {"Profile", "OfficeUsage"} <= set(reasons)
    assert "none of the datasets that this folder has published" in reasons["Profile"]


@pytest.mark.case("C18")
async def test_a_dataset_that_nobody_named_and_nobody_published_may_be_missing(tmp_path: Path) -> None:
    async with service("Profile") as simulator:
        manifest = await run(simulator, tmp_path)

    assert (manifest.status, manifest.exit_code) == ("complete", 0)


@pytest.mark.case("C18")
async def test_a_named_dataset_does_not_answer_for_others_that_are_gone(tmp_path: Path) -> None:
    async with service("Profile", "OfficeUsage") as simulator:
        await run(simulator, tmp_path)
        withdraw(simulator, "Profile")

        manifest = await run(simulator, tmp_path, "OfficeUsage")

    assert manifest.exit_code == 0
