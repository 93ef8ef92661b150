"""What the tests of the command line share: a service to speak to, and a way to run commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from command_line import QUICK, Command, Outcome, Serve

from bulkpull.cli import run
from bulkpull.simulator import Scenario, Simulator
from bulkpull.transfer import signed_link


@pytest.fixture(autouse=True)
def _clean_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine's owner, and an empty folder to work in."""
    import os  # noqa: PLC0415 - of this fixture alone

    for name in [name for name in os.environ if name.startswith("BULKPULL_")]:
        monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in real time: as many fresh links and looks as ever, without the minute that lies between them."""
    for pauses in ("FRESH_LINK_PAUSES_S", "LOOK_PAUSES_S"):
        monkeypatch.setattr(signed_link, pauses, tuple(0.01 for _ in getattr(signed_link, pauses)))
    monkeypatch.setattr("bulkpull.insights.idempotent_create.SECOND_LOOK_UP_S", 0.01)
    monkeypatch.setattr("bulkpull.pipeline.steps.submit._OTHERS_END_S", (0.01,) * 5)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs one command in this process."""

    def carry_out(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = run(arguments)
        written = capsys.readouterr()
        return Outcome(code, written.out, written.err)

    return carry_out


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a simulated service that the environment points to; it is stopped at the test's end."""
    with ExitStack() as stack:

        def start(scenario: Scenario) -> Simulator:
            portal = stack.enter_context(start_blocking_portal())
            simulator = stack.enter_context(portal.wrap_async_context_manager(Simulator(scenario)))
            for name, value in (simulator.environment | QUICK).items():
                monkeypatch.setenv(name, value)
            return simulator

        yield start
