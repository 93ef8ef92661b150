"""The program as a process: signals, closed streams, other locales, the served simulator."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import QUICK, SMALL, Command, Serve, finish, small, start_program

from bulkpull.cli.simulator_server import stage
from bulkpull.cli.stdio import SafeStream
from bulkpull.errors import SettingsError
from bulkpull.simulator import FAULT_TABLE, Fault, FaultRow

PLAN = ("export", "--demo", "--plan")


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Leave no process behind, whatever the test finds."""
    with process:  # waits for its end
        try:
            yield process
        finally:
            process.kill()


def _read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"the program ended without saying {words!r}")


# What takes memory for as long as an export waits: it belongs into the converters, or to commands of its own.
NOT_IN_THE_PARENT = (
    "polars",
    "numpy",
    "duckdb",
    "msal",
    "cryptography",
    "opentelemetry",
    "azure",
    "bulkpull.simulator",
)


def test_the_process_that_waits_for_reports_loads_nothing_large(serve: Serve, tmp_path: Path) -> None:
    program = f"""
import sys
from bulkpull.cli import run
assert run(["export", "Profile", "--quiet"]) == 0
print([name for name in {NOT_IN_THE_PARENT!r} if name in sys.modules])
"""
    simulator = serve(SMALL)
    found = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program],
        env=os.environ | simulator.environment | QUICK, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (found.stdout, found.stderr) == ("[]\n", "")


# A night without news fetches and converts nothing; nobody asked it for metrics.
NOT_WITHOUT_NEWS = (
    "polars",
    "prometheus_client",
    "bulkpull.transfer",
    "bulkpull.pipeline.dataset",
    "bulkpull.pipeline.steps.converter_process",
)


def test_a_night_without_news_loads_nothing_that_fetches_or_converts(serve: Serve, tmp_path: Path) -> None:
    program = f"""
import sys
from bulkpull.cli import run
assert run(["nightly", "Profile", "--quiet"]) == 0
print([name for name in {NOT_WITHOUT_NEWS!r} if name in sys.modules])
"""
    simulator = serve(SMALL)
    first, second = (
        subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", program],
            env=os.environ | simulator.environment | QUICK, cwd=tmp_path, capture_output=True, text=True, check=False,
        )
        for _ in range(2)
    )  # fmt: skip
    assert "bulkpull.pipeline.dataset" in first.stdout
    assert (second.stdout, second.stderr) == ("[]\n", "")


