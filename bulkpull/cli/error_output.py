"""How a command reports an error: what, why and fix in at most five lines without secrets, and the exit status."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import TextWrapper
from typing import Any

import typer

from bulkpull import platforms
from bulkpull.cli.options import CommonOptions, LogLevel
from bulkpull.cli.stdio import count_json_objects, print_json
from bulkpull.errors import BulkpullError
from bulkpull.redact import redact
from bulkpull.untrusted_text import visible

INTERRUPTED = platforms.INTERRUPTED


class Interrupted(BulkpullError):
    """A person ended the command. An export says itself what it resumes; other commands have nothing to resume."""

    exit_code = INTERRUPTED
    remedy = "run the same command again"


@contextmanager
def report_errors(common: CommonOptions) -> Iterator[None]:
    """Report an error of the block once, with `--json` as the one JSON object too, and end with its exit status."""
    before = count_json_objects()

    def print_if_lacking(error: BulkpullError) -> None:
        if common.as_json and count_json_objects() == before:
            # A standard output that cannot be written was reported already, or is what ended the command.
            with suppress(BulkpullError):
                parts = {"what": error.what, "why": error.why, "fix": error.fix}
                print_json({"version": 1, "status": "failed", "error": parts, "exit": error.exit_code})

    try:
        yield
    except (typer.Abort, typer.Exit) as end:  # it was reported on standard error
        if isinstance(end, typer.Abort) or end.exit_code == INTERRUPTED:
            print_if_lacking(Interrupted("interrupted"))
        raise
    except (typer.TyperException, SystemExit):  # wrong usage, which `run` reports; or a shell's completion
        raise
    except BaseException as error:  # noqa: BLE001 - the last place that can report it, and it ends the program
        reported = print_error(error, common)
        print_if_lacking(reported)
        raise typer.Exit(reported.exit_code) from None


def print_error(error: BaseException, common: CommonOptions) -> BulkpullError:
    """Write `error` to standard error; returns it as the error of ours that was written."""
    while isinstance(error, BaseExceptionGroup):  # what was raised on purpose comes first
        error = (error.subgroup(BulkpullError) or error).exceptions[0]
    details = "".join(traceback.format_exception(error)) if common.log_level is LogLevel.DEBUG else None
    if _is_interruption(error):
        error, details = Interrupted("interrupted"), None
    elif not isinstance(error, BulkpullError):
        fix = "run again with `--log-level debug` and report what it shows"
        error = BulkpullError(f"unexpected fault ({type(error).__name__})", why=str(error) or None, fix=fix)
    error.fix = name_settings_file(error.fix, common.config) if error.fix else None
    write_error(common, error, details=details)
    return error


def write_error(common: CommonOptions, error: BulkpullError, *, details: str | None = None) -> None:
    """
    Write one message in at most five lines, which a terminal gets wrapped to its width, or as one JSON object.

    `details` is a traceback for debug level.
    """
    if common.logs_json:
        names = ("what", "why", "fix", "exit_code", "excerpt")
        facts = {name: getattr(error, name) for name in names}
        write_json_line("command.failed", level="error", **facts, details=details)
        return
    red, plain = ("\x1b[1;31m", "\x1b[0m") if is_coloured() else ("", "")
    width = terminal_width()
    lines = [visible(details.rstrip(), lines=True)] if details else []
    lines.append(wrapped(f"error: {visible(error.what)}", width).replace("error:", f"{red}error:{plain}", 1))
    lines += [f"       {visible(line)}" for line in error.excerpt.split("\n")] if error.excerpt else []
    lines += [wrapped(f"       {visible(line)}", width) for line in error.why_lines]
    if fix := (error.short_fix if width is not None else None) or error.fix:
        lines.append(wrapped(f"fix:   {visible(fix)}", width))
    sys.stderr.write(redact("\n".join(lines)) + "\n")
    sys.stderr.flush()


def write_json_line(event: str, *, level: str, **facts: Any) -> None:
    """Write one log object to standard error; facts that are `None` are left out."""
    import json  # slow to load, as all of these
    from datetime import UTC, datetime

    from bulkpull.clock import stamp_of

    # Secrets go before the line is made: taking something out of JSON text could cut a string in two.
    given = {name: redact(fact) if isinstance(fact, str) else fact for name, fact in facts.items() if fact is not None}
    line = {"timestamp": stamp_of(datetime.now(UTC)), "level": level, "event": event} | given
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


def is_coloured() -> bool:
    """Whether standard error takes colours: it is a terminal, and NO_COLOR is not set (no-color.org)."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")


_LOGIN = "`bulkpull auth login`"


def name_settings_file(text: str, config: Path | None) -> str:
    """`text` in which the command that signs in reads the settings file that this command was given."""
    if config is None or _LOGIN not in text:
        return text
    login = platforms.current().join_command(["bulkpull", "auth", "login", "--config", str(config)])
    return text.replace(_LOGIN, f"`{login}`")


def _is_interruption(error: BaseException) -> bool:
    """
    Whether somebody ended the program.

    A library that is interrupted while it calls back into Python may raise a fault of its own instead: from the
    interruption, or, as pydantic does while it makes a model, with nothing but its name in the text.
    """
    if isinstance(error, BulkpullError):
        return False
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__
    return cause is not None or KeyboardInterrupt.__name__ in str(error)


INDENT = 7
"""Where the text of a message begins, columns: after `error: `, `fix:   ` and `note:  `."""
_NARROWEST = 40
_COMMAND = re.compile(r"`[^`]*`")
# A no-break space, at which text is not wrapped.
_KEPT_BLANK = "\u00a0"


def terminal_width() -> int | None:
    """The columns of the terminal at standard error; `None` where there is no terminal."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns if sys.stderr.isatty() else None
    except (OSError, ValueError):  # closed, or no file at all
        return None


def wrapped(line: str, width: int | None) -> str:
    """A line as lines that fit a terminal; no path is broken, and no command in backticks that fits into a line."""
    if width is None or len(line) <= width:
        return line
    room = max(width, _NARROWEST) - INDENT

    def keep_whole(command: re.Match[str]) -> str:
        return command[0].replace(" ", _KEPT_BLANK) if len(command[0]) <= room else command[0]

    wrapper = TextWrapper(room, break_long_words=False, break_on_hyphens=False)
    texts = wrapper.wrap(_COMMAND.sub(keep_whole, line[INDENT:]))
    return (line[:INDENT] + f"\n{' ' * INDENT}".join(texts)).replace(_KEPT_BLANK, " ")
