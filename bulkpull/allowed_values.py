"""
Says what a setting or a key of a query takes and what it was given, in place of pydantic's sentences (pure).

A given value is quoted only where the field takes a number, a switch or one of a few words: anything else may be a
secret, or an address that carries one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bulkpull.redact import printable
from bulkpull.suggestions import did_you_mean
from bulkpull.wrong_settings import RefusedSetting, WrongSetting

_OWN_WORDS = "Value error, "
_NUMBERS = {int: "a whole number", float: "a number"}
_BOUNDS = {"gt": "greater than", "ge": "of at least", "lt": "less than", "le": "of at most"}
_LONGEST_QUOTE = 60
# A bound that nobody reaches is not worth a word.
_ENDLESS = 10**15


def wrong_values(
    error: ValidationError, fields: dict[str, FieldInfo], *, place_of: Callable[[str], str] = lambda _: ""
) -> tuple[list[WrongSetting], list[str]]:
    """One fault for each value that a model with `fields` refused, and the given names that are no fields."""
    refused: dict[str, ErrorDetails] = {}
    for details in error.errors(include_url=False):
        refused.setdefault(str(details["loc"][0]) if details["loc"] else "", details)
    unknown = [name for name, details in refused.items() if details["type"] == "extra_forbidden"]
    return [_fault(name, refused[name], fields, place_of) for name in refused if name not in unknown], unknown


def _fault(
    name: str, details: ErrorDetails, fields: dict[str, FieldInfo], place_of: Callable[[str], str]
) -> WrongSetting:
    cause, place = details.get("ctx", {}).get("error"), place_of(name)
    if isinstance(cause, RefusedSetting):
        return WrongSetting.of_error(cause.error.within(place) if place else cause.error)
    if not name:  # the model as a whole
        return WrongSetting("", details["msg"].removeprefix(_OWN_WORDS))
    if details["type"] == "missing":
        return WrongSetting(place, f"`{name}` is missing", why=fields[name].description)
    hint = None
    if details["type"] == "value_error" or name not in fields:
        why = details["msg"].removeprefix(_OWN_WORDS)
    elif allowed := _allowed(fields[name]):
        given = printable(str(details["input"]), most=_LONGEST_QUOTE)
        hint = did_you_mean(given, allowed_words(fields[name]), quote="`")
        why = f"it must be {allowed}, not `{given}`"
    else:
        why = "it must be text"
    return WrongSetting(place, f"`{name}` is not valid", why=why, hint=hint)


@dataclass(frozen=True, slots=True)
class Unfit:
    """A value of another type than its field takes; no model converts it, and it reads as it stands in the file."""

    text: str

    def __str__(self) -> str:
        return self.text


def typed(value: Any, field: FieldInfo) -> Any:
    """A file's value for a field: `Unfit` where a model would convert text to a number, or a number to a switch."""
    types = list(annotation_parts(field.annotation))
    is_switch = isinstance(value, bool)
    if bool in types:
        fits = is_switch or not isinstance(value, str | int | float)
    else:
        fits = _NUMBERS.keys().isdisjoint(types) or not (is_switch or isinstance(value, str))
    return value if fits else Unfit(json.dumps(value, ensure_ascii=False))


def allowed_words(field: FieldInfo) -> list[str]:
    """The words of which a field takes one; empty where it takes anything else."""
    types = annotation_parts(field.annotation)
    return [word for annotation in types if get_origin(annotation) is Literal for word in get_args(annotation)]


def _allowed(field: FieldInfo) -> str:
    """What a field takes, in words; empty where its values are not to be quoted."""
    if words := allowed_words(field):
        return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    parts = [*annotation_parts(field.annotation), *field.metadata]
    if bool in parts:
        return "true or false"
    number = next((text for kind, text in _NUMBERS.items() if kind in parts), "")
    bounds: dict[str, float] = {name: getattr(part, name) for name in _BOUNDS for part in parts if hasattr(part, name)}
    bounds = {name: bound for name, bound in bounds.items() if bound < _ENDLESS}
    limits = " and ".join(f"{text} {bounds[bound]:,.15g}" for bound, text in _BOUNDS.items() if bound in bounds)
    if {"ge", "le"} <= bounds.keys():
        limits = f"from {bounds['ge']:,g} to {bounds['le']:,g}"
    return f"{number} {limits}".strip() if number else ""


def annotation_parts(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of: its types, and what stands beside them in `Annotated`."""
    if isinstance(annotation, FieldInfo):
        yield from annotation.metadata
    elif get_origin(annotation) is not Literal and get_args(annotation):
        for inner in get_args(annotation):
            yield from annotation_parts(inner)
    else:
        yield annotation
