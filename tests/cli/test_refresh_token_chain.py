"""
A rotated refresh token across processes, against a service that takes each token once only.

The real service is kinder (behaviour 8); a tool that gets along with this one loses nobody's sign-in on either.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Serve, finish, small, start_program
from warm_programs import WARM

from bulkpull.simulator import Simulator

# The program, which is killed as soon as a rotated refresh token is durable, and before anything was done with it.
KILLED_ONCE_KEPT = (
    WARM
    + """
import os
from bulkpull.auth import TokenRotation

store = TokenRotation.store

async def store_and_die(self, refresh_token):
    await store(self, refresh_token)
    os._exit(9)

TokenRotation.store = store_and_die
from bulkpull.cli import main
main()
"""
)


def environment_of(simulator: Simulator, folder: Path) -> dict[str, str]:
    password = {"BULKPULL_USERNAME", "BULKPULL_PASSWORD"}
    return {name: value for name, value in simulator.environment.items() if name not in password} | {
        "BULKPULL_REFRESH_TOKEN": simulator.scenario.refresh_token,
        "BULKPULL_TOKEN_CACHE": str(folder / "tokens"),
    }


@pytest.mark.behaviour(8)
@pytest.mark.fault(19)
def test_a_run_that_is_killed_right_after_the_rotation_costs_nobody_a_sign_in(serve: Serve, tmp_path: Path) -> None:
    simulator = serve(small(single_use_refresh_tokens=True))
    environment = environment_of(simulator, tmp_path)

    kept = {name: value for name, value in os.environ.items() if not name.startswith("BULKPULL_")}
    killed = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", KILLED_ONCE_KEPT, "datasets"],
        env=kept | environment,
        cwd=tmp_path,
        check=False,
        capture_output=True,
    )
    outcome = finish(start_program("datasets", environment=environment, folder=tmp_path))

    assert killed.returncode == 9
    assert outcome.code == 0, outcome.err
    assert "Profile" in outcome.out


@pytest.mark.fault(20)
def test_processes_that_renew_at_once_each_redeem_the_token_of_the_one_before(serve: Serve, tmp_path: Path) -> None:
    simulator = serve(small(single_use_refresh_tokens=True))
    environment = environment_of(simulator, tmp_path)

    processes = [start_program("datasets", environment=environment, folder=tmp_path) for _ in range(3)]
    outcomes = [finish(process) for process in processes]

    assert [outcome.code for outcome in outcomes] == [0, 0, 0], [outcome.err for outcome in outcomes]
    assert [call.status for call in simulator.calls if call.endpoint == "token"] == [200, 200, 200]


def test_a_home_that_cannot_be_written_is_a_warning_and_the_export_goes_on(serve: Serve, tmp_path: Path) -> None:
    simulator = serve(small())
    in_the_way = tmp_path / "tokens"
    in_the_way.write_text("")
    outcome = finish(
        start_program(
            "export",
            "Profile",
            "--log-format",
            "json",
            environment=environment_of(simulator, tmp_path),
            folder=tmp_path,
        )
    )

    assert outcome.code == 0, outcome.err
    assert outcome.err.count('"event": "token.not_kept"') == 1
    assert "later runs begin again with the refresh token of the settings" in outcome.err
