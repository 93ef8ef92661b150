"""The settings file, and where each setting comes from: option, environment, file or default."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bulkpull import platforms
from bulkpull.errors import SettingsError
from bulkpull.wrong_settings import WrongSetting, unknown_names

ENV_PREFIX = "BULKPULL_"
DEFAULT_FILE = Path("bulkpull.toml")
Origin = Literal["option", "environment", "file", "default"]


@dataclass(frozen=True, slots=True)
class SettingsFile:
    path: Path
    content: dict[str, Any]

    @property
    def place(self) -> str:
        return f"settings file {self.path}"


# Of a run's end, told to the command that `notify_command` runs, which may call this program again.
_FOR_NOTIFICATIONS = frozenset({"run_id", "status", "exit_code"})
NO_FILE = SettingsFile(DEFAULT_FILE, {})
# pydantic-settings builds its sources without arguments of ours; this carries the file from `load` to there.
in_use: ContextVar[SettingsFile] = ContextVar("settings file", default=NO_FILE)


def read_settings_file(config: Path | None) -> SettingsFile:
    """
    Read the file that `--config` names; without it `./bulkpull.toml`, if there is one. Raises `SettingsError`.

    What merely lies in the present folder has to be the user's own (or root's), and writable by nobody else: it may
    name another token address, and commands to run.
    """
    path = config if config is not None else DEFAULT_FILE
    if config is None and not path.is_file():
        return NO_FILE
    try:
        with path.open("rb") as file:
            if config is None:
                _refuse_foreign(path, os.fstat(file.fileno()))
            content = tomllib.loads(file.read().decode("utf-8-sig"))  # editors on Windows begin files by a mark
    except FileNotFoundError:
        raise SettingsError(
            f"settings file {path}: no such file", fix="check the path, or write one: `bulkpull init`"
        ) from None
    except OSError as trouble:
        raise SettingsError(f"settings file {path} cannot be read", why=trouble.strerror) from None
    except (ValueError, RecursionError) as trouble:  # also a number of 5,000 digits, and a thousand brackets
        raise SettingsError(f"settings file {path} is not valid TOML", why=str(trouble)) from None
    return SettingsFile(path, content)


def unknown_variables(environment: Mapping[str, str], *, known: Collection[str]) -> list[WrongSetting]:
    """The variables `BULKPULL_…` that are no settings, as one fault; an empty one is not set."""
    names = {
        variable: variable.upper().removeprefix(ENV_PREFIX).lower()
        for variable, value in environment.items()
        if variable.upper().startswith(ENV_PREFIX) and value.strip()
    }
    allowed = _FOR_NOTIFICATIONS.union(known)
    unknown = {variable: name for variable, name in names.items() if name not in allowed}
    word = "environment variable" if len(unknown) == 1 else "environment variables"
    return unknown_names(list(unknown.values()), where=f"{word} {', '.join(unknown)}", known=known)


def _refuse_foreign(path: Path, status: os.stat_result) -> None:
    """Refuse a file, or a link to one, that somebody else put there or may change, as ssh does."""
    user_id = platforms.current().user_id()
    if user_id is None:
        return
    trusted = {user_id, 0}
    if status.st_uid not in trusted or path.lstat().st_uid not in trusted:
        why = f"it belongs to user id {status.st_uid}, and this is user id {user_id}"
        fix = f"if you trust it, pass it explicitly: `--config {path}`"
    elif status.st_mode & stat.S_IWOTH:
        why, fix = "every user may write to it", f"remove that permission: chmod o-w {path}"
    else:
        return
    raise SettingsError(f"settings file ./{path} is not read", why=why, fix=fix)


def variable_of(name: str) -> str:
    return f"{ENV_PREFIX}{name.upper()}"


def origin_of(name: str, *, options: Collection[str], file: SettingsFile) -> Origin:
    """Where a setting comes from, by the order of precedence."""
    if name in options:
        return "option"
    if any(text.rstrip("\r\n") for given, text in os.environ.items() if given.upper() == variable_of(name)):
        return "environment"
    return "file" if name in file.content else "default"


def differing_value(name: str, value: object, *, file: SettingsFile) -> object | None:
    """What the file says of a setting, where another value is in use."""
    written = file.content.get(name)
    return None if written is None or str(written).strip().casefold() == str(value).casefold() else written


def describe_origin(name: str) -> str:
    """Where a setting that no option gave comes from, in words, for the file in use."""
    file = in_use.get()
    words = {"environment": f"environment variable {variable_of(name)}", "file": file.place}
    return words.get(origin_of(name, options=(), file=file), "settings")
