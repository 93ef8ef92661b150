"""Two accounts' folders merged by a copy: whoever reads or clears away sees whose each snapshot is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from published import publish, run_id_of, write_manifest

import bulkpull
from bulkpull.account import Account
from bulkpull.errors import SettingsError
from bulkpull.output.current import Current
from bulkpull.output.owner import Owner, check_owner, claim_folder, foreign_runs
from bulkpull.output.retention import retire_snapshots
from bulkpull.output.store import LocalStore

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
OURS = Account("https://x", "mpn", "ours.example")
THEIRS = Account("https://x", "mpn", "theirs.example")


def night(output: Path, days_ago: float, account: Account | None, *, is_current: bool = False) -> str:
    """A snapshot of Profile by a run so long ago; `None` for a run of an earlier version, which tells no account."""
    run_id = run_id_of(NOW - timedelta(days=days_ago))
    frame = pl.DataFrame({"MPNId": [str(account and account.tenant)]})
    record = publish(output, "Profile", run_id=run_id, frame=frame, is_current=is_current)
    manifest = write_manifest(output, record, run_id=run_id)
    if account is not None:
        manifest.model_copy(update={"account": account.as_dict()}).save(LocalStore(output))
    return run_id


@pytest.fixture
def merged(tmp_path: Path) -> tuple[Path, list[str], list[str]]:
    """A folder of ours with four nights, into which three of theirs were copied; ours and theirs, newest first."""
    claim_folder(LocalStore(tmp_path), Owner(OURS))
    theirs = [night(tmp_path, days, THEIRS) for days in (1.5, 2.5, 8.5)]
    ours = [night(tmp_path, days, OURS if days != 9 else None, is_current=days == 1) for days in (9, 8, 2, 1)]
    return tmp_path, ours[::-1], theirs


@pytest.mark.case("O3")
def test_verify_names_every_snapshot_of_another_account(merged: tuple[Path, list[str], list[str]]) -> None:
    output, _, theirs = merged

    troubles = bulkpull.sync.verify(output).troubles

    assert {trouble.path for trouble in troubles} == {f"datasets/Profile/run={run}" for run in theirs}
    assert all("another account: tenant theirs.example" in trouble.what for trouble in troubles)
    assert all("to a folder of that account" in trouble.fix for trouble in troubles)


@pytest.mark.case("O3")
def test_snapshots_of_another_account_are_not_read_together_with_ours(
    merged: tuple[Path, list[str], list[str]],
) -> None:
    output, ours, theirs = merged

    frame = bulkpull.scan(output, "Profile", runs="all").collect()

    assert frame["_run_id"].to_list() == sorted(ours)
    assert "theirs.example" not in frame["MPNId"].to_list()
    with pytest.raises(SettingsError, match="there is no run"):
        bulkpull.scan(output, "Profile", runs=theirs[0])


@pytest.mark.case("O3")
def test_retention_counts_and_removes_our_own_alone(merged: tuple[Path, list[str], list[str]]) -> None:
    output, ours, theirs = merged
    snapshot = Current.load(LocalStore(output)).datasets["Profile"]

    retire_snapshots(LocalStore(output), "Profile", snapshot=snapshot, retain=2, now=NOW)

    left = {folder.name.removeprefix("run=") for folder in (output / "datasets" / "Profile").iterdir()}
    assert left == {*ours[:2], *theirs}


@pytest.mark.case("O3")
def test_a_pointer_that_a_copy_replaced_is_refused_before_anything_is_created(
    merged: tuple[Path, list[str], list[str]],
) -> None:
    output, _, theirs = merged
    current = Current.load(LocalStore(output))
    current.account = THEIRS.as_dict()
    current.save(LocalStore(output))

    with pytest.raises(SettingsError, match=r"holds the data of two accounts.*theirs\.example.*no report was created"):
        check_owner(LocalStore(output), OURS)
    assert set(foreign_runs(LocalStore(output), theirs)) == set(theirs)


@pytest.mark.case("O3")
def test_a_run_of_an_earlier_version_is_told_by_the_address_of_its_service(tmp_path: Path) -> None:
    claim_folder(LocalStore(tmp_path), Owner(Account("https://elsewhere.example", "mpn", "ours.example")))
    run_id = night(tmp_path, 3, None)

    assert foreign_runs(LocalStore(tmp_path), [run_id, run_id_of(NOW)]) == {run_id: "the service at https://x"}


@pytest.mark.case("O5")
def test_a_snapshot_that_goes_while_it_is_looked_at_is_told_with_the_next_step(
    merged: tuple[Path, list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    output, ours, _ = merged
    monkeypatch.setattr("bulkpull.output.scan.location_problem", lambda *_: None)  # it was there a moment ago
    next((output / "datasets" / "Profile" / f"run={ours[-1]}").iterdir()).unlink()

    with pytest.raises(bulkpull.DiskTrouble, match=r"was removed while it was checked: .*; read again"):
        bulkpull.scan(output, "Profile", runs="all")
