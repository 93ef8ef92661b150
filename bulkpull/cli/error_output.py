"""
How a command reports an error: what, why and fix in at most five lines, and the exit status.

No traceback is shown, except at debug level; secrets are removed from every line.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
USAGE = 2
UNEXPECTED = 1


@dataclass(frozen=True, slots=True)
class Ending:
    """
    How a command ended early.

    Attributes:
        exit_code: The contract's exit status (section 3).
        why_lines: The cause as it is shown, where several things are wrong; `why` has it in one line.
        excerpt: Lines that point at the place of a fault in a query.
        details: A traceback, for debug level only.
    """

    what: str
    exit_code: int
    why: str | None = None
    fix: str | None = None
    excerpt: str | None = None
    details: str | None = None
    why_lines: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """The JSON object that takes the manifest's place (contract, section 4)."""
        error = {"what": self.what, "why": self.why, "fix": self.fix}
        return {"version": 1, "status": "failed", "error": error, "exit": self.exit_code}


# An export says itself what it resumes; other commands have nothing to resume.
_INTERRUPTION = Ending("interrupted", INTERRUPTED, fix="run the same command again")


@contextmanager
def report_errors(common: CommonOptions) -> Iterator[None]:
    """
    Report an error or interruption of the block in one message, and end the command with its exit status.

    With `--json` standard output gets one JSON object: where the block has written none, the error takes its place.
    """
    before = count_json_objects()

    def lacks_object() -> bool:
        return common.as_json and count_json_objects() == before

    try:
        yield
    except typer.Exit as end:
        if end.exit_code and lacks_object():
            print_ending(_ending_of(end.exit_code))
        raise
    except typer.Abort:
        if lacks_object():
            print_ending(_INTERRUPTION)
        raise
    except (typer.TyperException, SystemExit):  # wrong usage, which `run` reports; or a shell's completion
        raise
    except BaseException as error:  # noqa: BLE001 - the last place that can report it, and it ends the program
        ending = print_error(error, common)
        if lacks_object():
            print_ending(ending)
        raise typer.Exit(ending.exit_code) from None


def print_ending(ending: Ending) -> None:
    """Write how a command ended early to standard output, in place of the JSON object that is expected there."""
    # A standard output that cannot be written was reported already, or is what ended the command.
    with suppress(BulkpullError):
        print_json(ending.as_dict())


def _ending_of(exit_code: int) -> Ending:
    """For a command that has reported its end on standard error and has no result."""
    if exit_code == INTERRUPTED:
        return _INTERRUPTION
    return Ending("the command has no result", exit_code, why="standard error says what happened")


def print_error(error: BaseException, common: CommonOptions) -> Ending:
    """Write `error` to standard error; return the written message and the exit status."""
    error = _main_error(error)
    if _is_interruption(error):
        write_error(common, _INTERRUPTION.what, fix=_INTERRUPTION.fix, exit_code=INTERRUPTED)
        return _INTERRUPTION
    details = "".join(traceback.format_exception(error)) if common.log_level is LogLevel.DEBUG else None
    if isinstance(error, BulkpullError):
        fix = name_settings_file(error.fix, common.config) if error.fix else None
        ending = Ending(error.what, error.exit_code, error.why, fix, error.excerpt, details, error.why_lines)
    else:
        fault = BulkpullError(
            f"unexpected fault ({type(error).__name__})",
            why=str(error) or None,
            fix="run again with `--log-level debug` and report what it shows",
        )
        ending = Ending(fault.what, UNEXPECTED, fault.why, fault.fix, details=details)
    has_little_room = terminal_width() is not None and not common.logs_json
    short_fix = error.short_fix if has_little_room and isinstance(error, BulkpullError) else None
    write_error(
        common,
        ending.what,
        why=ending.why,
        fix=short_fix or ending.fix,
        exit_code=ending.exit_code,
        details=ending.details,
        excerpt=ending.excerpt,
        why_lines=ending.why_lines,
    )
    return ending


def write_error(
    common: CommonOptions,
    what: str,
    *,
    why: str | None = None,
    fix: str | None = None,
    exit_code: int | None = None,
    details: str | None = None,
    excerpt: str | None = None,
    why_lines: Sequence[str] = (),
) -> None:
    """Write one message in at most five lines, which a terminal gets wrapped to its width, or as one JSON object."""
    if common.logs_json:
        write_json_line(
            "command.failed",
            level="error",
            what=what,
            why=why,
            fix=fix,
            exit_code=exit_code,
            details=details,
            excerpt=excerpt,
        )
        return
    red, plain = ("\x1b[1;31m", "\x1b[0m") if is_coloured() else ("", "")
    width = terminal_width()
    lines = [visible(details.rstrip(), lines=True)] if details else []
    lines.append(wrapped(f"error: {visible(what)}", width).replace("error:", f"{red}error:{plain}", 1))
    lines += [f"       {visible(line)}" for line in excerpt.split("\n")] if excerpt else []
    lines += [wrapped(f"       {visible(line)}", width) for line in why_lines or ([why] if why else [])]
    if fix:
        lines.append(wrapped(f"fix:   {visible(fix)}", width))
    sys.stderr.write(redact("\n".join(lines)) + "\n")
    sys.stderr.flush()


def write_json_line(event: str, *, level: str, **facts: Any) -> None:
    """Write one log object to standard error; facts that are `None` are left out."""
    from datetime import UTC, datetime

    from bulkpull.clock import stamp_of

    # Secrets go before the line is made: taking something out of JSON text could cut a string in two.
    given = {
        name: redact(value) if isinstance(value, str) else value for name, value in facts.items() if value is not None
    }
    line = {"timestamp": stamp_of(datetime.now(UTC)), "level": level, "event": event} | given
    import json  # as in `print_json`

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


def _main_error(error: BaseException) -> BaseException:
    """The error of a group to report: the first that was raised on purpose, else the first."""
    leaves = list(_leaves(error))
    return next((leaf for leaf in leaves if isinstance(leaf, BulkpullError)), leaves[0])


def _is_interruption(error: BaseException) -> bool:
    """
    Whether somebody ended the program.

    A library that is interrupted while it calls back into Python may raise a fault of its own instead: from the
    interruption, or, as pydantic does while it makes a model, with nothing but its name in the text.
    """
    if isinstance(error, BulkpullError):
        return False
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            return True
        cause = cause.__cause__
    return KeyboardInterrupt.__name__ in str(error)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


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
    """
    A line of a message as lines that fit a terminal, the later ones indented.

    Nothing that a person may want to copy is broken: no path, and no command in backticks unless it is longer than a
    line.

    Args:
        width: The terminal's columns; `None` where there is no terminal, and then nothing is wrapped.
    """
    if width is None or len(line) <= width:
        return line
    width = max(width, _NARROWEST)
    kept = _COMMAND.sub(lambda found: _whole(found[0], width - INDENT), line[INDENT:])
    wrapper = TextWrapper(width - INDENT, break_long_words=False, break_on_hyphens=False)
    return (line[:INDENT] + f"\n{' ' * INDENT}".join(wrapper.wrap(kept))).replace(_KEPT_BLANK, " ")


def _whole(command: str, width: int) -> str:
    return command.replace(" ", _KEPT_BLANK) if len(command) <= width else command
