"""The README and the reference say what is true: settings, exit statuses, commands."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import bulkpull
from bulkpull import errors
from bulkpull.cli import app
from bulkpull.config.settings import Settings

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line.removeprefix("$ "), comments=True)
    for block in re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if re.match(r"\$ (\.venv/bin/)?bulkpull ", line)
]


DOCS = Path(__file__).parent.parent / "docs"
MAKER = runpy.run_path(str(DOCS / "reference_pages.py"))


@pytest.mark.parametrize("name", MAKER["PAGES"])
def test_the_reference_is_what_the_code_says(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == MAKER["PAGES"][name](), "run `python docs/reference_pages.py`"


def test_the_reference_has_every_command_and_every_option_of_it() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")

    for words in ("export", "nightly", "auth login", "runs resume", "reports create", "simulate"):
        assert f"## bulkpull {words}\n" in page
    for words, _ in MAKER["commands"]():
        reported = CliRunner().invoke(app, [*words.split()[1:], "--help"], env={"COLUMNS": "200"})
        section = page.partition(f"## {words}\n")[2].partition("\n## ")[0]
        for option in set(re.findall(r"--[a-z][a-z-]+", reported.output.partition("Options")[2])) - {"--help"}:
            assert option in section, (words, option)


def test_every_setting_is_in_the_reference() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")

    assert all(f"| `{name}` |" in page for name in Settings.model_fields)


def test_every_exit_status_of_an_error_is_told() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BulkpullError)
    ]

    for status in {0, 3, 130, *(kind.exit_code for kind in kinds)}:
        assert f"| {status} |" in (DOCS / "settings.md").read_text(encoding="utf-8")


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.encode()) <= 8_000
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", README)
    assert len(links) > 10
    for link in links:
        assert (DOCS.parent / link).exists(), link


def test_windows_is_not_promised() -> None:
    assert "not yet seen running on Windows" in README


@pytest.mark.parametrize("command", COMMANDS, ids=shlex.join)
def test_every_command_is_one_that_exists(command: list[str]) -> None:
    words: list[str] = []
    group: Any = typer.main.get_command(app)
    while hasattr(group, "commands") and len(words) + 1 < len(command) and command[len(words) + 1] in group.commands:
        words.append(command[len(words) + 1])
        group = group.commands[words[-1]]
    reported = CliRunner().invoke(app, [*words, "--help"])

    assert reported.exit_code == 0
    for option in (word for word in command if word.startswith("--") and word != "--help"):
        assert option in reported.output


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 5


def test_the_two_commands_for_a_new_machine_are_named() -> None:
    assert "$ make demo\n$ make test\n" in README


def test_the_python_reference_has_every_public_name_without_being_built() -> None:
    page = (DOCS / "python-api.md").read_text(encoding="utf-8")

    for name in bulkpull.__all__:
        assert name.startswith("_") or name == "sync" or f"### {name}\n" in page or f"| `{name}` |" in page, name
    assert "    since: date | str | None = None,\n" in page
    assert "async with connect(" in page


def test_usage_shows_the_arguments_of_a_command_and_which_may_be_left_out() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")

    for usage in (
        "export [OPTIONS] [DATASET ...]",
        "sql [OPTIONS] QUERY",
        "executions [OPTIONS] REPORT_ID",
        "queries delete [OPTIONS] ID ...",
        "reports delete [OPTIONS] [ID ...]",
        "runs show [OPTIONS] [RUN]",
    ):
        assert f"`bulkpull {usage}`\n" in page
