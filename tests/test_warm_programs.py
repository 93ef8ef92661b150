"""Warm starts: a forked program is a child of its own, as a started one is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import warm_programs
from support import THOROUGH
from warm_programs import WARM

pytestmark = pytest.mark.skipif(sys.platform != "linux" or THOROUGH, reason="every start is cold")

REPORT = f"""{WARM}
import os, sys
print(os.getppid(), os.getsid(0), os.getcwd(), sys.argv[1:], os.environ.get("OURS"), "polars" in sys.modules)
print(sorted(os.listdir("/proc/self/fd"))[:3], sys.stdin.read(), file=sys.stderr)
sys.exit(7)
"""
WAIT = f"{WARM}\nimport sys, time\nprint('ready', flush=True)\ntime.sleep(600)"


def start(program: str, *words: str, **options: Any) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", program, *words], text=True, **(pipes | options))  # noqa: S603 - ours


def warm_starts() -> int:
    (starts,) = warm_programs._installed
    return starts.started


@pytest.mark.parametrize("own_session", [False, True])
def test_a_warm_program_is_our_child_with_its_words_environment_folder_streams_and_status(
    tmp_path: Path, own_session: bool
) -> None:
    before = warm_starts()
    environment = os.environ | {"OURS": "é"}
    process = start(REPORT, "a b", "--c", cwd=tmp_path, env=environment, start_new_session=own_session)
    out, err = process.communicate("given")

    session = process.pid if own_session else os.getsid(0)
    assert out == f"{os.getpid()} {session} {tmp_path} ['a b', '--c'] é True\n"
    assert err == "['0', '1', '2'] given\n"
    assert (process.returncode, warm_starts() - before) == (7, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_a_warm_program_as_it_ends_another(tmp_path: Path, number: signal.Signals) -> None:
    endings = []
    for program in (WAIT, WAIT.removeprefix(WARM)):
        with start(program, cwd=tmp_path) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            assert process.stderr
            endings.append((process.wait(), process.stderr.read().splitlines()[-1:]))
    assert endings[0] == endings[1]


def test_a_file_that_is_passed_on_keeps_its_number(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    program = f"{WARM}\nimport os, sys\nos.write(int(sys.argv[1]), b'through')"
    with start(program, str(writing), cwd=tmp_path, pass_fds=(writing,)) as process:
        os.close(writing)
        assert os.read(reading, 100) == b"through"
        assert process.wait() == 0
    os.close(reading)


@pytest.mark.parametrize("cause", ["a module in its folder", "a variable that Python reads first", "its text"])
def test_a_start_that_a_fork_cannot_stand_for_is_cold(tmp_path: Path, cause: str) -> None:
    environment, program, before = dict(os.environ), REPORT, warm_starts()
    if cause == "a module in its folder":
        (tmp_path / "planted.py").touch()
    elif cause == "a variable that Python reads first":
        environment["PYTHONHASHSEED"] = "1"
    else:
        program = program.removeprefix(WARM)
    process = start(program, cwd=tmp_path, env=environment)
    out, _ = process.communicate("given")

    assert out.endswith(" False\n")
    assert (process.returncode, warm_starts()) == (7, before)


def test_a_template_of_its_own_makes_starts_with_another_environment_warm(tmp_path: Path) -> None:
    environment, before = os.environ | {"PYTHONHASHSEED": "1"}, warm_starts()
    with warm_programs.warm(environment):
        out, _ = start(REPORT, cwd=tmp_path, env=environment).communicate("given")
    assert out.endswith(" True\n")
    assert warm_starts() == before + 1
