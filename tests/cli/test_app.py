"""The program's outside: help, version, usage errors."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from command_line import Command
from typer.testing import CliRunner

from bulkpull import __version__, cli
from bulkpull.cli import app

VERY_SLOW = ("polars", "numpy", "aiohttp", "pydantic", "pydantic_settings", "structlog", "sqlite3", "bulkpull.pipeline")
SLOW = (*VERY_SLOW, "rich.console", "bulkpull.cli.export", "anyio", "ssl", "html")
NOT_AT_IMPORT = (*SLOW, "urllib.parse", "asyncio", "json", "logging", "pathlib", "socket")
# What the systems need that this one is not.
ONE_OF_THREE = ("bulkpull.platforms.windows",) if sys.platform == "linux" else ()


def _commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    group = group or typer.main.get_command(app)
    yield path, group
    for name, inner in getattr(group, "commands", {}).items():
        yield from _commands(inner, (*path, name)) if hasattr(inner, "commands") else [((*path, name), inner)]


COMMANDS = dict(_commands())
LEAVES = [path for path, item in COMMANDS.items() if not hasattr(item, "commands")]


@pytest.mark.parametrize(
    ("program", "slow"),
    [
        ("import bulkpull", (*NOT_AT_IMPORT, "typer", "bulkpull.errors")),
        ("import bulkpull.cli", (*SLOW, *ONE_OF_THREE)),
        ("import typer, bulkpull.cli; dict(typer.main.get_command(bulkpull.cli.app).commands.items())", VERY_SLOW),
    ],
    ids=["the package", "the program", "every command"],
)
def test_help_and_version_load_nothing_slow(program: str, slow: tuple[str, ...]) -> None:
    program = f"{program}; import sys; print([name for name in {slow!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    assert found.stdout == "[]\n"


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_names_every_value_as_a_person_would(path: tuple[str, ...]) -> None:
    options = [parameter for parameter in COMMANDS[path].params if parameter.param_type_name == "option"]

    assert options
    for option in options:
        assert option.is_flag or (option.metavar and "<" not in option.metavar), option.name
    assert re.search(r"<(str|int|float|path|list|%)", CliRunner().invoke(app, [*path, "--help"]).output) is None


def test_version_is_told(command: Command) -> None:
    outcome = command("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"bulkpull {__version__}\n", "")


def test_without_arguments_the_help_is_shown_as_wrong_usage(command: Command) -> None:
    outcome = command()
    assert outcome.code == 2
    assert outcome.out == ""
    assert "export" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [(("exprot",), "export"), (("export", "--demoo"), "--demo"), (("export", "--outptu", "x"), "--output")],
)
def test_a_misspelled_command_or_option_is_answered_with_the_nearest(
    command: Command, arguments: tuple[str, ...], suggestion: str
) -> None:
    outcome = command(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert suggestion in outcome.err
    assert "--help" in outcome.err
    assert len(outcome.err.splitlines()) == 2


@pytest.mark.parametrize(
    "arguments",
    [("export", "--since", "yesterday"), ("export", "--log-level", "loud"), ("preview",), ("simulate", "--rows", "-1")],
)
def test_a_value_that_cannot_be_read_is_wrong_usage(command: Command, arguments: tuple[str, ...]) -> None:
    outcome = command(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_fits_80_columns(command: Command, path: tuple[str, ...]) -> None:
    outcome = command(*path, "--help")
    assert outcome.code == 0
    assert max(len(line) for line in outcome.out.splitlines()) <= 80


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_ends_with_examples_that_the_program_accepts(command: Command, path: tuple[str, ...]) -> None:
    lines = command(*path, "--help").out.split("Examples:")[1].splitlines()
    examples = [line.strip() for line in lines if "bulkpull" in line]
    assert any(example.startswith(" ".join(("bulkpull", *path))) for example in examples)
    for example in examples:
        for words in _invocations(example):
            found = next(known for known in (tuple(words[:2]), tuple(words[:1])) if known in COMMANDS)
            # Parses the options, and raises a usage error where one is wrong; nothing is carried out.
            COMMANDS[found].make_context("bulkpull", words[len(found) :])


def test_every_module_of_commands_is_in_the_table_of_commands() -> None:
    modules = {file.stem for file in Path(cli.__file__).parent.glob("*.py") if "new_app(" in file.read_text("utf-8")}
    loaded = {import_module(f"bulkpull.cli.{name}") for name in modules - {"command_decorator"}}
    registered = {
        command.name or command.callback.__name__
        for module in loaded
        if module.app.info.name is None
        for command in module.app.registered_commands
    } | {module.app.info.name for module in loaded if module.app.info.name is not None}

    assert registered == set(COMMANDS[()].commands), "give it a line in bulkpull/cli/__init__.py"


def test_help_is_told_in_sections(command: Command) -> None:
    commands, options = command("--help").out, command("export", "--help").out

    assert commands.index("Export:") < commands.index("  export ") < commands.index("Set up and check:")
    assert options.index("--timespan") < options.index("Output:") < options.index("--json")


@pytest.mark.parametrize("path", [path for path in COMMANDS if path not in LEAVES], ids=" ".join)
def test_a_group_tells_each_command_whole_and_ends_with_examples(command: Command, path: tuple[str, ...]) -> None:
    _usage, *reported = command(*path, "--help").out.splitlines()

    assert not [line for line in reported if line.endswith("...")]
    assert "  Examples:" in reported


def _invocations(example: str) -> Iterator[list[str]]:
    words: list[str] = []
    for word in (*shlex.split(example, comments=True), "&&"):
        if word in ("&&", "|", ">"):
            if words[:1] == ["bulkpull"]:
                yield words[1:]
            words = []
        else:
            words.append(word)


@pytest.mark.case("C53")
@pytest.mark.case("L9")
@pytest.mark.parametrize("option", ["--output", "--config", "--metrics-file"])
@pytest.mark.parametrize("given", ["", " "])
def test_an_empty_path_is_refused_and_not_taken_for_the_present_folder(
    command: Command, option: str, given: str
) -> None:
    outcome = command("export", "--demo", option, given)

    assert outcome.code == 2
    assert f"the value after {option} is empty" in outcome.err
    assert not list(Path.cwd().iterdir())


@pytest.mark.case("C32")
@pytest.mark.skipif(sys.platform == "win32", reason="there are no core files")
def test_the_program_leaves_no_core_file_with_its_secrets() -> None:
    program = (
        "import resource, bulkpull.cli as cli\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)\n"
        "cli.run = lambda: print(resource.getrlimit(resource.RLIMIT_CORE)[0]) or 0\n"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603

    assert done.stdout == "0\n"
