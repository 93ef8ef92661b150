"""Links, pipes and climbing paths planted in an output folder: nothing outside is touched, and one sentence tells."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from journeys.kit import export

import bulkpull
from bulkpull.errors import DiskTrouble
from bulkpull.events import Event
from bulkpull.output.freshness import find_freshness
from bulkpull.output.owner import foreign_runs, load_owner
from bulkpull.output.store import LocalStore
from bulkpull.simulator import Scenario, Simulator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes need POSIX here")

SMALL = Scenario(rows=5, datasets=("Profile", "OfficeUsage"))
OLD = "20200101T000000Z-00000a"


def others(tmp_path: Path) -> Path:
    """A folder of somebody else, full of names that are ours."""
    folder = tmp_path / "others"
    for name in (OLD, f"run={OLD}", "run=20200102T000000Z-00000a", "retired", "keep"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text("others")
    (folder / ".current.json.1.new").write_text("others")
    return folder


def content(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.case("C25")
@pytest.mark.parametrize("place", ["datasets/Profile", "raw/Profile", "datasets", "raw", "runs", ".bulkpull/staging"])
async def test_a_link_to_elsewhere_is_neither_swept_nor_written_through(tmp_path: Path, place: str) -> None:
    output, outside = tmp_path / "out", others(tmp_path)
    before = content(outside)
    async with Simulator(SMALL) as simulator:
        (output / place).parent.mkdir(parents=True)
        (output / place).symlink_to(outside)
        try:
            manifest = await export(simulator, output, "Profile", "OfficeUsage", keep_raw=True, retain_runs=1)
        except DiskTrouble as refused:
            reported, complete = [refused.reason], ["OfficeUsage"]
        else:
            reported = [record.reason or "" for record in manifest.datasets if record.status == "failed"]
            complete = [record.dataset for record in manifest.datasets if record.status == "complete"]

    assert content(outside) == before
    assert reported
    assert all("is a link" in reason for reason in reported)
    if place.endswith("Profile"):
        assert complete == ["OfficeUsage"]


@pytest.mark.case("C54")
@pytest.mark.case("C25")
@pytest.mark.parametrize("place", ["datasets/Profile", "raw/Profile"])
@pytest.mark.parametrize("kind", ["link", "file"])
async def test_nothing_is_created_for_a_dataset_whose_folder_is_none(tmp_path: Path, place: str, kind: str) -> None:
    output, outside = tmp_path / "out", others(tmp_path)
    (output / place).parent.mkdir(parents=True)
    if kind == "link":
        (output / place).symlink_to(outside)
    else:
        (output / place).write_text("in the way")
    async with Simulator(SMALL) as simulator:
        manifest = await export(simulator, output, "Profile", "OfficeUsage", keep_raw=True)
        created = simulator.service.created_reports

    assert {record.dataset: record.status for record in manifest.datasets} == {
        "Profile": "failed",
        "OfficeUsage": "complete",
    }
    assert created["Profile"] == 0
    assert created["OfficeUsage"] == 1


@pytest.mark.case("C25")
async def test_a_linked_private_folder_is_used_and_not_swept_beyond_our_own_names(tmp_path: Path) -> None:
    output, private = tmp_path / "out", tmp_path / "elsewhere"
    for name in ("staging/keep", "staging/20200101", "retired/keep", "keep"):
        (private / name).mkdir(parents=True)
        (private / name / "file").write_text("others")
    (private / "staging" / OLD).mkdir()
    output.mkdir()
    (output / ".bulkpull").symlink_to(private)
    async with Simulator(SMALL) as simulator:
        manifest = await export(simulator, output, "Profile")

    assert manifest.status == "complete"
    for name in ("staging/keep", "staging/20200101", "retired/keep", "keep"):
        assert (private / name / "file").read_text() == "others"
    assert not (private / "staging" / OLD).exists()


@pytest.mark.case("C25")
async def test_a_link_that_is_planted_during_a_run_loses_nothing_outside(tmp_path: Path) -> None:
    output, outside = tmp_path / "out", others(tmp_path)
    before = content(outside)

    def plant(event: Event) -> None:
        if event.name == "pull.stepped" and event.facts["step"] == "publish" and event.dataset == "Profile":
            (output / "datasets").mkdir(exist_ok=True)
            (output / "datasets" / "Profile").symlink_to(outside)

    async with Simulator(SMALL) as simulator:
        manifest = await export(simulator, output, "Profile", "OfficeUsage", listeners=[plant], retain_runs=1)

    assert content(outside) == before
    statuses = {record.dataset: record.status for record in manifest.datasets}
    assert statuses == {"Profile": "failed", "OfficeUsage": "complete"}


@pytest.mark.case("C26")
@pytest.mark.parametrize("path", ["/dev/zero", "../../etc/passwd", "datasets/Profile/pipe", "datasets/Profile/zero"])
async def test_a_path_in_the_pointer_that_is_no_file_of_ours_is_told_in_a_sentence_and_never_read(
    tmp_path: Path, path: str
) -> None:
    async with Simulator(SMALL) as simulator:
        await export(simulator, tmp_path, "Profile")
        os.mkfifo(tmp_path / "datasets" / "Profile" / "pipe")
        (tmp_path / "datasets" / "Profile" / "zero").symlink_to("/dev/zero")
        current = json.loads((tmp_path / "current.json").read_text())
        current["datasets"]["Profile"]["files"] = [path]
        (tmp_path / "current.json").write_text(json.dumps(current))

        with pytest.raises(DiskTrouble, match="Profile"):
            bulkpull.scan(tmp_path, "Profile")
        assert [item.dataset for item in find_freshness(LocalStore(tmp_path))] == ["Profile"]
        again = await export(simulator, tmp_path, "Profile")

    assert again.status == "complete"
    assert bulkpull.scan(tmp_path, "Profile").collect().height == again.datasets[0].rows


@pytest.mark.case("C47")
@pytest.mark.case("C26")
@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
async def test_a_pointer_that_is_no_regular_file_is_a_sentence(tmp_path: Path, kind: str) -> None:
    pointer = tmp_path / "current.json"
    if kind == "pipe":
        os.mkfifo(pointer)
    elif kind == "link":
        pointer.symlink_to("/dev/zero")
    else:
        pointer.mkdir()

    with pytest.raises(DiskTrouble, match=f"current.json.*{kind}"):
        find_freshness(LocalStore(tmp_path))


@pytest.mark.case("C26")
@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "deep"])
async def test_a_record_of_the_account_that_cannot_be_read_is_a_sentence(tmp_path: Path, kind: str) -> None:
    record = tmp_path / ".bulkpull" / "account.json"
    record.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(record)
    elif kind == "link":
        record.symlink_to("/dev/zero")
    elif kind == "folder":
        record.mkdir()
    else:
        record.write_text('{"account":' + "[" * 100_000)

    with pytest.raises(DiskTrouble, match=r"account\.json cannot be read"):
        load_owner(LocalStore(tmp_path))
    assert foreign_runs(LocalStore(tmp_path), ["20261123T020405Z-abcdef"]) == {}


@pytest.mark.case("L7")
@pytest.mark.parametrize("harm", ["lock deleted", "output moved"])
async def test_a_run_that_lost_its_lock_publishes_nothing_and_says_so(tmp_path: Path, harm: str) -> None:
    output = tmp_path / "out"

    def strike(event: Event) -> None:
        if event.name == "pull.stepped" and event.facts["step"] == "publish":
            if harm == "lock deleted":
                (output / ".bulkpull" / "lock").unlink()
            else:
                output.rename(tmp_path / "moved")
                output.mkdir()

    async with Simulator(SMALL) as simulator:
        with pytest.raises(DiskTrouble, match="no longer belongs to this run"):
            await export(simulator, output, "Profile", listeners=[strike])

    assert not (output / "current.json").exists() or "Profile" not in (output / "current.json").read_text()
    assert not (output / "latest").exists()
