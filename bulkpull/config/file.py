"""The settings file, and where each setting comes from: option, environment, file or default."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bulkpull import platforms
from bulkpull.errors import SettingsError
from bulkpull.suggestions import nearest, suggest

ENV_PREFIX = "BULKPULL_"
DEFAULT_FILE = Path("bulkpull.toml")
Origin = Literal["option", "environment", "file", "default"]


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file that was read; without one, an empty content."""

    path: Path
    content: dict[str, Any]


# Of a run's end, told to the command that `notify_command` runs, which may call this program again.
_FOR_NOTIFICATIONS = frozenset({"run_id", "status", "exit_code"})
NO_FILE = SettingsFile(DEFAULT_FILE, {})
# pydantic-settings builds its sources without arguments of ours; this carries the file from `load` to there.
in_use: ContextVar[SettingsFile] = ContextVar("settings file", default=NO_FILE)


def read_settings_file(config: Path | None, *, known: Collection[str]) -> SettingsFile:
    """
    Read the file that `--config` names; without it `./bulkpull.toml`, if there is one.

    What merely lies in the present folder has to be the user's own (or root's), and writable by nobody else: it may
    name another token address, and commands to run. Who names a file by `--config` vouches for it.

    Raises:
        SettingsError: The file cannot be read, is somebody else's, is not valid TOML, or names an unknown setting.
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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as trouble:
        raise SettingsError(f"settings file {path} is not valid TOML", why=str(trouble)) from None
    if unknown := [name for name in content if name not in known]:
        raise unknown_settings(unknown, where=f"settings file {path}", known=known)
    return SettingsFile(path, content)


def refuse_unknown_variables(environment: Mapping[str, str], *, known: Collection[str]) -> None:
    """
    Refuse a variable `BULKPULL_…` that is no setting, as an unknown key of the file is; an empty one is not set.

    Raises:
        SettingsError: It names every such variable and the nearest settings.
    """
    names = {
        variable: variable.upper().removeprefix(ENV_PREFIX).lower()
        for variable, value in environment.items()
        if variable.upper().startswith(ENV_PREFIX) and value.strip()
    }
    allowed = _FOR_NOTIFICATIONS.union(known)
    unknown = {variable: name for variable, name in names.items() if name not in allowed}
    if unknown:
        where = "environment variable" if len(unknown) == 1 else "environment variables"
        raise unknown_settings(list(unknown.values()), where=f"{where} {', '.join(unknown)}", known=known)


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


def unknown_settings(
    names: Sequence[str], *, where: str, known: Collection[str], lists_allowed: bool = True
) -> SettingsError:
    """
    One error for all names of a source that are no settings: the nearest of each, then all that there are.

    Args:
        lists_allowed: Name all settings even where each of the names is like one of them.
    """
    near = [nearest(name, known) for name in names]
    meant = " and ".join(dict.fromkeys(f"`{name}`" for name in near if name))
    hint = f"{suggest(meant)} " if meant else ""
    fix = f"{hint}allowed are: {', '.join(sorted(known))}"
    if all(near) and not lists_allowed:
        fix = f"{hint}`bulkpull doctor` shows every setting"
    if len(names) == 1:
        return SettingsError(f"{where}: unknown setting `{names[0]}`", fix=fix)
    listed = ", ".join(f"`{name}`" for name in names)
    return SettingsError(f"{where}: unknown settings {listed}", fix=fix)


def origin_of(name: str, *, options: Collection[str], file: SettingsFile) -> Origin:
    """Where a setting comes from, by the order of precedence."""
    if name in options:
        return "option"
    if os.environ.get(ENV_PREFIX + name.upper(), "").rstrip("\r\n"):
        return "environment"
    return "file" if name in file.content else "default"


def describe_origin(name: str) -> str:
    """Where a setting that no option gave comes from, in words, for the file in use."""
    file = in_use.get()
    return {
        "environment": f"environment variable {ENV_PREFIX}{name.upper()}",
        "file": f"settings file {file.path}",
        "default": "settings",
    }[origin_of(name, options=(), file=file)]
