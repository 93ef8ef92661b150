"""Retention: what is old goes; what is current, young, described or strange stays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from memory_store import MemoryStore
from published import publish, run_id_of, write_manifest

from bulkpull.output import retention
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.retention import retire_runs, retire_snapshots, runs_to_retire, snapshots_to_retire
from bulkpull.output.store import INSIDE, LocalStore, OutputStore

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def days_ago(days: float) -> str:
    return run_id_of(NOW - days * DAY)


def current_of(output: Path) -> CurrentSnapshot:
    return Current.load(LocalStore(output)).datasets["Profile"]


def retire(output: Path, *, retain: int) -> None:
    retire_snapshots(LocalStore(output), "Profile", snapshot=current_of(output), retain=retain, now=NOW)


def names(*days: float) -> list[str]:
    return [f"run={days_ago(day)}" for day in days]


@pytest.mark.fault(99)
def test_retention_spares_the_current_the_young_and_the_strange() -> None:
    strange = ["run=by-hand", "backup", "run=20250101T010000Z-ZZZZZZ"]

    gone = snapshots_to_retire([*names(9, 8, 7, 6, 5, 0.1), *strange], current=days_ago(9), retain=2, now=NOW)

    assert sorted(gone) == names(8, 7, 6)  # the newest is kept, and what it replaced this very night is still read


@pytest.mark.fault(99)
def test_a_snapshot_that_was_replaced_within_a_day_is_left_to_its_readers() -> None:
    assert snapshots_to_retire(names(30, 0), current=days_ago(0), retain=1, now=NOW) == []
    assert snapshots_to_retire(names(30, 2), current=days_ago(2), retain=1, now=NOW) == names(30)


@pytest.mark.case("O4")
def test_the_day_of_grace_for_readers_runs_from_the_replacement_not_from_the_start_of_the_replacing_run() -> None:
    # Submitted a day and an hour ago, resumed and published an hour ago.
    there, current = names(30, 1.04), days_ago(1.04)
    replaced = {days_ago(30): NOW - DAY / 24}

    assert snapshots_to_retire(there, current=current, retain=1, now=NOW, replaced=replaced) == []
    later = NOW + DAY
    assert snapshots_to_retire(there, current=current, retain=1, now=later, replaced=replaced) == names(30)


@given(
    some.lists(some.floats(0, 60), unique_by=lambda day: round(day * 86_400), min_size=1),
    some.integers(1, 9),
    some.integers(0, 100),
)
def test_the_current_snapshot_never_goes_and_what_stays_is_bounded(days: list[float], retain: int, pick: int) -> None:
    there = names(*days)
    current = days_ago(days[pick % len(days)])

    gone = snapshots_to_retire(there, current=current, retain=retain, now=NOW)

    assert f"run={current}" not in gone
    assert set(gone) <= set(there)
    young = sum(day <= 1 for day in days)
    assert len(there) - len(gone) <= retain + young + 1


def test_runs_go_when_nothing_of_them_is_left_and_thirty_newer_ones_are_there() -> None:
    nights = [days_ago(day) for day in range(40)]

    gone = runs_to_retire(nights, needed={nights[35]}, retain=7, now=NOW)

    assert gone == [*nights[30:35], *nights[36:]]
    assert runs_to_retire(nights, needed=set(), retain=38, now=NOW) == nights[38:]


def test_runs_of_today_stay_however_many_there_are() -> None:
    assert runs_to_retire([days_ago(0.5 + n / 1000) for n in range(99)], needed=set(), retain=1, now=NOW) == []


def test_an_old_snapshot_goes_with_its_raw_file_and_leaves_nothing_outside_the_private_folder(tmp_path: Path) -> None:
    for day in (9, 8, 7):
        publish(tmp_path, "Profile", run_id=days_ago(day))
        raw = tmp_path / "raw" / "Profile" / f"run={days_ago(day)}"
        raw.mkdir(parents=True)
        (raw / "Profile.csv.gz").write_bytes(b"")

    retire(tmp_path, retain=2)

    for kind in ("datasets", "raw"):
        assert sorted(path.name for path in (tmp_path / kind / "Profile").iterdir()) == names(8, 7)
    assert list((tmp_path / ".bulkpull" / "retired").iterdir()) == []


def test_retention_needs_no_folder_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    foreign = {days_ago(8): "another account"}
    monkeypatch.setattr(retention, "foreign_runs", lambda *_: foreign)
    for day in (9, 8, 7):
        store.put(INSIDE.snapshot("Profile", days_ago(day)) / "part-00000.parquet", "rows")
    current = CurrentSnapshot(run_id=days_ago(7), rows=1, files=[])

    retire_snapshots(store, "Profile", snapshot=current, retain=3, now=NOW)
    assert store.list_names(INSIDE.snapshots("Profile")) == names(9, 8, 7)

    retire_snapshots(store, "Profile", snapshot=current, retain=1, now=NOW)
    assert store.list_names(INSIDE.snapshots("Profile")) == names(8, 7), "the foreign snapshot stays"


@pytest.mark.case("O3")
def test_whose_the_runs_are_is_asked_only_where_a_snapshot_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every publication would look at the manifests of all runs whose snapshots are still there."""
    store = MemoryStore()
    for day in (0.3, 0.2, 0.1):
        store.put(INSIDE.snapshot("Profile", days_ago(day)) / "part-00000.parquet", "rows")
    current = CurrentSnapshot(run_id=days_ago(0.1), rows=1, files=[])
    asked: list[Sequence[str]] = []

    def no_foreign_runs(_: OutputStore, runs: Sequence[str]) -> dict[str, str]:
        asked.append(runs)
        return {}

    monkeypatch.setattr(retention, "foreign_runs", no_foreign_runs)

    def retire_at(now: datetime) -> None:
        retire_snapshots(store, "Profile", snapshot=current, retain=1, now=now)

    retire_at(NOW)
    assert asked == []
    assert store.list_names(INSIDE.snapshots("Profile")) == names(0.3, 0.2, 0.1)

    retire_at(NOW + DAY)
    assert len(asked) == 1
    assert store.list_names(INSIDE.snapshots("Profile")) == names(0.1)


