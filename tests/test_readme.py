"""The README says what is true: its settings, its exit statuses, its commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bulkpull import errors
from bulkpull.cli import app
from bulkpull.settings import Settings

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line.removeprefix("$ "), comments=True)
    for block in re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if re.match(r"\$ (\.venv/bin/)?bulkpull ", line)
]


def settings_table() -> str:
    """The table of settings as the README has to show it, made from the settings themselves."""
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        value = str(field.default).lower() if isinstance(field.default, bool) else field.default
        rows.append(f"| `{name}` | {'none' if value in (None, ()) else f'`{value}`'} | {field.description} |")
    return "\n".join(rows)


def test_the_table_of_settings_is_the_one_that_the_settings_make() -> None:
    assert settings_table() in README, f"put this table into the README:\n{settings_table()}"


def test_every_exit_status_of_an_error_is_told() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BulkpullError)
    ]

    for status in {0, 3, 130, *(kind.exit_code for kind in kinds)}:
        assert f"| {status} |" in README


@pytest.mark.parametrize("command", COMMANDS, ids=shlex.join)
def test_every_command_is_one_that_exists(command: list[str]) -> None:
    words: list[str] = []
    group: Any = typer.main.get_command(app)
    while hasattr(group, "commands") and len(words) + 1 < len(command) and command[len(words) + 1] in group.commands:
        words.append(command[len(words) + 1])
        group = group.commands[words[-1]]
    told = CliRunner().invoke(app, [*words, "--help"])

    assert told.exit_code == 0
    for option in (word for word in command if word.startswith("--") and word != "--help"):
        assert option in told.output


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 5


def test_the_two_commands_for_a_new_machine_are_named() -> None:
    assert "$ make demo\n$ make test\n" in README
