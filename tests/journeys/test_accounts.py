"""An output folder belongs to one account: a run for another one ends before anything is created."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from journeys.kit import killed_at, lose, settings_for
from support import FakeClock

from bulkpull.account import DEMO, Account, normalise_root
from bulkpull.config.settings import Settings
from bulkpull.errors import SettingsError
from bulkpull.events import Events
from bulkpull.output.current import Current
from bulkpull.output.manifest import Manifest
from bulkpull.output.owner import Owner, claim_folder, load_owner
from bulkpull.output.store import LocalStore
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import Scenario, Simulator

FABRIKAM = "fabrikam.example"
SMALL = Scenario(datasets=("Profile", "OfficeUsage"), rows=12, further_tenants=(FABRIKAM,), provenance=True)


async def run(
    simulator: Simulator, output: Path, *datasets: str, nightly: bool = False, submit_only: bool = False, **changes: Any
) -> Manifest:
    settings = settings_for(simulator, output).model_copy(update=changes)
    request = ExportRequest(datasets, nightly=nightly, submit_only=submit_only)
    return await Run(request, settings, Events(), clock=FakeClock()).export()


def forget_account(output: Path) -> None:
    """Make the folder one of an earlier version, which recorded no account."""
    (output / ".bulkpull" / "account.json").unlink()
    path = output / "current.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "account"}))


@pytest.mark.case("N1")
@pytest.mark.parametrize("nightly", [False, True])
async def test_a_run_for_another_tenant_is_refused_and_creates_nothing(tmp_path: Path, nightly: bool) -> None:
    async with Simulator(SMALL) as simulator:
        await run(simulator, tmp_path / "out", "Profile")
        before = (tmp_path / "out" / "current.json").read_bytes(), dict(simulator.service.created_reports)
        with pytest.raises(SettingsError) as refused:
            await run(simulator, tmp_path / "out", "Profile", nightly=nightly, tenant_id=FABRIKAM)

        after = (tmp_path / "out" / "current.json").read_bytes(), dict(simulator.service.created_reports)
    assert refused.value.exit_code == 2
    assert SMALL.tenant_id in refused.value.reason
    assert FABRIKAM in refused.value.reason
    assert "--output" in refused.value.reason
    assert after == before
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 1


@pytest.mark.case("N1")
async def test_a_run_at_another_address_is_refused(tmp_path: Path) -> None:
    async with Simulator(SMALL) as first, Simulator(SMALL) as second:
        await run(first, tmp_path / "out", "Profile")
        with pytest.raises(SettingsError, match="another account"):
            await run(second, tmp_path / "out", "Profile", nightly=True)

        assert not second.service.created_reports


@pytest.mark.case("N1")
async def test_a_refusal_names_the_settings_that_differ_because_one_may_be_mistyped(tmp_path: Path) -> None:
    async with Simulator(SMALL) as first, Simulator(SMALL) as second:
        await run(first, tmp_path / "out", "Profile")
        with pytest.raises(SettingsError, match="check `tenant_id`, or choose") as other_tenant:
            await run(first, tmp_path / "out", "Profile", tenant_id=FABRIKAM)
        with pytest.raises(SettingsError, match="check `api_base_url`, or choose") as other_address:
            await run(second, tmp_path / "out", "Profile")
        there, here = (settings_for(service, tmp_path).account.api_root for service in (first, second))
    tenants = f"`tenant_id` {SMALL.tenant_id} there, {FABRIKAM} in this run"
    assert other_tenant.value.what.endswith(f"another tenant at the same address: {tenants}")
    addresses = f"`api_base_url` {there} there, {here} in this run"
    assert other_address.value.what.endswith(f"the same tenant at another address: {addresses}")


@pytest.mark.case("N1")
async def test_an_address_that_offers_nothing_claims_no_folder(tmp_path: Path) -> None:
    async with Simulator(replace(SMALL, datasets=())) as mistyped, Simulator(SMALL) as service:
        assert (await run(mistyped, tmp_path / "out")).status == "failed"
        manifest = await run(service, tmp_path / "out", "Profile")

    assert manifest.status == "complete"


@pytest.mark.case("N2")
async def test_what_one_account_submitted_is_not_collected_by_another(tmp_path: Path) -> None:
    async with Simulator(SMALL) as simulator:
        submitted = await run(simulator, tmp_path / "out", "Profile", submit_only=True)
        settings = settings_for(simulator, tmp_path / "out").model_copy(update={"tenant_id": FABRIKAM})
        with pytest.raises(SettingsError, match="another account"):
            await Run(ExportRequest(("Profile",)), settings, Events(), resume=submitted.run_id).export()

        assert len(simulator.service.reports) == 1


@pytest.mark.case("N2")
async def test_what_one_account_left_half_done_is_not_carried_on_by_another(tmp_path: Path) -> None:
    """One manifest held the data of two customers."""
    async with Simulator(SMALL) as simulator:
        settings = settings_for(simulator, tmp_path / "out")
        request, clock = ExportRequest(("Profile", "OfficeUsage")), FakeClock()
        await lose(Run(request, settings, Events(killed_at("snapshot.published")), clock=clock))
        other = settings.model_copy(update={"tenant_id": FABRIKAM})
        before = dict(simulator.service.created_reports)
        with pytest.raises(SettingsError, match="another account"):
            await Run(request, other, Events(), clock=clock).export()

        assert simulator.service.created_reports == before
        manifest = await Run(request, settings, Events(), clock=clock).export()
    assert [record.status for record in manifest.datasets] == ["complete", "complete"]


async def test_the_account_stands_in_the_pointer_too_so_that_it_survives_the_private_folder(tmp_path: Path) -> None:
    async with Simulator(SMALL) as simulator:
        await run(simulator, tmp_path / "out", "Profile")
        account = settings_for(simulator, tmp_path / "out").account
        assert Current.load(LocalStore(tmp_path / "out")).account == account.as_dict()

        (tmp_path / "out" / ".bulkpull" / "account.json").unlink()
        with pytest.raises(SettingsError, match="another account"):
            await run(simulator, tmp_path / "out", "Profile", tenant_id=FABRIKAM)


async def test_a_run_that_could_not_reach_the_service_claims_no_folder(tmp_path: Path) -> None:
    """Else a slip in the tenant would lock the folder against the corrected run."""
    async with Simulator(SMALL) as simulator:
        lost = await run(simulator, tmp_path / "out", "Profile", tenant_id="a-slip.example")
        assert lost.exit_code == 4
        reported = await run(simulator, tmp_path / "out", "Profile")

    assert reported.exit_code == 0


async def test_a_folder_of_an_earlier_version_is_taken_over_with_a_note(tmp_path: Path) -> None:
    async with Simulator(SMALL) as simulator:
        await run(simulator, tmp_path / "out", "Profile")
        forget_account(tmp_path / "out")
        taken = await run(simulator, tmp_path / "out", "Profile")
        again = await run(simulator, tmp_path / "out", "Profile")

        account = settings_for(simulator, tmp_path / "out").account
    assert [note for note in taken.notes if "from now on it belongs to" in note]
    assert again.notes == []
    owner = load_owner(LocalStore(tmp_path / "out"))
    assert owner is not None
    assert owner.account == account


async def test_a_folder_of_an_earlier_version_that_another_service_filled_is_not_taken_over(tmp_path: Path) -> None:
    async with Simulator(SMALL) as simulator:
        manifest = await run(simulator, tmp_path / "out", "Profile")
        forget_account(tmp_path / "out")
        path = tmp_path / "out" / "runs" / manifest.run_id / "manifest.json"
        reported = json.loads(path.read_text()) | {"api_base_url": "https://api.contoso.example/insights"}
        path.write_text(json.dumps(reported))
        with pytest.raises(SettingsError, match=r"api\.contoso\.example"):
            await run(simulator, tmp_path / "out", "Profile")


async def test_another_user_of_the_same_tenant_is_a_note(tmp_path: Path) -> None:
    account = Account.of(api_root="https://api.contoso.example", programme="mpn", tenant="contoso.example")
    first = claim_folder(LocalStore(tmp_path), Owner(account, "one"))
    same = claim_folder(LocalStore(tmp_path), Owner(account, "one"))
    other = claim_folder(LocalStore(tmp_path), Owner(account, "two"))

    assert (first, same) == ([], [])
    assert "another user or application" in other[0]
    assert claim_folder(LocalStore(tmp_path), Owner(account, "two")) == []


async def test_a_demo_in_the_folder_of_an_account_is_sent_to_another_folder(tmp_path: Path) -> None:
    """No setting of the account matters to a demo, so none is named."""
    account = Account.of(api_root="https://api.contoso.example", programme="mpn", tenant="contoso.example")
    claim_folder(LocalStore(tmp_path), Owner(account, "one"))

    with pytest.raises(SettingsError) as refused:
        claim_folder(LocalStore(tmp_path), Owner(DEMO, "one"))

    assert refused.value.fix == "choose another folder with --output; no report was created"


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("HTTPS://API.Contoso.example:443/insights/v1/mpn/", "https://api.contoso.example/insights/v1/mpn"),
        ("http://127.0.0.1:8080/insights/v1/mpn", "http://127.0.0.1:8080/insights/v1/mpn"),
        ("http://[::1]:80/mpn", "http://[::1]/mpn"),
    ],
)
def test_one_service_has_one_address_however_it_is_written(written: str, normal: str) -> None:
    assert normalise_root(written) == normal


def test_the_marketplace_programme_is_refused_with_its_reason() -> None:
    with pytest.raises(SettingsError, match="Partner Insights only"):
        Settings(programme="cmp")


def make_earlier(output: Path) -> None:
    """Make the folder one of an earlier version: neither account nor question is recorded anywhere."""
    forget_account(output)
    path = output / "current.json"
    current = json.loads(path.read_text())
    for snapshot in current["datasets"].values():
        for name in ("question", "question_sha256", "query", "timespan", "window"):
            snapshot.pop(name, None)
    path.write_text(json.dumps(current))
    for path in output.glob("runs/*/manifest.json"):
        manifest = json.loads(path.read_text())
        for record in manifest["datasets"]:
            for name in ("question", "question_sha256"):
                record.pop(name)
        path.write_text(json.dumps(manifest))


async def test_a_snapshot_of_an_earlier_version_has_the_question_that_its_manifest_tells(tmp_path: Path) -> None:
    """Earlier versions selected no metrics, so that theirs is the question of `metrics = "none"`."""
    async with Simulator(SMALL) as simulator:
        output = tmp_path / "out"
        await run(simulator, output, "OfficeUsage", nightly=True, metrics="none")
        make_earlier(output)
        same = await run(simulator, output, "OfficeUsage", nightly=True, metrics="none")
        other = await run(simulator, output, "OfficeUsage", nightly=True, metrics="none", timespan="LAST_MONTH")

    assert same.datasets[0].status == "skipped"
    assert same.datasets[0].question_sha256 is not None
    assert other.datasets[0].question_sha256 != same.datasets[0].question_sha256


async def test_where_no_manifest_tells_the_question_the_dataset_is_asked_for_once_more(tmp_path: Path) -> None:
    async with Simulator(SMALL) as simulator:
        output = tmp_path / "out"
        first = await run(simulator, output, "OfficeUsage", nightly=True)
        make_earlier(output)
        (output / "runs" / first.run_id / "manifest.json").unlink()
        again = await run(simulator, output, "OfficeUsage", nightly=True)
        after = await run(simulator, output, "OfficeUsage", nightly=True)

    assert [manifest.datasets[0].status for manifest in (again, after)] == ["complete", "skipped"]
