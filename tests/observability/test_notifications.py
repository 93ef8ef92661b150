"""Others are notified of a run's end: by a command, by an address; in time, without secrets, and without harm."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from accounts import RUN, complete, failed, manifest
from journeys.kit import settings_for
from pydantic import SecretStr
from support import EventRecorder

from bulkpull.child_process import end_process
from bulkpull.config.settings import Settings
from bulkpull.errors import AuthError, BulkpullError, SettingsError
from bulkpull.events import Event, Events
from bulkpull.observability.notifications import environment_for
from bulkpull.output.lock import locked
from bulkpull.output.manifest import Manifest
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.redact import register_secret
from bulkpull.simulator import Fault, Scenario, Simulator

CANARY = "canary-notice-9d21"
# Writes its input and its environment beside itself, as JSON.
KEEP = """
import json, os, sys
told = {"manifest": json.load(sys.stdin), "environment": dict(os.environ)}
open(sys.argv[1], "w").write(json.dumps(told))
print("said on standard output")
"""


def python(program: str, *arguments: object) -> str:
    """A command that runs a small program."""
    return shlex.join([sys.executable, "-c", program, *map(str, arguments)])


async def run(
    output: Path, *, recorded: EventRecorder | None = None, faults: tuple[Fault, ...] = (), **changes: Any
) -> Manifest:
    """An export of one dataset whose settings name others to notify."""
    if "notify_url" in changes:
        changes["notify_url"] = SecretStr(changes["notify_url"])
    async with Simulator(Scenario(rows=10, client_secret=CANARY, faults=faults)) as simulator:
        settings = settings_for(simulator, output).model_copy(update=changes)
        return await Run(
            ExportRequest(("Profile",)), settings, Events(*((recorded.events.append,) if recorded else ()))
        ).export()


class Hook:
    """A server on loopback that keeps what is posted to it."""

    def __init__(self) -> None:
        self.url = ""
        self.heads: list[str] = []
        self.bodies: list[Any] = []


@asynccontextmanager
async def hook(status: str = "204 No Content", *, answers: bool = True) -> AsyncIterator[Hook]:
    kept = Hook()
    gone = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        kept.heads.append(head)
        length = next(line for line in head.splitlines() if line.lower().startswith("content-length"))
        kept.bodies.append(json.loads(await reader.readexactly(int(length.split(":")[1]))))
        if not answers:
            await gone.wait()
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    kept.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks/run?code={CANARY}"
    async with server:
        yield kept
        gone.set()


async def test_the_command_gets_the_manifest_and_what_became_of_the_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKPULL_CLIENT_SECRET", CANARY)
    monkeypatch.setenv("SOMEBODY_ELSES_COPY", f"x{CANARY}")
    monkeypatch.setenv("TEAM", "data")
    recorded = EventRecorder()
    done = await run(tmp_path / "out", recorded=recorded, notify_command=python(KEEP, tmp_path / "kept"))
    kept = json.loads((tmp_path / "kept").read_text())

    assert kept["manifest"] == done.as_dict()
    environment = kept["environment"]
    assert {name: value for name, value in environment.items() if name.startswith("BULKPULL")} == {
        "BULKPULL_RUN_ID": done.run_id,
        "BULKPULL_STATUS": "complete",
        "BULKPULL_EXIT_CODE": "0",
    }
    assert (environment["TEAM"], environment["PATH"]) == ("data", os.environ["PATH"])
    assert CANARY not in json.dumps(kept)
    assert capfd.readouterr().out == ""
    assert recorded.names[-1] == "notice.sent"


async def test_a_failed_run_is_told_as_well(tmp_path: Path) -> None:
    faults = (Fault("execution_fails", dataset="Profile", times=None),)
    await run(tmp_path / "out", faults=faults, notify_command=python(KEEP, tmp_path / "kept"))
    kept = json.loads((tmp_path / "kept").read_text())

    assert kept["environment"]["BULKPULL_STATUS"] == "failed"
    assert kept["environment"]["BULKPULL_EXIT_CODE"] == "3"
    assert kept["manifest"]["datasets"][0]["status"] == "failed"


def test_an_interrupted_run_says_so_in_the_commands_environment() -> None:
    reported = environment_for(
        manifest(complete("Profile"), interrupted=True), {"PATH": "/bin", "bulkpull_output": "x"}
    )

    assert reported == {
        "PATH": "/bin",
        "BULKPULL_RUN_ID": RUN,
        "BULKPULL_STATUS": "interrupted",
        "BULKPULL_EXIT_CODE": "130",
    }


def test_refused_credentials_are_told_by_their_exit_status() -> None:
    reported = environment_for(manifest(failed("Profile", AuthError("no"))), {})

    assert (reported["BULKPULL_STATUS"], reported["BULKPULL_EXIT_CODE"]) == ("failed", "4")


async def test_the_address_gets_the_manifest_as_json(tmp_path: Path) -> None:
    async with hook() as kept:
        done = await run(tmp_path / "out", notify_url=kept.url)

    assert kept.bodies == [done.as_dict()]
    assert kept.heads[0].startswith("POST /hooks/run?code=")
    assert "application/json" in kept.heads[0]
    assert "authorization" not in kept.heads[0].casefold()


async def test_others_are_told_when_the_folder_is_free_again(tmp_path: Path) -> None:
    free: list[bool] = []

    async def lock_it() -> None:
        async with locked(tmp_path / "out" / ".bulkpull", since=datetime(2026, 11, 23, 2, tzinfo=UTC)):
            free.append(True)

    async with hook() as kept, asyncio.TaskGroup() as group:
        recorded = EventRecorder()

        def when_posted(event: Event) -> None:
            if event.name == "call.sent" and event.facts["endpoint"] == "notify_url":
                group.create_task(lock_it())

        async with Simulator(Scenario(rows=10)) as simulator:
            settings = settings_for(simulator, tmp_path / "out")
            settings = settings.model_copy(update={"notify_url": SecretStr(kept.url)})
            await Run(ExportRequest(("Profile",)), settings, Events(recorded.events.append, when_posted)).export()

    assert free == [True]


@pytest.mark.fault(101)
@pytest.mark.parametrize(
    ("command", "words"),
    [
        (python("import sys; sys.exit('the pager is out of order')"), "status 1: the pager is out of order"),
        (python("import time; time.sleep(600)"), "was ended after 0.3 s"),
        ("no-such-program-anywhere --loud", "no program no-such-program-anywhere"),
        ("/", "could not be run"),
    ],
    ids=["fails", "hangs", "is absent", "is a folder"],
)
async def test_a_command_that_fails_or_hangs_is_a_warning_and_harms_nothing(
    tmp_path: Path, command: str, words: str
) -> None:
    recorded = EventRecorder()
    seconds = 0.3 if "ended after" in words else 30.0
    done = await run(tmp_path / "out", recorded=recorded, notify_command=command, notify_seconds=seconds)

    assert (done.status, done.exit_code) == ("complete", 0)
    assert json.loads((tmp_path / "out" / "runs" / done.run_id / "manifest.json").read_text()) == done.as_dict()
    (lost,) = recorded.of("notice.lost")
    assert lost["to"] == "command"
    assert words in str(lost["reason"])


async def test_what_a_command_started_is_ended_with_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    child = "import sys, time; file = open(sys.argv[1], 'w'); file.write('here'); file.flush(); time.sleep(600)"
    parent = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', *sys.argv[1:]]); time.sleep(600)"
    command = [sys.executable, "-c", parent, child, str(tmp_path / "alive")]
    process = await anyio.open_process(command, stdin=None, stdout=None, stderr=None, start_new_session=True)
    with await anyio.to_thread.run_sync((tmp_path / "alive").open) as alive:
        assert await anyio.to_thread.run_sync(alive.read, 4) == "here"
        await end_process(process)

        assert await anyio.to_thread.run_sync(alive.read) == ""  # whoever held it open is gone


@pytest.mark.case("C32")
@pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX")
async def test_the_command_does_not_outlive_a_program_that_is_killed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    (tmp_path / "manifest.json").write_text("{}")
    command = python("import sys, time; f = open(sys.argv[1], 'w'); print('here', file=f, flush=True); time.sleep(600)",
                     tmp_path / "alive")  # fmt: skip
    program = (
        "import anyio, sys\nfrom pathlib import Path\nfrom bulkpull.observability.notifications import run_command\n"
        "from bulkpull.output.manifest import Manifest, Requests, Tool\n"
        "NOW = '2026-11-23T02:00:00Z'\n"
        "manifest = Manifest(run_id='r', status='complete', started_at=NOW, finished_at=NOW, tool=Tool(version='1'),"
        " api_base_url='', requests=Requests(), datasets=[])\n"
        "async def main():\n"
        "    await run_command(sys.argv[1], manifest, path=Path(sys.argv[2]), within_s=600)\n"
        "anyio.run(main)"
    )
    parent = await anyio.open_process(
        [sys.executable, "-c", program, command, str(tmp_path / "manifest.json")], stdin=None, stdout=None, stderr=None
    )
    with await anyio.to_thread.run_sync((tmp_path / "alive").open) as alive:
        assert await anyio.to_thread.run_sync(alive.readline) == "here\n"
        parent.kill()
        await parent.wait()

        assert await anyio.to_thread.run_sync(alive.read) == ""  # whoever held it open is gone


@pytest.mark.case("C32")
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
async def test_a_command_that_dies_of_a_signal_is_told_so(tmp_path: Path) -> None:
    recorded = EventRecorder()
    command = python("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    await run(tmp_path / "out", recorded=recorded, notify_command=command)

    (lost,) = recorded.of("notice.lost")
    assert "status -15" in str(lost["reason"])


@pytest.mark.fault(101)
@pytest.mark.parametrize(("status", "answers"), [("500 Oops", True), ("302 Found", True), ("204 No Content", False)])
async def test_an_address_that_refuses_or_hangs_is_a_warning_and_harms_nothing(
    tmp_path: Path, status: str, answers: bool
) -> None:
    recorded = EventRecorder()
    async with hook(status, answers=answers) as kept:
        seconds = 30.0 if answers else 0.3
        done = await run(tmp_path / "out", recorded=recorded, notify_url=kept.url, notify_seconds=seconds)

    assert (done.status, done.exit_code) == ("complete", 0)
    (lost,) = recorded.of("notice.lost")
    assert lost["to"] == "url"
    assert ("did not arrive in time" if not answers else status.split(" ", maxsplit=1)[0]) in str(lost["reason"])
    written = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert CANARY.encode() not in b"".join(written) + str(recorded.events).encode()


async def test_a_lost_notice_stands_in_the_runs_log(tmp_path: Path) -> None:
    done = await run(tmp_path / "out", notify_command="no-such-program-anywhere")
    log = (tmp_path / "out" / "runs" / done.run_id / "log.jsonl").read_text()

    assert "notice.lost" in log


def test_the_address_of_a_webhook_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://hooks.contoso.example/x-54d1?sig=77"
    reported = BulkpullError(f"asked {Settings(notify_url=url).notify_url} or {url}").reason

    assert "x-54d1" not in reported
    assert "x-54d1" not in repr(Settings(notify_url=url))


@pytest.mark.parametrize("url", ["http://hooks.contoso.example/x", "ftp://contoso.example", "hooks"])
def test_an_address_must_be_safe_to_post_to(url: str) -> None:
    with pytest.raises(SettingsError, match="notify_url"):
        Settings(notify_url=url)


@pytest.mark.parametrize("command", [" ", "say 'hello"])
def test_a_command_must_name_a_program(command: str) -> None:
    with pytest.raises(SettingsError, match="notify_command"):
        Settings(notify_command=command)


def test_a_demo_tells_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BULKPULL_NOTIFY_COMMAND", "page-the-whole-team")
    monkeypatch.setenv("BULKPULL_NOTIFY_URL", "https://hooks.contoso.example/x")
    register_secret("https://hooks.contoso.example/x")

    demo = Settings.load(demo=True)

    assert (demo.notify_command, demo.notify_url) == (None, None)
    assert Settings.load().notify_command == "page-the-whole-team"
