"""
Says what a setting or a key of a query takes and what it was given, in place of pydantic's sentences (pure).

A given value is quoted only where the field takes a number, a switch or one of a few words: anything else may be a
secret, or an address that carries one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bulkpull.redact import printable
from bulkpull.suggestions import did_you_mean

_OWN_WORDS = "Value error, "
_NUMBERS = {int: "a whole number", float: "a number"}
_BOUNDS = {"gt": "greater than", "ge": "of at least", "lt": "less than", "le": "of at most"}
_LONGEST_QUOTE = 60
# A bound that nobody reaches is not worth a word.
_ENDLESS = 10**15


@dataclass(frozen=True, slots=True)
class RefusedValue:
    """
    A value that a model refused.

    Attributes:
        name: The field; empty where the model as a whole was refused.
        why: What is allowed, and what was given where that may be shown.
        hint: The allowed word that was probably meant, as a question.
        cause: The exception of a validator of ours.
    """

    name: str
    kind: str
    why: str
    hint: str | None = None
    cause: Exception | None = None


def refusals(error: ValidationError, fields: dict[str, FieldInfo]) -> list[RefusedValue]:
    """What is wrong with each refused value of a model with `fields`, once a value."""
    found: dict[str, RefusedValue] = {}
    for details in error.errors(include_url=False):
        refusal = _refusal(details, fields)
        found.setdefault(refusal.name, refusal)
    return list(found.values())


def _refusal(details: ErrorDetails, fields: dict[str, FieldInfo]) -> RefusedValue:
    name, kind = str(details["loc"][0]) if details["loc"] else "", details["type"]
    if kind == "value_error" or name not in fields:
        cause = details.get("ctx", {}).get("error")
        return RefusedValue(name, kind, details["msg"].removeprefix(_OWN_WORDS), cause=cause)
    if kind == "missing":
        return RefusedValue(name, kind, "it is missing")
    types, bounds = _types_and_bounds(fields[name])
    words = _words(types)
    allowed = _allowed(types, words, bounds)
    if not allowed:
        return RefusedValue(name, kind, "it must be text")
    given = printable(str(details["input"]), most=_LONGEST_QUOTE)
    hint = did_you_mean(given, words, quote="`")
    return RefusedValue(name, kind, f"it must be {allowed}, not `{given}`", hint)


@dataclass(frozen=True, slots=True)
class Unfit:
    """A value of another type than its field takes; no model converts it, and it reads as it stands in the file."""

    text: str

    def __str__(self) -> str:
        return self.text


def typed(value: Any, field: FieldInfo) -> Any:
    """A file's value for a field: `Unfit` where a model would convert text to a number, or a number to a switch."""
    types, _ = _types_and_bounds(field)
    is_switch = isinstance(value, bool)
    if bool in types:
        fits = is_switch or not isinstance(value, str | int | float)
    else:
        fits = _NUMBERS.keys().isdisjoint(types) or not (is_switch or isinstance(value, str))
    return value if fits else Unfit(json.dumps(value, ensure_ascii=False))


def allowed_words(field: FieldInfo) -> list[str]:
    """The words of which a field takes one; empty where it takes anything else."""
    return _words(list(annotation_parts(field.annotation)))


def _words(types: list[Any]) -> list[str]:
    return [word for annotation in types if get_origin(annotation) is Literal for word in get_args(annotation)]


def _allowed(types: list[Any], words: list[str], bounds: dict[str, float]) -> str:
    """What a field takes, in words; empty where its values are not to be quoted."""
    if words:
        *others, last = words
        return f"{', '.join(others)} or {last}" if others else last
    if bool in types:
        return "true or false"
    number = next((text for kind, text in _NUMBERS.items() if kind in types), "")
    limits = " and ".join(f"{text} {bounds[bound]:,g}" for bound, text in _BOUNDS.items() if bound in bounds)
    if {"ge", "le"} <= bounds.keys():
        limits = f"from {bounds['ge']:,g} to {bounds['le']:,g}"
    return f"{number} {limits}".strip() if number else ""


def _types_and_bounds(field: FieldInfo) -> tuple[list[Any], dict[str, float]]:
    """The types of a field without `None`, and its bounds by their short names."""
    parts = [*annotation_parts(field.annotation), *field.metadata]
    bounds = {name: getattr(part, name) for name in _BOUNDS for part in parts if hasattr(part, name)}
    bounds = {name: bound for name, bound in bounds.items() if bound < _ENDLESS}
    return [part for part in parts if part is not NoneType], bounds


def annotation_parts(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of: its types, and what stands beside them in `Annotated`."""
    if isinstance(annotation, FieldInfo):
        yield from annotation.metadata
    elif get_origin(annotation) is not Literal and get_args(annotation):
        for inner in get_args(annotation):
            yield from annotation_parts(inner)
    else:
        yield annotation
