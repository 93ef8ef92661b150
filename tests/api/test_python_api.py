"""The package from Python: what it says of itself, what it takes, and what listeners and loops may do to it."""

from __future__ import annotations

import ast
import asyncio
import inspect
import random
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import bulkpull
from bulkpull.clock import own_random
from bulkpull.event_types import OtherEvent
from bulkpull.events import Event, Events
from bulkpull.output.manifest import DatasetRecord, Manifest, Requests, Tool
from bulkpull.simulator import Fault, Scenario, Simulator

QUICK: dict[str, Any] = {"requests_per_second": 500, "request_burst": 100, "poll_initial_seconds": 0.05}


def settings_for(simulator: Simulator, output: Path) -> bulkpull.Settings:
    return bulkpull.Settings(output=output, **QUICK).for_simulator(simulator.environment)


def small() -> Simulator:
    return Simulator(Scenario(rows=5, datasets=("Profile", "OfficeUsage")))


def broken(event: Event) -> None:
    raise ZeroDivisionError(f"at {event.name}")


# What it says of itself


def test_every_public_name_is_listed_and_can_be_had() -> None:
    assert [name for name in dir(bulkpull) if not name.startswith("_")] == sorted({*bulkpull.__all__} - {"__version__"})
    for name in bulkpull.__all__:
        assert getattr(bulkpull, name) is not None


