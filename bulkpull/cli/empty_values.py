"""Refuses empty option values, which must not count as missing ones, for all commands (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bulkpull.errors import SettingsError

_OPTION = re.compile(r"--[a-z][a-z-]*")
# Options for which an empty text removes the current value.
_REMOVES: dict[tuple[str, ...], tuple[str, ...]] = {("reports", "update"): ("--description", "--callback-url")}


def check_given(arguments: Sequence[str]) -> None:
    """
    Refuse empty values, such as those of a shell variable that is not set.

    Args:
        arguments: Those of the program, without its name.

    Raises:
        SettingsError: One of them is empty, and that has no meaning there.
    """
    may_be_empty = _REMOVES.get(tuple(arguments[:2]), ())
    for number, argument in enumerate(arguments):
        before = arguments[number - 1] if number else ""
        name, equals, value = argument.partition("=")
        if equals and _OPTION.fullmatch(name):
            option = name
        else:
            option, value = (before if _OPTION.fullmatch(before) else ""), argument
        if value.strip() or option in may_be_empty:
            continue
        what = f"the value after {option} is empty" if option else "an argument is empty"
        raise SettingsError(what, fix="leave it out, or give a value")
