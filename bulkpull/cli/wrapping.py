"""Wraps a message at the width of the terminal that reads it; files and pipes get it as one line."""

from __future__ import annotations

import os
import re
import sys
from textwrap import TextWrapper

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