def test_type_checkers_are_told_the_same_names_from_the_same_modules() -> None:
    tree = ast.parse(Path(bulkpull.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    declared = {
        name.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names
    }
    loaded = vars(bulkpull)["_ELSEWHERE"]

    assert declared == loaded | {"sync": "bulkpull"}
    assert sorted({*declared, "__version__"}) == sorted(bulkpull.__all__)


@pytest.mark.parametrize("name", ["connect", "connect_sql", "export", "nightly", "resume", "scan", "status", "verify"])
def test_each_documented_argument_is_one_that_the_function_has(name: str) -> None:
    function = getattr(bulkpull, name)
    section = (inspect.getdoc(function) or "").partition("Args:\n")[2].partition("\n\n")[0]

    assert set(re.findall(r"^    (\S.*?):", section, flags=re.MULTILINE)) <= set(inspect.signature(function).parameters)


def test_another_name_is_none_of_the_package() -> None:
    with pytest.raises(AttributeError, match="no attribute 'exprot'"):
        bulkpull.exprot  # type: ignore[attr-defined]  # noqa: B018 - a type checker refuses it too


def test_a_manifest_shows_itself_in_a_line() -> None:
    records = [
        DatasetRecord(dataset="Profile", status="complete", rows=1_200),
        DatasetRecord(dataset="X", status="failed", reason="no room"),
    ]
    manifest = Manifest(
        run_id="20261123T020000Z-abcdef",
        status="partial",
        started_at=datetime(2026, 11, 23, 2, tzinfo=UTC),
        finished_at=datetime(2026, 11, 23, 3, tzinfo=UTC),
        tool=Tool(version="1"),
        api_base_url="",
        requests=Requests(),
        datasets=records,
    )

    assert repr(manifest) == "<Manifest 20261123T020000Z-abcdef partial: 1 complete, 1 failed; 1,200 rows published>"
    assert [repr(record) for record in records] == [
        "<DatasetRecord Profile complete: 1,200 rows>",
        "<DatasetRecord X failed: no room>",
    ]


@pytest.mark.case("L9")
async def test_a_program_that_changes_its_folder_moves_neither_output_nor_metrics_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    monkeypatch.chdir(before)

    def move(event: Event) -> None:
        if event.name == "plan.made":
            monkeypatch.chdir(after)

    async with small() as simulator:
        settings = settings_for(simulator, Path("out")).model_copy(update={"metrics_file": Path("numbers.prom")})
        manifest = await bulkpull.export(datasets=["Profile"], settings=settings, listeners=[move])

    assert manifest.exit_code == 0
    assert sorted(path.name for path in before.iterdir()) == ["numbers.prom", "out"]
    assert "bulkpull_run_status" in (before / "numbers.prom").read_text("utf-8")
    assert (before / "out" / "current.json").is_file()
    assert list(after.iterdir()) == []


# What it takes


@pytest.mark.case("L11")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"settings": {}}, "`settings` takes Settings: it has a value of type dict"),
        ({"datasets": 3}, "`datasets` takes names: it has a value of type int"),
        ({"datasets": [3]}, "`datasets` takes names: it has a value of type int"),
        ({"queries": "SELECT 1"}, "`queries` takes Selection objects: it has a value of type str"),
        ({"listeners": [3]}, "`listeners` takes functions: it has a value of type int"),
        ({"output": 3}, "`output` takes a path: it has a value of type int"),
        ({"output": " "}, "`output` names no folder"),
        ({"since": "yesterday"}, "`since` is no day"),
        ({"since": "LAST_MONTH"}, 'give a time span by its name: `timespan="LAST_MONTH"`'),
        ({"timespan": "last month"}, "`timespan` is not valid"),
        ({"metrics": "some"}, "`metrics` is not valid: it must be amounts, all or none"),
        ({"output": "az://container/folder"}, "`output` is not valid: this version writes to folders"),
        (
            {"datasets": "AzureUsage, Profile"},
            'a name cannot contain a comma; give a list: datasets=["AzureUsage", "Profile"]',
        ),
        ({"datasets": ["AzureUsage,Profile"]}, 'give a list: datasets=["AzureUsage", "Profile"]'),
    ],
)
async def test_an_argument_of_another_kind_is_refused_by_its_name(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(bulkpull.SettingsError) as refused:
        await bulkpull.export(**arguments)

    assert words in str(refused.value)


@pytest.mark.case("L11")
async def test_a_listener_that_would_have_to_be_awaited_is_refused() -> None:
    async def listen(event: Event) -> None: ...

    class Listening:
        async def __call__(self, event: Event) -> None: ...

    for listener in (listen, Listening()):
        with pytest.raises(bulkpull.SettingsError, match="`listeners` has a coroutine function"):
            await bulkpull.export(listeners=[listener])  # type: ignore[list-item]


@pytest.mark.case("L11")
async def test_one_name_and_one_listener_may_stand_without_a_list(tmp_path: Path) -> None:
    heard: list[Event] = []
    async with small() as simulator:
        manifest = await bulkpull.export(
            datasets=["Profile"], settings=settings_for(simulator, tmp_path / "out"), listeners=heard.append
        )

    assert [record.dataset for record in manifest.datasets] == ["Profile"]
    assert manifest.status == "complete"
    assert any(event.name == "run.finished" for event in heard)


@pytest.mark.case("L11")
def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    file = tmp_path / "part.parquet"
    file.touch()

    for read in (
        lambda: bulkpull.scan(file, "Profile"),
        lambda: bulkpull.sync.status(file),
        lambda: bulkpull.connect_sql(file),
    ):
        with pytest.raises(bulkpull.SettingsError, match="is not an output folder: it is a file"):
            read()


@pytest.mark.case("L11")
def test_a_folder_that_is_not_there_is_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    for read in (
        lambda: bulkpull.scan("typo", "Profile"),
        lambda: bulkpull.sync.status("typo"),
        lambda: bulkpull.sync.verify("typo"),
        lambda: bulkpull.connect_sql("typo"),
    ):
        with pytest.raises(bulkpull.SettingsError, match=f"there is no folder {tmp_path / 'typo'}"):
            read()
    assert not (tmp_path / "typo").exists()


READERS: list[Callable[[Path], object]] = [
    lambda folder: bulkpull.scan(folder, "Profile"),
    bulkpull.sync.status,
    bulkpull.sync.verify,
    bulkpull.connect_sql,
]


@pytest.mark.parametrize("read", READERS)
def test_a_folder_that_no_run_has_written_to_is_no_output(read: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()

    with pytest.raises(
        bulkpull.SettingsError, match=r"no run has written to it; check the name given by `output`"
    ) as refused:
        read(tmp_path)

    assert refused.value.what.startswith(f"nothing is published in {tmp_path} yet")


def test_an_output_whose_first_run_has_published_nothing_yet_is_told_from_other_folders(tmp_path: Path) -> None:
    (tmp_path / ".bulkpull").mkdir()

    assert bulkpull.sync.status(tmp_path) == []
    (trouble,) = bulkpull.sync.verify(tmp_path).troubles
    assert trouble.what == f"nothing is published in {tmp_path} yet"
    for read in (lambda: bulkpull.scan(tmp_path, "Profile"), lambda: bulkpull.connect_sql(tmp_path)):
        with pytest.raises(bulkpull.SettingsError, match=f"nothing is published in {tmp_path} yet; "):
            read()


async def test_a_name_that_is_like_a_published_one_is_suggested(tmp_path: Path) -> None:
    async with small() as simulator:
        await bulkpull.export(datasets="OfficeUsage", settings=settings_for(simulator, tmp_path))

    with pytest.raises(bulkpull.SettingsError, match=r"did you mean OfficeUsage\? published there: OfficeUsage"):
        bulkpull.scan(tmp_path, "OfficeUsge")
    with pytest.raises(bulkpull.SettingsError, match=r"did you mean AzureUsage\? published there: OfficeUsage"):
        bulkpull.scan(tmp_path, "AzureUsge")
    with pytest.raises(bulkpull.SettingsError, match=r"no snapshot of 'Profile' .*; published there: OfficeUsage"):
        bulkpull.scan(tmp_path, "Profile")
    named = await bulkpull.status(tmp_path, datasets=["profile", "officeusage"])
    assert [(freshness.dataset, freshness.rows) for freshness in named] == [("Profile", None), ("OfficeUsage", 5)]
    with pytest.raises(bulkpull.SettingsError, match=r"unknown dataset 'Profle'.*did you mean Profile\?"):
        await bulkpull.status(tmp_path, datasets="Profle")


NO_TEXT: Any = 3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda folder: bulkpull.sync.resume(NO_TEXT, output=folder), "`run` takes the id of a run: .* of type int"),
        (lambda folder: bulkpull.sync.verify(folder, run=NO_TEXT), "`run` takes the id of a run: .* of type int"),
        (lambda folder: bulkpull.sync.status(folder, datasets=NO_TEXT), "`datasets` takes names: .* of type int"),
        (lambda folder: bulkpull.scan(folder, NO_TEXT), "`dataset` takes a name: .* of type int"),
        (lambda folder: bulkpull.scan(folder, "Profile", runs=NO_TEXT), "`runs` takes ids of runs: .* of type int"),
        (lambda folder: bulkpull.scan(folder, "Profile", runs=[NO_TEXT]), "`runs` takes ids of runs: .* of type int"),
    ],
)
def test_an_argument_of_a_reader_of_another_kind_is_refused_by_its_name(
    call: Callable[[Path], object], words: str, tmp_path: Path
) -> None:
    (tmp_path / ".bulkpull").mkdir()

    with pytest.raises(bulkpull.SettingsError, match=words):
        call(tmp_path)