@pytest.mark.parametrize("asked_by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.fault(93, 103)
@pytest.mark.case("L6")
def test_a_signal_ends_an_export_with_130_its_manifest_and_the_way_to_carry_on(
    serve: Serve, tmp_path: Path, asked_by: signal.Signals
) -> None:
    stuck = Fault("execution_stuck", dataset="OfficeUsage", times=None)
    simulator = serve(small(faults=(stuck,)))
    arguments = ("export", "Profile", "OfficeUsage", "--json")
    with _ended(start_program(*arguments, environment=simulator.environment | QUICK, folder=tmp_path)) as process:
        _read_until(process, "snapshot.published")
        process.send_signal(asked_by)
        outcome = finish(process)
    assert outcome.code == 130
    manifest = outcome.json()
    assert {record["dataset"]: record["status"] for record in manifest["datasets"]}["OfficeUsage"] == "failed"
    assert "interrupted: no partial data is visible\n" in outcome.err
    step = r"^fix:   run the same command again, or `.*runs resume .*`: it resumes$"
    assert re.search(step, outcome.err, re.MULTILINE)
    assert "Traceback" not in outcome.err


@pytest.mark.fault(103)
def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    program = """
import anyio
from bulkpull.cli.signals import run_interruptibly

async def work_that_will_not_end():
    with anyio.CancelScope(shield=True):
        print("working", flush=True)
        await anyio.sleep_forever()

run_interruptibly(work_that_will_not_end, when_asked=lambda: print("asked", flush=True))
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=tmp_path)  # noqa: S603 - our own interpreter
    with _ended(process):
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 130


@pytest.mark.fault(103)
def test_a_run_that_is_ended_by_a_second_signal_was_interrupted(serve: Serve, tmp_path: Path) -> None:
    program = """
import sys, anyio
from bulkpull.cli import main
from bulkpull.pipeline.run import Run

async def will_not_end(self, **_):
    await anyio.sleep_forever()

Run._finish = will_not_end
sys.argv[1:] = ["export", "OfficeUsage", "--log-format", "json"]
main()
"""
    stuck = Fault("execution_stuck", dataset="OfficeUsage", times=None)
    environment = serve(small(faults=(stuck,))).environment | QUICK
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program], env=os.environ | environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    with _ended(process):
        _read_until(process, "report.created")
        process.send_signal(signal.SIGINT)
        _read_until(process, "run.stopping")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130

    status = finish(start_program("status", environment=environment, folder=tmp_path))
    assert "was interrupted at " in status.err
    assert "1 dataset unfinished" in status.err
    (run,) = finish(start_program("runs", "list", "--json", environment=environment, folder=tmp_path)).json()["runs"]
    assert run["status"] == "interrupted"


def _run_main_after(program: str, *, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a module that is `program`, then `main`: only a module ends as `python -m bulkpull` does."""
    text = f"import os, signal, sys\nfrom bulkpull import cli, platforms\n{program}\ncli.main()\n"
    (folder / "program.py").write_text(text)
    words = [sys.executable, "-m", "program"]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)  # noqa: S603 - our own interpreter


