"""Wraps messages to the width of the terminal; what is piped or logged stays one line a sentence."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap

INDENT = 7
"""Columns before the text of a message: the length of `error: `."""
_LEAST_WIDTH = 40
_COMMAND = re.compile(r"`[^`]*`")
_HELD = "\x00"


def wrap_message(text: str) -> str:
    """
    The text in lines that fit standard error's terminal, all but the first indented; unchanged without a terminal.

    A command between backticks is never broken, so that it can be copied.
    """
    if not sys.stderr.isatty():
        return text
    return wrap_lines(text, width=shutil.get_terminal_size().columns)


def wrap_lines(text: str, *, width: int) -> str:
    """The text in lines of at most `width` columns, the first of which begins `INDENT` columns in (pure)."""
    if width < _LEAST_WIDTH:
        return text
    held = _COMMAND.sub(lambda command: command[0].replace(" ", _HELD), text)
    lines = textwrap.wrap(held, width - INDENT, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * INDENT}".join(lines).replace(_HELD, " ")
