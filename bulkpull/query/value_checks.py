"""
Checks whether a value can occur in a column: the service answers 200 and no rows if it cannot (behaviour 67).

The documented types decide. No document says how dates are written (behaviour 155), so any usual format passes. The
documents are not always right, so a doubt is a warning, and only a value that no row can match is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from bulkpull.catalog import CatalogColumn, ColumnType
from bulkpull.query.ast import Operator
from bulkpull.suggestions import did_you_mean

_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_GUID = re.compile(r"\s*\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?\s*", re.IGNORECASE)
_ISO_DAY = re.compile(r"\s*([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:[T ].*)?")
# Words that may stand in a day or a moment, however it is written.
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905 - reads as a list of words
_CLOCK = frozenset({"t", "z", "am", "pm", "utc"})
# A year alone has four digits; beside a month's name two may be one.
_FEWEST_DIGITS = 4
_FEWEST_BESIDE_A_MONTH = 2
_TRUE, _FALSE = ("1", "y", "yes", "true"), ("0", "n", "no", "false")


@dataclass(frozen=True, slots=True)
class ValueWarning:
    """A problem with a value in a condition; if it is fatal, no row can match, and the query is not sent."""

    why: str
    fix: str | None
    is_fatal: bool


def check_value(value: str, *, column: CatalogColumn | None, operator: Operator) -> ValueWarning | None:
    """What is wrong with comparing a column with `value`. Source: behaviours 66, 67 and 154."""
    form = _form_of(column.type) if column else None
    if operator.takes_pattern:
        return _of_pattern(value, form)
    if not value.strip():
        return ValueWarning("no document says what an empty value compares with", None, is_fatal=False)
    if column is not None and column.values:
        return _of_flag(value, column.values)
    if column is None or (form and form.fits(value)):
        return None
    if form is None:
        return _of_word(value, column.known_values)
    why = f"the column holds {form.noun}, so no row can match"
    return ValueWarning(why, form.fix, is_fatal=column.type not in _UNDOCUMENTED)


def _of_pattern(value: str, form: _Form | None) -> ValueWarning | None:
    if "%" not in value and "_" not in value:
        return ValueWarning("LIKE without % or _ finds only the whole value", f"write '%{value}%'", is_fatal=False)
    if form is not None and form is not _GUIDS:
        return ValueWarning(f"the column holds {form.noun}, and LIKE compares text", None, is_fatal=False)
    return None


def _of_flag(value: str, words: Sequence[str]) -> ValueWarning | None:
    folded = value.strip().casefold()
    same = next((side for side in (_TRUE, _FALSE) if folded in side), ())
    meant = [word for word in words if word.casefold() in same]
    if folded not in (word.casefold() for word in words):
        choices = " or ".join(word if word.isdigit() else f"'{word}'" for word in meant or words)
        why = f"the column holds only {' and '.join(words)}, so no row can match"
        return ValueWarning(why, f"write {choices}", is_fatal=True)
    if len(meant) > 1:
        why = f"the documents write this flag as {' or '.join(meant)}, and only one of them may occur"
        return ValueWarning(why, f"write IN ({', '.join(repr(word) for word in meant)})", is_fatal=False)
    return None


def _of_word(value: str, known: Sequence[str]) -> ValueWarning | None:
    if not known or value.strip().casefold() in (word.casefold() for word in known):
        return None
    hint = did_you_mean(value, known, quote="'", cutoff=0.75)
    return ValueWarning(f"known values are {', '.join(known)}", hint, is_fatal=False) if hint else None


def _is_day(value: str) -> bool:
    found = _ISO_DAY.fullmatch(value)
    if found is not None:
        try:
            date(int(found[1]), int(found[2]), int(found[3]))
        except ValueError:
            return False
        return True
    digits = sum(letter.isdigit() for letter in value)
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+", value)]
    months = [word for word in words if word[:3] in _MONTHS]
    others = [word for word in words if word not in months and word not in _CLOCK]
    return not others and digits >= (_FEWEST_BESIDE_A_MONTH if months else _FEWEST_DIGITS)


@dataclass(frozen=True, slots=True)
class _Form:
    """How the values of some types are written."""

    noun: str
    fits: Callable[[str], object]
    fix: str | None = None


_NUMBERS = _Form("numbers", _NUMBER.fullmatch, "write digits, with a point where one is needed: 20000.5")
_DATES = _Form("dates", _is_day, "write a day as '2026-01-31'")
_MONTH_STARTS = replace(_DATES, noun="months")
_GUIDS = _Form("GUIDs", _GUID.fullmatch)
# Inferred from names or from the service's list; a value that does not fit is only a warning.
_UNDOCUMENTED = (ColumnType.GUID, ColumnType.NUMBER)


def _form_of(type_: ColumnType) -> _Form | None:
    """The form of values of that type; `None` where any text may occur."""
    if type_.is_number:
        return _NUMBERS
    if type_.is_time:
        return _MONTH_STARTS if type_ is ColumnType.MONTH else _DATES
    return _GUIDS if type_ is ColumnType.GUID else None
