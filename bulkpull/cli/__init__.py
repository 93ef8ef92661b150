"""
The command line: one file per command, its options and its work together; here the table of all commands.

A command's module is imported when the command is used. What is slow to load (settings, the service's client, polars)
is imported within functions, so that `--help` stays quick.
"""

from __future__ import annotations

import gc
import os
import re
import sys
import threading
from _thread import interrupt_main
from collections import UserDict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bulkpull import platforms
from bulkpull._version import __version__
from bulkpull.cli.error_output import INTERRUPTED, report_errors
from bulkpull.cli.options import CommonOptions, LogFormat, examples
from bulkpull.cli.stdio import make_stdio_safe
from bulkpull.errors import BulkpullError, SettingsError

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

_FEWEST_FILES, _ENOUGH_FILES = 32, 256
_OBJECTS_UNTIL_COLLECTED = 50_000
# Long enough for the callback to be over.
_MOMENT_S = 0.05
# What the option parser puts before some of its reasons.
_PREFIX = "Value error, "
_FORMATS = re.compile(r"does not match the formats '%Y-%m-%d(T)?.*\.$")


class RootGroup(TyperGroup):
    """The program: a command's module is imported when the command is used; the help needs none of them."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Commands({name: line for section in COMMANDS.values() for name, line in section.items()})

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - as the base class has it
        width = max(map(len, self.commands))
        for title, commands in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), line) for name, line in commands.items()])


class _Commands(UserDict[str, Any]):
    """Commands by name, each loaded when it is first looked at; until then the line about it."""

    def __getitem__(self, name: str) -> Any:
        if isinstance(line := self.data[name], str):
            module = import_module(f"bulkpull.cli.{_MODULES.get(name, name)}")
            group = typer.main.get_group(module.app)
            group.help = line
            self.data[name] = group if group.name == name else group.commands[name]
        return self.data[name]


app = typer.Typer(
    cls=RootGroup,
    no_args_is_help=True,
    # Without panels help loads in half the time and reads well in a pipe.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples("bulkpull export --demo", "bulkpull init", "bulkpull doctor", "bulkpull export --help"),
)


def _show_version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"bulkpull {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]


@app.callback()
def root(*, version: Version = False) -> None:
    """Export a Microsoft partner's analytics from the Partner Center Insights API to Parquet."""


@cache
def _program() -> Callable[..., Any]:
    """The commands as the option parser has them, built once: that takes longer than some commands run."""
    return typer.main.get_command(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command; returns the contract's exit status (section 3)."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        with report_errors(_common_options(given)):
            check_given(given)
            _check_open_files()
            try:
                return int(_program()(arguments, prog_name="bulkpull", standalone_mode=False) or 0)
            except typer.TyperException as misuse:
                raise _usage_error(misuse) from None
    except typer.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED


def _common_options(given: Sequence[str]) -> CommonOptions:
    """How to report what is wrong before a command has its options."""
    logs_json = "--log-format=json" in given or ("--log-format", "json") in pairwise(given)
    log_format = LogFormat.JSON if logs_json else LogFormat.CONSOLE
    return CommonOptions(as_json="--json" in given, log_format=log_format)


def main() -> None:
    # Loading modules makes many objects and no garbage; collecting it would be a tenth of a short command's time.
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTED)
    # Looking for plugins of pydantic reads the metadata of every installed package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    make_stdio_safe()
    # This process's memory holds tokens and passwords, and a core file may be read by others or sent somewhere.
    platforms.current().forbid_core_dumps()
    sys.unraisablehook = _repeat_interruption
    try:
        with report_errors(_common_options(sys.argv[1:])):
            # Until a command handles signals itself, SIGTERM has the same effect as Ctrl-C.
            platforms.current().treat_termination_as_interrupt()
        status = run()
    except typer.Exit as end:
        status = end.exit_code
    except KeyboardInterrupt:
        status = INTERRUPTED
    platforms.current().ignore_stop_requests()
    # An interruption within `exec` of a text, such as in the making of a dataclass, makes Python end itself by SIGINT
    # instead of this status, although it was caught: the next `exec` takes that back.
    exec("")  # noqa: S102 - see above
    gc.freeze()  # the process ends: no garbage has to be collected
    sys.exit(status)


def _repeat_interruption(ignored: sys.UnraisableHookArgs) -> None:
    """Interrupt again, a moment later, what was interrupted in a callback of the interpreter, which ignores it."""
    if ignored.exc_type is KeyboardInterrupt:
        threading.Timer(_MOMENT_S, interrupt_main).start()
    else:
        sys.__unraisablehook__(ignored)


def _check_open_files() -> None:
    """Take as many open files as this user may have, if few are allowed by default."""
    limit = platforms.current().open_file_limit(wanted=_ENOUGH_FILES)
    if limit is not None and limit < _FEWEST_FILES:
        raise BulkpullError(
            f"this user may open {limit} files at once, and at least {_FEWEST_FILES} are needed",
            fix="raise the limit, for example by `ulimit -n 256`, then run the same command again",
        )


def _usage_error(misuse: typer.TyperException) -> SettingsError | typer.Exit:
    context = getattr(misuse, "ctx", None)
    fix = f"see `{context.command_path if context else 'bulkpull'} --help`"
    if type(misuse).__name__ == "NoArgsIsHelpError":  # typer keeps the class to itself
        typer.echo(misuse.format_message(), err=True)
        return typer.Exit(SettingsError.exit_code)
    if near := getattr(misuse, "possibilities", None):
        from bulkpull.suggestions import suggest  # slow to load

        return SettingsError(misuse.message, fix=f"{suggest(' or '.join(sorted(near)))} {fix}")
    return SettingsError(_FORMATS.sub(_expected, misuse.format_message().replace(_PREFIX, "")), fix=fix)


def _expected(formats: re.Match[str]) -> str:
    return f"is not a {'time such as 2026-01-31T06:00' if formats[1] else 'date such as 2026-01-31'}"


_OPTION = re.compile(r"--[a-z][a-z-]*")
# Options for which an empty text removes the current value.
_REMOVES: dict[tuple[str, ...], tuple[str, ...]] = {("reports", "update"): ("--description", "--callback-url")}


def check_given(arguments: Sequence[str]) -> None:
    """Refuse empty values, such as those of a shell variable that is not set."""
    may_be_empty = _REMOVES.get(tuple(arguments[:2]), ())
    for before, argument in pairwise(["", *arguments]):
        option, equals, value = argument.partition("=")
        if not (equals and _OPTION.fullmatch(option)):
            option, value = (before if _OPTION.fullmatch(before) else ""), argument
        if not value.strip() and option not in may_be_empty:
            what = f"the value after {option} is empty" if option else "an argument is empty"
            raise SettingsError(what, fix="leave it out, or give a value")