async def test_arguments_of_a_call_beat_its_settings(tmp_path: Path) -> None:
    async with small() as simulator:
        settings = settings_for(simulator, tmp_path).replacing(timespan="LAST_3_MONTHS", metrics="all")
        manifest = await bulkpull.export(
            datasets="OfficeUsage", settings=settings, timespan="last_month", metrics="none", keep_raw=True
        )
        night = await bulkpull.nightly(
            datasets="OfficeUsage", settings=settings, since="2026-09-01", until="2026-10-01"
        )

    (record,), (windowed,) = manifest.datasets, night.datasets
    assert (record.timespan, record.metrics, record.window) == ("LAST_MONTH", [], None)
    assert list((tmp_path / "raw" / "OfficeUsage").iterdir())
    assert windowed.window == bulkpull.Window(datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))
    assert night.as_dict()["datasets"][0]["window"] == {"start": "2026-09-01T00:00:00Z", "end": "2026-10-01T00:00:00Z"}


async def test_a_run_that_only_submits_is_collected_by_resume(tmp_path: Path) -> None:
    async with small() as simulator:
        settings = settings_for(simulator, tmp_path)
        submitted = await bulkpull.export(datasets="Profile", settings=settings, submit_only=True)
        collected = await bulkpull.resume(settings=settings)

    assert (submitted.submitted, submitted.datasets[0].status) == (True, "skipped")
    assert (collected.run_id, collected.datasets[0].status) == (submitted.run_id, "complete")


