"""The words of an error for callers of the Python API: arguments and calls in place of options and commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from bulkpull.errors import BulkpullError

# Options whose argument has another name: `--as` names a custom export, `--all` is a word of Python.
_ARGUMENTS = {"as": "name", "all": "everything"}
# Phrases about commands, the longer ones first.
_PHRASES = {
    "; `bulkpull export --demo` needs none": "",
    "run again with `--log-level debug` and report it": "report it with the run's log",
    "`bulkpull queries list --system`": "`client.get_queries(include_system=True)`",
    "run the same command again": "make the same call again",
    "run the command again": "make the call again",
}
_NAME = r"--(?P<{}>[a-z][a-z-]*)"
_OPTION = re.compile(
    r"(?P<aside> \(or --[a-z-]+\))"
    rf"|`{_NAME.format('quoted')}(?: (?P<quoted_value>[^`]+))?`"
    r"|`[^`]*`"  # a command, or a name already
    rf"|{_NAME.format('name')}(?: (?P<value>\d\S*|[A-Z][A-Z0-9_]+))?"
)


def in_python_words(text: str) -> str:
    """`--since 2026-01-01` → `since="2026-01-01"`, `--keep-raw` → `keep_raw`; an aside `(or --yes)` is left out."""

    def replaced(found: re.Match[str]) -> str:
        if found["aside"]:
            return ""
        if not (option := found["name"] or found["quoted"]):
            return found[0]
        argument, value = _ARGUMENTS.get(option, option.replace("-", "_")), found["value"] or found["quoted_value"]
        return f'`{argument}="{value}"`' if value else f"`{argument}`"

    for phrase, words in _PHRASES.items():
        text = text.replace(phrase, words)
    return _OPTION.sub(replaced, text)


@contextmanager
def python_words() -> Iterator[None]:
    """Give the errors that leave the block the words of the Python API."""
    try:
        yield
    except BulkpullError as error:
        error.reword(in_python_words)
        raise