@pytest.mark.parametrize("asked_by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.fault(103)
def test_a_signal_while_the_program_is_loaded_gives_130_and_one_object(
    asked_by: signal.Signals, tmp_path: Path
) -> None:
    loading = f"""
platforms.current().hold_stop_requests()
signal.raise_signal({int(asked_by)})
print("loaded", file=sys.stderr)
sys.argv = ["bulkpull", "export", "--json"]
"""

    done = _run_main_after(loading, folder=tmp_path)

    assert done.returncode == 130
    assert done.stderr == "loaded\nerror: interrupted\nfix:   run the same command again\n"
    assert json.loads(done.stdout)["exit"] == 130


@pytest.mark.fault(103)
def test_a_second_signal_while_the_program_is_loaded_ends_it_at_once(tmp_path: Path) -> None:
    loading = """
platforms.current().hold_stop_requests()
signal.raise_signal(signal.SIGTERM)
signal.raise_signal(signal.SIGTERM)
print("still here", file=sys.stderr)
"""

    done = _run_main_after(loading, folder=tmp_path)

    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.fault(103)
@pytest.mark.parametrize(
    ("command", "status"),
    [
        # Between the end of the work and the end of the process, event loops leave the default action of SIGTERM.
        ("run_interruptibly(anyio.lowlevel.checkpoint, when_asked=print); os.kill(os.getpid(), signal.SIGTERM)", 130),
        # What is interrupted within `exec` of a text has Python end by the signal itself.
        ("exec('signal.raise_signal(signal.SIGINT)')", 130),
        # Python ignores what is raised where it calls back by itself, as it does while modules are loaded.
        ("Deleted(); [time.sleep(0.1) for _ in range(600)]", 130),
        # The process ends already: its exit status is that of its work.
        ("atexit.register(os.kill, os.getpid(), signal.SIGTERM)", 3),
    ],
)
def test_no_signal_ends_the_program_without_its_exit_status(command: str, status: int, tmp_path: Path) -> None:
    program = f"""
import anyio, anyio.lowlevel, atexit, time
from bulkpull.cli.signals import run_interruptibly

class Deleted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def run():
    try:
        {command}
    except KeyboardInterrupt:
        return 130
    return 3

cli.run = run
"""

    done = _run_main_after(program, folder=tmp_path)

    assert (done.returncode, done.stderr) == (status, "")


@pytest.mark.case("L6")
@pytest.mark.parametrize("ignored", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_the_caller_ignores_stays_ignored(ignored: signal.Signals, tmp_path: Path) -> None:
    program = """
import sys
import anyio
import anyio.to_thread
from bulkpull import cli
from bulkpull.cli.signals import run_interruptibly

async def work():
    print("working", flush=True)
    await anyio.to_thread.run_sync(sys.stdin.readline)
    print("done", flush=True)

cli.run = lambda: int(run_interruptibly(work, when_asked=lambda: print("asked", flush=True)))
cli.main()
"""

    ignoring = f"trap '' {ignored.name.removeprefix('SIG')}; exec \"$@\""  # as nohup and shells do
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        ["/bin/sh", "-c", ignoring, "sh", sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    with _ended(process):
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(ignored)
        out, _ = process.communicate("go on\n")
    assert (process.returncode, out) == (0, "done\n")


@pytest.mark.fault(102)
def test_a_reader_that_goes_away_changes_nothing_about_the_exit_status(tmp_path: Path) -> None:
    for arguments in (PLAN, ("--help",)):
        reading, writing = os.pipe()
        os.close(reading)
        process = start_program(*arguments, environment={}, folder=tmp_path, stdout=writing)
        os.close(writing)
        outcome = finish(process)
        assert outcome.code == 0
        assert all(line.startswith("note:") for line in outcome.err.splitlines())


@pytest.mark.fault(102)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_standard_error_is_no_fault_and_under_standard_output_is_one(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        errors_lost = finish(start_program("exprt", environment={}, folder=tmp_path, stderr=full))
        data_lost = finish(start_program(*PLAN, "--json", environment={}, folder=tmp_path, stdout=full))
    assert errors_lost.code == 2
    assert data_lost.code == 1
    assert "standard output cannot be written" in data_lost.err
    assert "Traceback" not in data_lost.err


@pytest.mark.fault(102)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [("--help",), ("simulate", "--list-faults"), ("datasets", "--demo")], ids=str)
def test_a_full_disk_under_standard_output_is_told_once_whatever_is_written(
    tmp_path: Path, arguments: tuple[str, ...], unbuffered: str
) -> None:
    """What is still in a buffer when the program ends must not become the interpreter's own fault, status 120."""
    environment = {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        outcome = finish(start_program(*arguments, environment=environment, folder=tmp_path, stdout=full))

    assert outcome.code == 1
    assert outcome.err.splitlines()[0] == "error: standard output cannot be written"
    assert "--output" not in outcome.err
    assert "Exception" not in outcome.err


@pytest.mark.fault(102)
def test_in_a_locale_without_our_letters_json_is_ascii_and_tables_do_not_fail(tmp_path: Path) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    preview = ("preview", "Profile", "--demo")
    as_json = finish(start_program(*preview, "--json", environment=ascii_only, folder=tmp_path))
    assert as_json.code == 0
    assert as_json.out.isascii()
    assert len(json.loads(as_json.out)["rows"]) > 1
    assert finish(start_program(*preview, environment=ascii_only, folder=tmp_path)).code == 0


def test_a_stream_that_nobody_reads_takes_everything_in_silence() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        forgiving = SafeStream(stream, ignored=BrokenPipeError)
        for _ in range(3):
            assert forgiving.write("data\n") == 5
            forgiving.flush()


def test_the_served_simulator_prints_settings_that_a_client_can_use_and_ends_when_asked(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = ("--rows", "7", "--seed", "3", "--key-casing", "pascal", "--page-size", "5")
    arguments = ("simulate", *shape, "--tenant", "fabrikam.example")
    with _ended(start_program(*arguments, environment={}, folder=tmp_path)) as process:
        _read_until(process, "serving http://127.0.0.1:")
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(7)]
        (Path(tmp_path) / "simulator.env").write_text("".join(lines), encoding="utf-8")
        shown = subprocess.run(
            ["/bin/sh", "-c", ". ./simulator.env && env"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        for line in shown.stdout.splitlines():
            if line.startswith("BULKPULL_"):
                monkeypatch.setenv(*line.split("=", 1))
        assert command("export", "Profile", "--json").json()["datasets"][0]["rows"] == 7
        monkeypatch.setenv("BULKPULL_TENANT_ID", "fabrikam.example")
        other = ("--output", str(tmp_path / "fabrikam"))
        assert command("export", "Profile", *other, "--json").json()["datasets"][0]["rows"] == 7
        process.terminate()
        assert finish(process).code == 0


def test_the_served_simulator_as_json_is_one_object(tmp_path: Path) -> None:
    with _ended(start_program("simulate", "--json", environment={}, folder=tmp_path)) as process:
        _read_until(process, "serving")
        process.send_signal(signal.SIGINT)
        outcome = finish(process)
    assert outcome.code == 0
    assert outcome.json()["environment"]["BULKPULL_API_BASE_URL"].startswith("http://127.0.0.1:")


def test_a_port_in_use_is_wrong_usage(command: Command, serve: Serve) -> None:
    port = serve(SMALL).api_base_url.split(":")[2].split("/")[0]
    outcome = command("simulate", "--port", port)
    assert outcome.code == 2
    assert f"cannot listen on ports {port}" in outcome.err


@pytest.mark.parametrize("row", FAULT_TABLE, ids=lambda row: row.id)
def test_each_row_of_the_fault_matrix_can_be_served(row: FaultRow) -> None:
    staged = stage({"rows": 11}, latency="0..1", faults=[row.id])
    assert staged.scenario.rows == 11
    assert staged.scenario.faults == row.scenario.faults
    assert staged.settings["poll_initial_seconds"] <= 1


@pytest.mark.behaviour(85)
def test_a_shorter_window_of_the_quota_is_told_to_the_client() -> None:
    """It learns the quota from a refusal, and the window only from its settings: it would wait for an hour."""
    given = {"one_off_quota": 1, "one_off_window_s": 4.0}
    assert stage(given, latency=None, faults=()).settings == {"one_off_quota_window_seconds": 4.0}


@pytest.mark.parametrize(("latency", "range_s"), [("3", (3.0, 3.0)), ("1..10", (1.0, 10.0)), ("0.5..0.5", (0.5, 0.5))])
def test_a_latency_is_a_time_or_a_range(latency: str, range_s: tuple[float, float]) -> None:
    assert stage({}, latency=latency, faults=()).scenario.latency_s == range_s


@pytest.mark.parametrize(("latency", "fault"), [("10..1", None), ("soon", None), (None, "trottle"), (None, "999")])
def test_an_unreadable_latency_or_an_unknown_fault_is_refused(latency: str | None, fault: str | None) -> None:
    with pytest.raises(SettingsError):
        stage({}, latency=latency, faults=[fault] if fault else [])


def test_the_faults_are_listed(command: Command) -> None:
    listed = command("simulate", "--list-faults", "--json").json()
    assert {row["id"] for row in listed["matrix"]} == {row.id for row in FAULT_TABLE}
    assert "throttle" in {fault["name"] for fault in listed["faults"]}
    assert "throttle" in command("simulate", "--list-faults").out


@pytest.mark.fault(103)
def test_a_sign_in_that_is_given_up_ends_with_130_and_keeps_nothing(serve: Serve, tmp_path: Path) -> None:
    simulator = serve(small(device_polls=10_000))
    environment = simulator.environment | {"BULKPULL_TOKEN_CACHE": str(tmp_path / "tokens")}
    with _ended(start_program("auth", "login", environment=environment, folder=tmp_path)) as process:
        _read_until(process, "Ctrl-C cancels")
        process.send_signal(signal.SIGINT)
        outcome = finish(process)

    assert outcome.code == 130
    assert "interrupted: no sign-in was made" in outcome.err
    assert not (tmp_path / "tokens").exists()