def test_an_error_of_the_python_api_names_arguments_and_no_options(tmp_path: Path) -> None:
    with pytest.raises(bulkpull.SettingsError) as refused:
        bulkpull.sync.export(output=tmp_path, datasets="Profile", until="2026-02-01", settings=bulkpull.Settings())

    assert refused.value.fix == 'give the start of the window: `since="2026-01-01"`'
    assert str(refused.value) == refused.value.reason


@pytest.mark.case("L11")
async def test_a_client_says_that_its_block_is_over(tmp_path: Path) -> None:
    async with small() as simulator:
        async with bulkpull.connect(settings_for(simulator, tmp_path)) as client:
            await client.get_datasets()
        with pytest.raises(
            bulkpull.BulkpullError, match="the connection is closed: it is open only within its `async with`"
        ):
            await client.get_datasets()


async def test_an_error_that_is_caught_within_a_connection_names_no_command_that_was_run(tmp_path: Path) -> None:
    async with small() as simulator:
        simulator.arm(Fault("html_body", endpoint="ScheduledDataset", times=None))
        settings = settings_for(simulator, tmp_path).replacing(request_attempts=1)
        async with bulkpull.connect(settings) as client:
            with pytest.raises(bulkpull.ReportingError) as raised:
                await client.get_datasets()

    assert isinstance(client, bulkpull.InsightsClient)
    assert "then make the same call again" in str(raised.value)


@pytest.mark.case("L11")
def test_another_event_loop_than_asyncios_is_refused_with_the_way_around() -> None:
    step = bulkpull.export().__await__()

    with pytest.raises(bulkpull.SettingsError, match=r"the event loop is not asyncio's.*trio\.to_thread"):
        next(step)


# What listeners and loops may do to it


@pytest.mark.case("L4")
async def test_a_listener_that_raises_harms_no_run_and_is_raised_as_what_it_is(tmp_path: Path) -> None:
    heard: list[Event] = []
    async with small() as simulator:
        settings = settings_for(simulator, tmp_path / "out")
        with pytest.raises(ZeroDivisionError) as raised:
            await bulkpull.export(datasets=["Profile"], settings=settings, listeners=[broken, heard.append])
        async with bulkpull.connect(settings) as client:
            left = await client.get_reports()

    assert "raised by the listener broken at the event run.started" in raised.value.__notes__[0]
    assert bulkpull.scan(tmp_path / "out", "Profile").collect().height == 5
    dropped = [event for event in heard if event.name == "listener.dropped"]
    assert [event.facts["listener"] for event in dropped] == ["broken"]
    assert heard[-1].name in ("run.finished", "account.lacking")
    assert left == []  # the run did what follows a publication


@pytest.mark.case("L4")
def test_a_listener_that_raised_hears_no_more_and_the_others_hear_all() -> None:
    calls: list[str] = []

    def once(event: Event) -> None:
        calls.append(event.name)
        raise ValueError("once")

    heard: list[str] = []
    events = Events(once, lambda event: heard.append(event.name))
    events.emit(OtherEvent(event_name="a.happened"))
    with events.joined(once):
        events.emit(OtherEvent(event_name="b.happened"))

    assert calls == ["a.happened"]
    assert heard == ["listener.dropped", "a.happened", "b.happened"]
    with pytest.raises(ValueError, match="once"):
        events.raise_faults()


@pytest.mark.case("L11")
def test_a_function_that_gives_a_coroutine_is_told_and_dropped() -> None:
    async def tell(event: Event) -> None: ...

    events = Events(tell)  # type: ignore[arg-type]
    events.emit(OtherEvent(event_name="a.happened"))

    with pytest.raises(TypeError, match="a coroutine function, which nobody would await"):
        events.raise_faults()


@pytest.mark.case("L10")
def test_waits_draw_from_a_source_of_their_own() -> None:
    random.seed(1)
    expected = random.Random(1).random()  # noqa: S311
    draws = {own_random()() for _ in range(20)}

    assert random.random() == expected  # noqa: S311 - the host's numbers are as they would have been
    assert len(draws) == 20
    assert all(0 <= draw < 1 for draw in draws)


