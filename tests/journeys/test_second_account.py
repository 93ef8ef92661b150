"""Two accounts on one service, with the same commands: nothing of one is taken up, compared or deleted by the other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pytest
from journeys.kit import settings_for
from support import FakeClock

from bulkpull.errors import SettingsError
from bulkpull.events import Events
from bulkpull.output.manifest import Manifest
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import ColumnDrift, Scenario, Simulator

FABRIKAM = "fabrikam.example"
DATASETS = ("Profile", "OfficeUsage")
DAY_S = 24 * 3_600
BOTH = Scenario(datasets=DATASETS, rows=12, further_tenants=(FABRIKAM,), provenance=True, refreshes=True)


class Accounts:
    """Runs of both accounts, each into the folder of its own name."""

    def __init__(self, simulator: Simulator, root: Path, clock: FakeClock) -> None:
        self.simulator, self.root, self.clock = simulator, root, clock
        self.first = simulator.scenario.tenant_id

    async def run(self, tenant: str, *, output: Path | None = None, **how: Any) -> Manifest:
        """Carry out a run; `how` are attributes of the request, `resume`, and settings."""
        of_run = {name: how.pop(name) for name in ("resume",) if name in how}
        of_request = {name: how.pop(name) for name in ("nightly", "submit_only") if name in how}
        settings = settings_for(self.simulator, output or self.root / tenant, **how)
        settings = settings.model_copy(update={"tenant_id": tenant})
        request = ExportRequest(DATASETS, **of_request)
        return await Run(request, settings, Events(), clock=self.clock, **of_run).export()

    def origins(self, tenant: str, dataset: str) -> set[str]:
        """The accounts whose rows are current in the folder of `tenant`."""
        current = json.loads((self.root / tenant / "current.json").read_text())["datasets"][dataset]
        frame = pl.read_parquet([self.root / tenant / file for file in current["files"]], glob=False)
        return {json.loads(text)["account"] for text in frame["Provenance"].unique()}


@pytest.fixture
async def accounts(tmp_path: Path) -> Any:
    clock = FakeClock()
    async with Simulator(BOTH, clock=clock) as simulator:
        yield Accounts(simulator, tmp_path, clock)


@pytest.mark.case("N1", "N2")
async def test_nights_of_two_accounts_at_once_keep_reports_queries_and_rows_apart(accounts: Accounts) -> None:
    manifests: list[Manifest] = []

    async def night(tenant: str) -> None:
        manifests.append(await accounts.run(tenant, nightly=True))

    for _ in range(3):
        async with anyio.create_task_group() as group:
            for tenant in (accounts.first, FABRIKAM):
                group.start_soon(night, tenant)
        accounts.clock.advance(DAY_S)

    assert [manifest.exit_code for manifest in manifests] == [0] * 6
    for tenant, service in accounts.simulator.services.items():
        assert [len(service.standing_reports(dataset)) for dataset in DATASETS] == [1, 1]
        assert service.created_reports == {"Profile": 2, "OfficeUsage": 2}  # a one-off and a scheduled one
        assert service.created_queries == {"Profile": 1, "OfficeUsage": 1}
        assert all(accounts.origins(tenant, dataset) == {tenant} for dataset in DATASETS)


@pytest.mark.case("N2")
async def test_what_one_account_submitted_is_left_to_it_and_the_other_creates_its_own(accounts: Accounts) -> None:
    submitted = await accounts.run(accounts.first, submit_only=True)
    waiting = dict(accounts.simulator.service.reports)
    other = await accounts.run(FABRIKAM)
    assert accounts.simulator.service.reports == waiting
    collected = await accounts.run(accounts.first, resume=submitted.run_id)

    assert [record.status for record in other.datasets] == ["complete", "complete"]
    assert {record.report_id for record in collected.datasets} == set(waiting)
    assert sum(accounts.simulator.service.created_reports.values()) == len(waiting) == 2
    for tenant in (accounts.first, FABRIKAM):
        assert accounts.origins(tenant, "OfficeUsage") == {tenant}


@pytest.mark.case("N1")
@pytest.mark.parametrize("how", [{}, {"nightly": True}, {"submit_only": True}], ids=["export", "nightly", "submit"])
async def test_a_folder_that_was_copied_is_refused_to_the_other_account(accounts: Accounts, how: Any) -> None:
    """The other account is able to sign in and to create: the folder alone says no."""
    await accounts.run(accounts.first, nightly=True)
    copied = accounts.root / "copied"
    shutil.copytree(accounts.root / accounts.first, copied, symlinks=True)
    before = (copied / "current.json").read_bytes(), dict(accounts.simulator.service.reports)
    with pytest.raises(SettingsError, match="another account"):
        await accounts.run(FABRIKAM, output=copied, **how)

    assert ((copied / "current.json").read_bytes(), dict(accounts.simulator.service.reports)) == before
    assert accounts.simulator.services[FABRIKAM].created_reports == {}


@pytest.mark.case("N12")
async def test_columns_and_rows_of_one_account_are_not_compared_with_those_of_the_other(accounts: Accounts) -> None:
    await accounts.run(accounts.first, nightly=True)
    accounts.simulator.services[FABRIKAM].drift("Profile", ColumnDrift(added=("NewColumn",)))
    other = await accounts.run(FABRIKAM, nightly=True, on_drift="fail")
    accounts.clock.advance(DAY_S)
    again = await accounts.run(accounts.first, nightly=True, on_drift="fail")

    for manifest in (other, again):
        assert manifest.exit_code == 0
        assert [record.drift for record in manifest.datasets] == [None, None]
