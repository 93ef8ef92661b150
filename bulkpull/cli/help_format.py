"""The commands by section, loaded one by one; help in sections, as plain text that is quick to load."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from copy import copy
from datetime import datetime
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS: Mapping[str, Mapping[str, str]] = {
    "Export": {
        "export": "Export datasets to Parquet.",
        "nightly": "Export new data, for cron.",
        "datasets": "Show the datasets of the service.",
        "preview": "Show the first rows of a dataset or a query.",
    },
    "Look back": {
        "runs": "The local ledger of runs.",
        "status": "Show the age of the published data.",
        "sql": "Query published datasets by SQL.",
    },
    "Set up and check": {
        "init": "Write a commented settings file.",
        "auth": "Credentials: check, sign in, sign out.",
        "doctor": "Check settings, service and folder.",
        "notify": "Notifications about the end of a run.",
        "simulate": "Run the embedded service simulator.",
    },
    "On the service": {
        "queries": "Stored queries of the service.",
        "reports": "The user's reports, one-off and scheduled.",
        "executions": "Show the executions of a report.",
    },
}
"""Every command with its line in the program's help, by section. `bulkpull.cli.<command>` is its module."""

_MODULES = {"nightly": "export"}
"""Commands that stand in the module of another one."""
_OPTIONS = "Options"
_METAVARS = {int: "NUMBER", float: "NUMBER", Path: "PATH", datetime: "DATE", str: "TEXT"}


class RootGroup(TyperGroup):
    """The program: a command's module is imported when the command is used; the help needs none of them."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Commands({name: None for section in COMMANDS.values() for name in section})

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, section by section."""
        del ctx
        width = max(map(len, self.commands))
        for title, commands in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), line) for name, line in commands.items()])


class _Commands(UserDict[str, Any]):
    """Commands by name, each loaded when it is first looked at."""

    def __getitem__(self, name: str) -> Any:
        if self.data[name] is None:
            module = import_module(f"bulkpull.cli.{_MODULES.get(name, name)}")
            group = typer.main.get_group(module.app)
            self.data[name] = group if group.name == name else group.commands[name]
        return self.data[name]


class SectionedCommand(TyperCommand):
    """A command whose help shows its options by panel: those without one first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, panel by panel."""
        panels: dict[str, list[tuple[str, str]]] = {_OPTIONS: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                if parameter.param_type_name == "argument" and parameter.metavar:
                    record = parameter.metavar, record[1]  # without its type
                panels.setdefault(getattr(parameter, "rich_help_panel", None) or _OPTIONS, []).append(record)
        for title, rows in panels.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def with_metavar(annotation: Any) -> Any:
    """An option's annotation with a word for its value, where it has none: its choices, or what kind of value it is."""
    if get_origin(annotation) is not Annotated:
        return annotation
    kind, info, *others = get_args(annotation)
    metavar = _metavar_of(kind)
    if metavar is None or info.metavar is not None:
        return annotation
    info = copy(info)
    info.metavar = metavar
    return Annotated[(kind, info, *others)]


def _metavar_of(kind: Any) -> str | None:
    """What stands for a value of this type in help; `None` for a switch, which has no value."""
    inner = [part for part in get_args(kind) if part is not NoneType]
    if inner:  # of an optional value, or of one that may be repeated
        return _metavar_of(inner[0])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(choice.value) for choice in kind)
    return _METAVARS.get(kind)
