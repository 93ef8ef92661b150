"""Checks of arguments that functions of the Python API have in common; each raises a `SettingsError` that names it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bulkpull.errors import SettingsError


def checked_names(given: object) -> tuple[str, ...]:
    """The names that the argument `datasets` gives; one may stand without a list."""
    names: tuple[Any, ...] = (given,) if isinstance(given, str) else as_tuple(given, name="datasets", of="names")
    for name in names:
        if not isinstance(name, str):
            raise wrong_type("datasets", name, wanted="names", fix='give names: datasets=["AzureUsage"]')
        if "," in name:
            parts = ", ".join(f'"{part.strip()}"' for part in name.split(",") if part.strip())
            fix = f"give a list: datasets=[{parts}]"
            raise SettingsError(f"`datasets` has the name {name!r}", why="a name cannot contain a comma", fix=fix)
    return names


def as_tuple(given: object, *, name: str, of: str) -> tuple[Any, ...]:
    """A list that an argument gives; `None` stands for an empty one, and a text or a mapping for none."""
    if given is None:
        return ()
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise wrong_type(name, given, wanted=of, fix=f"give a list of {of}")
    return tuple(given)


def checked_path(given: object, *, fix: str) -> Path:
    """The folder that the argument `output` gives."""
    if not isinstance(given, str | Path):
        raise wrong_type("output", given, wanted="a path", fix=fix)
    if not str(given).strip():
        raise SettingsError("`output` names no folder", fix=fix)
    return Path(given)


def check_text(given: object, *, name: str, wanted: str, fix: str) -> None:
    """Refuse an argument that is neither text nor `None`."""
    if given is not None and not isinstance(given, str):
        raise wrong_type(name, given, wanted=wanted, fix=fix)


def wrong_type(name: str, given: object, *, wanted: str, fix: str) -> SettingsError:
    """The error about an argument that has a value of another type."""
    return SettingsError(f"`{name}` takes {wanted}", why=f"it has a value of type {type(given).__name__}", fix=fix)
