"""The table of the contract is whole: every command, option, setting, status and sentence names a test that exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import contract_table as table
import typer
from source_code import files_of_tests, text_of
from test_settings_contract import DEFAULTS
from typer.core import TyperGroup

from bulkpull import errors
from bulkpull.cli import app
from bulkpull.cli.error_output import INTERRUPTED
from bulkpull.config.settings import Settings
from bulkpull.output.current import Current
from bulkpull.output.manifest import DatasetRecord, Manifest

CONTRACT_OPTIONS = {
    "--plan", "--submit-only", "--metrics", "--output", "--config", "--timespan", "--since", "--until", "--all",
    "--keep-raw", "--json", "--quiet", "--log-format", "--log-level",
}  # fmt: skip
SECTIONS = {1: 10, 2: 21, 3: 7, 4: 34, 5: 19, 6: 2}
"""How many sentences of each section are in the table."""
HELD = {
    **{f"command {name}": test for name, test in table.COMMANDS.items()},
    **{f"option {name}": test for name, test in table.OPTIONS.items()},
    **{f"setting {name}": test for name, test in table.SETTINGS.items()},
    **{f"exit status {status}": test for status, test in table.STATUSES.items()},
    **{f"keys of {name}": test for name, test in table.KEYS.items()},
    **table.SENTENCES,
}


def commands(group: object, *, names: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    """Every command of the program by its words, groups left out."""
    if isinstance(group, TyperGroup):
        for name, command in group.commands.items():
            yield from commands(command, names=(*names, name))
    else:
        yield " ".join(names), group


@cache
def program() -> dict[str, object]:
    return dict(commands(typer.main.get_command(app)))


def options(name: str) -> set[str]:
    command = program()[name]
    return {option for param in command.params for option in param.opts if option.startswith("--")}  # type: ignore[attr-defined]


def test_every_command_names_its_test() -> None:
    assert sorted(program()) == sorted(table.COMMANDS)


def test_every_option_that_export_and_nightly_share_names_its_test() -> None:
    assert sorted(options("export") & options("nightly")) == sorted(table.OPTIONS)


def test_export_and_nightly_have_the_options_of_the_contract() -> None:
    assert options("export") & options("nightly") >= CONTRACT_OPTIONS


def test_every_setting_names_its_test_or_is_one_of_ours() -> None:
    assert set(Settings.model_fields) == {*table.SETTINGS, *table.BEYOND}
    assert set(table.SETTINGS) == set(DEFAULTS)


def test_every_exit_status_of_an_error_names_its_test() -> None:
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    statuses = {kind.exit_code for kind in kinds if issubclass(kind, errors.BulkpullError)}

    assert statuses | {0, 3, INTERRUPTED} == set(table.STATUSES)


def test_every_object_of_the_output_names_its_test() -> None:
    assert set(table.KEYS) == {kind.__name__ for kind in (Manifest, DatasetRecord, Current)}


def test_the_sentences_of_each_section_are_numbered_without_a_gap() -> None:
    numbers = [tuple(map(int, key.partition(" ")[0].split("."))) for key in table.SENTENCES]

    assert numbers == [(section, number + 1) for section, count in SECTIONS.items() for number in range(count)]


def test_what_comes_later_says_why() -> None:
    assert all(reason and not re.search(r"\bTODO\b", reason) for reason in table.LATER.values())
    assert not {name.partition(" ")[0] for name in table.LATER} & set(table.COMMANDS) - {"doctor"}


@cache
def functions_of_tests() -> frozenset[str]:
    """The names of the test functions in the table that are not switched off."""
    named = set(HELD.values())
    return frozenset(
        node.name
        for file in files_of_tests()
        if not named.isdisjoint(re.findall(r"\b(test_\w+)", text_of(file)))
        for node in ast.parse(text_of(file)).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name in named
        and not any("skip(" in ast.unparse(mark) or "xfail" in ast.unparse(mark) for mark in node.decorator_list)
    )


def test_every_test_that_is_named_exists() -> None:
    assert {sentence: name for sentence, name in HELD.items() if name not in functions_of_tests()} == {}
