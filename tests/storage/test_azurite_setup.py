"""When the tests against Azurite are skipped, and when they fail instead: decided with scripts in npm's place."""

from __future__ import annotations

from pathlib import Path

import pytest
from storage import azurite
from storage.azurite import installed, running

MAKES_IT = (
    'mkdir -p "$PREFIX/node_modules/azurite/dist/src/blob"; touch "$PREFIX/node_modules/azurite/dist/src/blob/main.js"'
)
CANNOT = "echo 'npm warn old'; echo 'npm error code ENOTFOUND' >&2; echo 'npm error network no way' >&2; exit 1"


class Machine:
    """A PATH with scripts on it, and a folder to install to."""

    def __init__(self, tmp_path: Path, **environment: str) -> None:
        self.folder, self.path = tmp_path / "build" / "azurite", tmp_path / "bin"
        self.path.mkdir()
        self.calls = tmp_path / "calls"
        self.environment = {"PATH": f"{self.path}:/bin:/usr/bin", "PREFIX": str(self.folder), **environment}

    def script(self, name: str, body: str = "") -> None:
        file = self.path / name
        file.write_text(f'#!/bin/sh\necho "$0 $@" >> {self.calls}\n{body}\n')
        file.chmod(0o755)

    def install(self) -> tuple[str, Path]:
        return installed(self.folder, environment=self.environment)


def test_what_is_installed_is_not_installed_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.script("node")
    machine.script("npm", MAKES_IT)
    first, second = machine.install(), machine.install()

    assert first == second == (str(machine.path / "node"), machine.folder / azurite._MAIN)
    (call,) = machine.calls.read_text().splitlines()
    assert f"--prefix {machine.folder} azurite@{azurite.VERSIONS}" in call


def test_another_range_of_versions_is_installed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path)
    machine.script("node")
    machine.script("npm", MAKES_IT)
    machine.install()
    monkeypatch.setattr(azurite, "VERSIONS", "~9.9.0")
    machine.install()

    assert [line.split()[-1] for line in machine.calls.read_text().splitlines()] == [
        "azurite@~3.35.0",
        "azurite@~9.9.0",
    ]


@pytest.mark.parametrize("ci", ["", "true"])
@pytest.mark.parametrize("there", [[], ["node"], ["npm"]])
def test_without_node_and_npm_the_tests_are_skipped(tmp_path: Path, there: list[str], ci: str) -> None:
    machine = Machine(tmp_path, CI=ci)
    machine.environment["PATH"] = str(machine.path)
    for name in there:
        machine.script(name)
    with pytest.raises(pytest.skip.Exception, match="Node and npm"):
        machine.install()

    assert not machine.folder.exists()


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
@pytest.mark.parametrize(
    ("body", "words"),
    [(CANNOT, "ENOTFOUND; network no way"), ("exit 7", "ended with 7"), ("exec sleep 60", "not done after")],
)
def test_an_installation_that_fails_skips_the_tests_and_fails_them_on_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ci: str, outcome: type[BaseException], body: str, words: str
) -> None:
    monkeypatch.setattr(azurite, "INSTALL_S", 0.5 if "sleep" in body else 60.0)
    machine = Machine(tmp_path, CI=ci)
    machine.script("node")
    machine.script("npm", f"{MAKES_IT}; {body}")
    with pytest.raises(outcome, match=words):
        machine.install()
    machine.script("npm", MAKES_IT)

    assert machine.install()[1].exists()  # half an installation was not taken for a whole one
    assert len(machine.calls.read_text().splitlines()) == 2


def test_an_azurite_that_does_not_start_fails_with_what_it_said(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.script("node", "echo 'Error: no such module' >&2; exit 1")
    with (
        pytest.raises(pytest.fail.Exception, match="no such module"),
        running(str(machine.path / "node"), tmp_path / "main.js", workdir=tmp_path),
    ):
        raise AssertionError
