"""
The words of an error for callers of the Python API: arguments and settings in place of a command's options.
Apart from `api`, which holds nothing but the functions that a user calls.

Most messages are written once, for both; `--output` in them is the argument `output` of a function.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from bulkpull.errors import BulkpullError

# What stands in backticks is a command, or a name already.
_COMMAND_OR_OPTION = re.compile(r"`[^`]*`|(?P<aside> \(or --[a-z-]+\))|--(?P<name>[a-z][a-z-]*)(?: (?P<value>\d\S*))?")
# Options whose argument has another name: `--as` names a custom export, `--config` is read by `Settings.load`.
_ARGUMENTS = {"as": "name"}


def in_python_words(text: str) -> str:
    """`--since 2026-01-01` → `since="2026-01-01"`, `--keep-raw` → `keep_raw`; an aside `(or --yes)` is left out."""

    def replaced(found: re.Match[str]) -> str:
        if found["aside"]:
            return ""
        if not (option := found["name"]):
            return found[0]
        argument = _ARGUMENTS.get(option, option.replace("-", "_"))
        return f'`{argument}="{found["value"]}"`' if found["value"] else f"`{argument}`"

    return _COMMAND_OR_OPTION.sub(replaced, text)


@contextmanager
def python_words() -> Iterator[None]:
    """Give the errors that leave the block the words of the Python API."""
    try:
        yield
    except BulkpullError as error:
        error.what = in_python_words(error.what)
        error.why = in_python_words(error.why) if error.why else None
        error.fix = in_python_words(error.fix) if error.fix else None
        error.args = (error.reason,)
        raise
