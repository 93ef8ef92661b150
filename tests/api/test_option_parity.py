"""Whatever a command takes, its Python function takes too, or a reason says where it belongs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import typer

import bulkpull
from bulkpull.cli import app

COMMANDS = {
    "export": "export",
    "nightly": "nightly",
    "runs resume": "resume",
    "status": "status",
    "runs verify": "verify",
    "sql": "connect_sql",
}
"""The function of each command. `scan` has no command: rows are read by `bulkpull sql`, or by other programs."""
OTHER_NAMES = {"--all": "everything", "DATASET": "datasets", "RUN": "run"}
ELSEWHERE = {
    "--config": "Settings.load",
    "--yes": "Settings.reports_per_dataset",
    "--metrics-file": "Settings.metrics_file",
    "--select": "Selection.select",
    "--where": "Selection.where",
    "--order-by": "Selection.order_by",
    "--limit": "Selection.limit",
    "--distinct": "Selection.distinct",
    "--as": "Selection.name",
    "--max-age": "Freshness.state",
}
"""What is no argument of the function, and the public name that has it."""
REASONS = {
    "--demo": "the simulator belongs to the command; tests of other programs start one by `bulkpull simulate`",
    "--plan": "a plan is a table for people; a program reads `bulkpull export --plan --json`",
    "--json": "the result is an object; `manifest.as_dict()` is what the command prints",
    "--quiet": "a function prints nothing",
    "--log-format": "a function logs nothing; `listeners` hear every event",
    "--log-level": "a function logs nothing; `listeners` hear every event",
    "--format": "the connection of DuckDB writes files itself",
    "--to": "the connection of DuckDB writes files itself",
    "QUERY": "the connection runs queries",
}
"""What has no counterpart in Python, and why."""
OF_ONE_COMMAND = {("status", "--config"), ("runs verify", "--config"), ("sql", "--config")}
"""The file is read for the output folder only, which these functions are given."""


def options(command: str) -> Iterator[str]:
    found: Any = typer.main.get_command(app)
    for word in command.split():
        found = found.commands[word]
    for parameter in found.params:
        if parameter.param_type_name == "argument":
            yield parameter.metavar.strip("[]")
        elif parameter.name != "help":
            yield parameter.opts[0]


def parameters(function: str) -> set[str]:
    return set(inspect.signature(getattr(bulkpull, function)).parameters)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_an_argument_or_has_a_reason_not_to_be(command: str) -> None:
    arguments = parameters(COMMANDS[command])
    missing = [
        option
        for option in options(command)
        if OTHER_NAMES.get(option, option.removeprefix("--").replace("-", "_")) not in arguments
        and option not in ELSEWHERE.keys() | REASONS.keys()
    ]

    assert missing == []
    if "settings" not in arguments:  # then a setting is no place for an option
        of_settings = {option for option in options(command) if ELSEWHERE.get(option, "").startswith("Settings.")}
        assert {(command, option) for option in of_settings} <= OF_ONE_COMMAND


@pytest.mark.parametrize(("option", "place"), ELSEWHERE.items())
def test_what_belongs_elsewhere_is_there(option: str, place: str) -> None:
    owner, name = place.split(".")
    public = getattr(bulkpull, owner)

    assert hasattr(public, name) or name in public.model_fields, option


def test_no_reason_is_out_of_date() -> None:
    all_options = {option for command in COMMANDS for option in options(command)}
    taken = {parameter for function in COMMANDS.values() for parameter in parameters(function)}

    assert ELSEWHERE.keys() | REASONS.keys() <= all_options
    assert not {option.removeprefix("--").replace("-", "_") for option in REASONS} & taken


def test_the_plain_functions_take_what_the_others_take() -> None:
    for function in COMMANDS.values():
        assert inspect.signature(getattr(bulkpull.sync, function)) == inspect.signature(getattr(bulkpull, function))