@pytest.mark.fault(99)
def test_a_snapshot_that_cannot_be_removed_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (9, 8):
        publish(tmp_path, "Profile", run_id=days_ago(day))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refuse)
    retire(tmp_path, retain=1)

    assert sorted(path.name for path in (tmp_path / "datasets" / "Profile").iterdir()) == names(9, 8)
    assert (tmp_path / "datasets" / "Profile" / names(9)[0] / "part-00000.parquet").is_file()


async def test_old_runs_go_from_the_disk_and_later_from_the_ledger(tmp_path: Path) -> None:
    (tmp_path / ".bulkpull").mkdir()
    async with opened_ledger(tmp_path / ".bulkpull") as ledger:
        for day in range(130, -1, -1):
            write_manifest(tmp_path, run_id=days_ago(day))
            await ledger.begin_run(days_ago(day), request={}, at=NOW - day * DAY)
        published = publish(tmp_path, "Profile", run_id=days_ago(129))
        write_manifest(tmp_path, published, run_id=days_ago(129))

        await retire_runs(LocalStore(tmp_path), ledger, retain=7, now=NOW)

        left = sorted(path.name for path in (tmp_path / "runs").iterdir())
        assert left == [days_ago(129), *(days_ago(day) for day in range(29, -1, -1))]
        remembered = {run.run_id for run in await ledger.runs()}
        assert remembered == {days_ago(129), *(days_ago(day) for day in range(91))}
    assert Current.load(LocalStore(tmp_path)).datasets["Profile"].run_id == days_ago(129)
    assert not (tmp_path / ".bulkpull" / "retired").exists()
