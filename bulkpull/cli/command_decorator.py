"""One decorator for every command: its options, its help by sections, its error report and its exit status."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from copy import copy
from dataclasses import is_dataclass
from datetime import datetime
from enum import Enum
from functools import wraps
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from bulkpull.cli.error_output import report_errors
from bulkpull.cli.options import CommonOptions, examples

C = TypeVar("C", bound=Callable[..., int | None])

# The common options of a command, in the order in which its help shows them.
QUIET_RUN = ("config", "as_json", "quiet", "log_format", "log_level")
"""A command that exports: it may be silenced."""
SERVICE = ("config", "as_json", "log_format", "log_level")
"""A command that calls the service or reports problems as log lines."""
LOCAL = ("config", "as_json", "log_level")
"""A command whose only log lines are errors."""
_OPTIONS = "Options"
_EXAMPLES = "\n\nExamples:\n"
_METAVARS = {int: "NUMBER", float: "NUMBER", Path: "PATH", datetime: "DATE", str: "TEXT"}


def new_app(name: str | None = None, *example_lines: str) -> typer.Typer:
    return typer.Typer(
        name=name,
        no_args_is_help=True,
        epilog=examples(*example_lines),
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def command(
    app: typer.Typer,
    name: str | None = None,
    *,
    common: Collection[str] = SERVICE,
    without: Collection[str] = (),
    short_help: str | None = None,
) -> Callable[[C], C]:
    """
    Register a function as a command; its docstring is the help, and ends with `Examples:`, commands to paste.

    A parameter that is a dataclass stands for its fields, each an option; the last one, `common`, is `CommonOptions`.
    Errors are reported in one place, `--json` gets its JSON object even then, and the number that the function returns
    is the exit status. The command has those of the common options that `common` names, and lacks the fields of a
    dataclass that `without` names; `short_help` stands in the group's help in place of the docstring's first line.
    """

    def register(function: C) -> C:
        parameters: list[inspect.Parameter] = []
        groups: dict[str, tuple[Callable[..., Any], list[str]]] = {}
        for parameter in _options_of(function):
            kind = parameter.annotation
            if not (isinstance(kind, type) and is_dataclass(kind)):
                parameters.append(parameter)
                continue
            offered = [option for option in _options_of(kind) if option.name not in without]
            if kind is CommonOptions:
                offered = [option for option in offered if option.name in common]
            groups[parameter.name] = kind, [option.name for option in offered]
            parameters += offered

        @wraps(function)
        def run(**arguments: Any) -> None:
            for group, (make, names) in groups.items():
                arguments[group] = make(**{name: arguments.pop(name) for name in names})
            with report_errors(arguments["common"]):
                status = function(**arguments)
                if status:
                    raise typer.Exit(status)

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        about, _, lines = (inspect.getdoc(function) or "").partition(_EXAMPLES)
        epilog = examples(*map(str.strip, lines.splitlines()))
        app.command(name, cls=SectionedCommand, help=about, epilog=epilog, short_help=short_help)(run)
        return function

    return register


def _options_of(source: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a function, or the fields of a dataclass, as keyword options with words for their values."""
    hints = get_type_hints(source, include_extras=True)
    return [
        parameter.replace(annotation=_with_metavar(hints[name]), kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(source).parameters.items()
    ]


class SectionedCommand(TyperCommand):
    """A command whose help shows its options by panel: those without one first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As the base class; every wrong usage names the command, also where the parser does not know it."""
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as misuse:
            misuse.ctx = getattr(misuse, "ctx", None) or ctx  # type: ignore[attr-defined]
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
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


def _with_metavar(annotation: Any) -> Any:
    """An option's annotation with a word for its value, where it has none: its choices, or what kind of value it is."""
    if get_origin(annotation) is not Annotated:
        return annotation
    kind, info, *others = get_args(annotation)
    info = copy(info)
    info.metavar = info.metavar or _metavar_of(kind)
    return Annotated[(kind, info, *others)]


def _metavar_of(kind: Any) -> str | None:
    """What stands for a value of this type in help; `None` for a switch, which has no value."""
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    inner = [part for part in get_args(kind) if part is not NoneType]
    if inner:  # of an optional value, or of one that may be repeated
        return _metavar_of(inner[0])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(choice.value) for choice in kind)
    return _METAVARS.get(kind)