@pytest.mark.case("L10")
@pytest.mark.parametrize("module", ["bulkpull.pipeline.run", "bulkpull.insights.connect", "bulkpull.transport.retry"])
def test_no_module_of_the_waits_uses_the_hosts_source(module: str) -> None:
    assert not hasattr(sys.modules[module], "random")


@pytest.mark.case("L12")
def test_the_first_call_is_loaded_outside_of_the_loop() -> None:
    # The names that a caller touches are light; what carries a call out is loaded in a thread.
    program = """
import asyncio, sys, threading
import bulkpull
heavy = ("aiohttp", "polars", "pydantic", "bulkpull.pipeline.run")
loaded_by = {}

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in heavy:
            loaded_by[name] = threading.current_thread() is threading.main_thread()
        return None

async def main():
    sys.meta_path.insert(0, Watch())
    for call in (bulkpull.export, bulkpull.nightly, bulkpull.resume, bulkpull.status, bulkpull.verify, bulkpull.scan):
        assert callable(call)
    try:
        await bulkpull.export(datasets=3)
    except bulkpull.SettingsError:
        pass
    assert loaded_by["bulkpull.pipeline.run"] is False, loaded_by
    assert not any(loaded_by.values()), loaded_by

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603

    assert done.returncode == 0, done.stderr


async def test_without_settings_the_environment_and_then_the_settings_file_count_as_for_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bulkpull.toml").write_text("keep_raw = true\noutput = 'elsewhere'\nrequests_per_second = 500\n")
    async with small() as simulator:
        for name, value in simulator.environment.items():
            monkeypatch.setenv(name, value)
        manifest = await bulkpull.export(datasets="Profile")

    assert manifest.status == "complete"
    assert list((tmp_path / "elsewhere" / "raw" / "Profile").iterdir())
    assert bulkpull.Settings.load("bulkpull.toml").keep_raw
    assert not bulkpull.Settings().keep_raw


# Without await


def work(simulator: Simulator, output: Path) -> None:
    settings = settings_for(simulator, output)
    manifest = bulkpull.sync.export(datasets=["Profile"], settings=settings)
    assert manifest.status == "complete"
    assert bulkpull.sync.resume(settings=settings).run_id == manifest.run_id
    assert [status.dataset for status in bulkpull.sync.status(output)] == ["Profile"]
    assert not bulkpull.sync.verify(output).troubles
    assert bulkpull.sync.scan(output, "Profile").collect().height == 5
    night = bulkpull.sync.nightly(datasets=["Profile"], settings=settings)
    assert night.status == "complete"


async def test_the_plain_functions_work_in_a_script(tmp_path: Path) -> None:
    async with small() as simulator:
        await asyncio.to_thread(work, simulator, tmp_path / "out")


async def test_the_plain_functions_work_inside_a_running_loop(tmp_path: Path) -> None:
    async def notebook() -> None:
        work(simulator, tmp_path / "out")

    async with small() as simulator:
        # A loop of its own, in which the plain functions are called as in a notebook's cell.
        await asyncio.to_thread(asyncio.run, notebook())


async def test_async_forms_of_the_readers(tmp_path: Path) -> None:
    async with small() as simulator:
        settings = settings_for(simulator, tmp_path)
        await bulkpull.export(datasets=["Profile"], settings=settings)
    (tmp_path / "latest" / "Profile").unlink()

    findings = await bulkpull.verify(tmp_path, quick=True)
    (freshness,) = await bulkpull.status(tmp_path)
    frame = await bulkpull.scan_async(tmp_path, "Profile")

    assert [trouble.path for trouble in findings.troubles] == ["latest/Profile"]
    assert freshness.rows == 5
    assert frame.collect().height == 5
    with pytest.raises(bulkpull.SettingsError, match="there is no run 'x'"):
        await bulkpull.verify(tmp_path, run="x")


def test_an_error_of_a_plain_function_does_not_follow_from_another_one(tmp_path: Path) -> None:
    """The first lines of a script's traceback are what a mail of cron shows."""
    with pytest.raises(bulkpull.BulkpullError) as refused:
        bulkpull.sync.status(tmp_path / "nothing")

    assert refused.value.__context__ is None
