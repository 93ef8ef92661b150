"""
Infers a narrower type for a text column, if every value can be written back to the same text.

A cast alone proves nothing: it silently turns `007` into 7 and `1e400` into infinity. So each parsed value is formatted
and compared. A column sees its values batch by batch, and its type only widens: from undecided to a type, from a type
to text. After the whole file was read, its type is final.

The same holds from run to run. A published type is only replaced by one that holds all of its values: dates by moments
without a zone, whole numbers by decimals, anything by text. Otherwise engines would refuse to read the snapshots
together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import polars as pl

from bulkpull.catalog import ColumnType
from bulkpull.conversion import date_formats
from bulkpull.conversion.date_formats import first_false
from bulkpull.conversion.messages import ColumnPlan, ConvertedColumn, Misfit, is_same_form
from bulkpull.conversion.parquet_types import AMOUNT_PRECISION, AMOUNT_SCALES, common_type

AMOUNTS = tuple(pl.Decimal(AMOUNT_PRECISION, scale) for scale in AMOUNT_SCALES)
"""The types of amounts, the narrowest first."""
# No more digits before the point than the widest of them holds: a column that has to widen always can.
_WIDEST = AMOUNTS[-1]
_AMOUNT = r"^[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})$"
_PLAIN_NUMBER = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$"
_VALUE_SHOWN = 200
_MONTHS = 12

_TEXTS = (ColumnType.STRING, ColumnType.GUID)
_UNSEEN: dict[ColumnType, pl.DataType] = {
    ColumnType.INT: pl.Int64(),
    ColumnType.DECIMAL: AMOUNTS[0],
    ColumnType.NUMBER: AMOUNTS[0],
    ColumnType.BOOL: pl.Boolean(),
    ColumnType.DATE: pl.Date(),
    ColumnType.MONTH: pl.Date(),
    ColumnType.DATETIME: pl.Datetime("us"),
}
# Whatever was published as something other than text was published as one of these.
_NARROW: tuple[pl.DataType, ...] = (
    pl.Int64(), *AMOUNTS, pl.Boolean(), pl.Date(), pl.Datetime("us"), pl.Datetime("us", "UTC"),
)  # fmt: skip


class ColumnTyper:
    """Infers the type of one column, batch by batch; `dtype` is the type of the batches that `convert` returns now."""

    def __init__(self, plan: ColumnPlan) -> None:
        self.plan = plan
        self.dtype: pl.DataType = pl.String()
        self._misfit: Misfit | None = None
        self._outgrown: Misfit | None = None
        self._has_values = False
        published = NARROW_BY_NAME.get(plan.published_type or "")
        self._bound = None if plan.published_empty else published
        self._why_text: str | None = None
        self._reading: _Reading | None = None
        if plan.declared in _TEXTS:
            pass
        elif plan.identifier:
            self._why_text = "an identifier stays text"
        elif plan.published_type == type_name(pl.String()):
            self._why_text = "it was published as text before, or is text in another report, and stays text"
        else:
            # While all values are empty it has the published type, so that it does not flap.
            self.dtype = published or _foreseen_type(plan)
            self._reading = _reading_of(plan, published=published, bound=self._bound)

    def convert(self, text: pl.Series, *, first_row: int) -> pl.Series:
        """Read the next batch; `dtype` changes when its values ask for it."""
        is_empty = text.null_count() == text.len()
        self._has_values |= not is_empty
        if self._reading is None:
            return text
        if is_empty:
            return pl.Series(text.name, [], self.dtype).extend_constant(None, text.len())
        typed = self._reading.read(text)
        if isinstance(typed, int):
            self._fall_back_to_text(self._reading.why_not.format(value=str(text[typed])[:20]))
            self._misfit = _shown(text, typed, first_row=first_row)
            return text
        if why_only_text := self._why_only_text(typed):
            self._fall_back_to_text(why_only_text)
            self._misfit = _shown(text, _first_value(text), first_row=first_row)
            return text
        if self._bound is not None and self._bound != typed.dtype:
            if widen(self._bound, typed.dtype) == self._bound:
                typed = typed.cast(self._bound)
            elif self._outgrown is None and (place := _first_outgrown(text, self._bound)) is not None:
                self._outgrown = _shown(text, place, first_row=first_row)
        self.dtype = typed.dtype
        return typed

    def finalize(self) -> None:
        """Decide, after the last batch, what no single batch could tell."""
        if isinstance(self._reading, _Dates) and self._reading.is_ambiguous:
            self._fall_back_to_text("its dates do not tell whether the month or the day comes first")

    def outcome(self) -> ConvertedColumn:
        return ConvertedColumn(
            name=self.plan.name,
            type=type_name(self.dtype),
            declared=self.plan.declared,
            misfit=self._misfit,
            why_text=self._why_text,
            empty=not self._has_values and (self.plan.published_type is None or self.plan.published_empty),
            outgrown=self._outgrown if self._why_text is None else None,
            format=self.format,
        )

    @property
    def format(self) -> str | None:
        if not isinstance(self._reading, _Dates) or not self.dtype.is_temporal():
            return None
        return self._reading.format or self.plan.published_format

    def _why_only_text(self, typed: pl.Series) -> str | None:
        """Why only text holds these values and the published ones; `None` when something narrower does."""
        if self._bound is None:
            return None
        if self._bound != typed.dtype:
            types = f"{type_name(typed.dtype)}, and in another report as {self.plan.published_type}"
            is_held = widen(self._bound, typed.dtype) is not None
            return None if is_held else f"it is written as {types}: only text holds both"
        before, now = self.plan.published_format, self._reading.format if isinstance(self._reading, _Dates) else None
        if before is None or now is None or is_same_form(before, now):
            return None
        return (
            f"its dates are written in the form {now}, and in another report in the form {before}: only text gives "
            "both back"
        )

    def _fall_back_to_text(self, why: str) -> None:
        self.dtype, self._reading, self._why_text = pl.String(), None, why


def widen(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    """The one of two types that holds the values of both; `None` when only text does."""
    return one if one == other else NARROW_BY_NAME.get(common_type((type_name(one), type_name(other))))


def type_name(dtype: pl.DataType) -> str:
    """A type as the manifest shows it."""
    if isinstance(dtype, pl.Decimal):
        return f"Decimal({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, pl.Datetime):
        return f"Datetime({dtype.time_unit}, {dtype.time_zone})" if dtype.time_zone else f"Datetime({dtype.time_unit})"
    return str(dtype)


NARROW_BY_NAME = {type_name(dtype): dtype for dtype in _NARROW}
"""Every type but text that a column is published as."""


def _shown(text: pl.Series, place: int, *, first_row: int) -> Misfit:
    return Misfit(row=first_row + place, value=str(text[place])[:_VALUE_SHOWN])


def _first_value(text: pl.Series) -> int:
    return int(text.is_not_null().arg_max() or 0)


def _first_outgrown(text: pl.Series, published: pl.DataType) -> int | None:
    """The first value that the published type could not hold; `None` when it could hold all of them."""
    if published == pl.Int64():
        return first_false(text.cast(pl.Int64, strict=False).cast(pl.String) == text, text)
    if published in AMOUNTS:
        numbers = text.cast(_WIDEST, strict=False)
        return first_false(numbers.cast(published).cast(_WIDEST) == numbers, text)
    return _first_value(text)  # of dates, one format holds for all


def _foreseen_type(plan: ColumnPlan) -> pl.DataType:
    """The type of a column without a value: that of a full one, as far as it can be foreseen."""
    if plan.declared is not ColumnType.BOOL or not plan.flag_words or set(plan.flag_words) <= {"true", "false"}:
        return _UNSEEN[plan.declared]
    return pl.Int64() if set(plan.flag_words) <= {"0", "1"} else pl.String()


class _Reading(ABC):
    """A parser for one type; `why_not` says about a `value` why the column stays text."""

    why_not: ClassVar[str]

    @abstractmethod
    def read(self, text: pl.Series) -> pl.Series | int:
        """The typed values, or the index of the first value that does not fit."""


def _reading_of(plan: ColumnPlan, *, published: pl.DataType | None, bound: pl.DataType | None) -> _Reading:
    declared = plan.declared
    amounts = _Amounts(next((dtype for dtype in AMOUNTS if dtype == bound), AMOUNTS[0]))
    if declared is ColumnType.NUMBER or (declared is ColumnType.INT and plan.amount):
        return _Numbers(amounts)
    if declared is ColumnType.DECIMAL or (declared is ColumnType.INT and published in AMOUNTS):
        return amounts
    if declared.is_time:
        return _Dates(declared, published_format=plan.published_format)
    return _Flags() if declared is ColumnType.BOOL else _Integers()


class _Integers(_Reading):
    why_not = "not every value is a whole number written without leading zeros, sign or blanks"

    def read(self, text: pl.Series) -> pl.Series | int:
        numbers = text.cast(pl.Int64, strict=False)
        # No text is shorter than the number that was read from it is written. So if all texts together are just as
        # long as all numbers, not one has a sign, a blank or a zero to spare.
        if numbers.null_count() == text.null_count() and text.str.len_bytes().sum() == _written_bytes(numbers):
            return numbers
        misfit = first_false(numbers.cast(pl.String) == text, text)
        return numbers if misfit is None else misfit


def _written_bytes(numbers: pl.Series) -> int:
    """How long all the numbers are together, written without zeros in front."""
    least, most = int(numbers.min() or 0), int(numbers.max() or 0)  # type: ignore[arg-type]  # they are whole numbers
    size = numbers.len() - numbers.null_count() + (int((numbers < 0).sum()) if least < 0 else 0)
    for digits in range(1, len(str(max(most, -least)))):
        if most >= 10**digits:
            size += int((numbers >= 10**digits).sum())
        if least <= -(10**digits):
            size += int((numbers <= -(10**digits)).sum())
    return size


class _Amounts(_Reading):
    """Decimal amounts: the same number, though its zero padding may differ; the scale only ever grows."""

    why_not = "not every value is a plain number of at most 20 digits before and 18 after the point"

    def __init__(self, least: pl.Decimal) -> None:
        self._dtype = least

    def read(self, text: pl.Series) -> pl.Series | int:
        fraction_digits = _fraction_digits(text)
        if fraction_digits is not None and fraction_digits <= self._dtype.scale:
            # The cast rounds what has more digits and knows exponents. What has neither is exact if it is read at all.
            numbers = text.cast(self._dtype, strict=False)
            if numbers.null_count() == text.null_count():
                return numbers
        numbers = text.cast(_WIDEST, strict=False)
        # Of the rest the form decides, which takes five times as long to look at.
        if numbers.null_count() != text.null_count() or fraction_digits is None:
            misfit = first_false(text.str.contains(_AMOUNT) & numbers.is_not_null(), text)
            if misfit is not None:
                return misfit
        for dtype in AMOUNTS[AMOUNTS.index(self._dtype) : -1]:
            rounded = numbers.cast(dtype)
            if (rounded.cast(_WIDEST) == numbers).all():
                self._dtype = dtype
                return rounded
        self._dtype = _WIDEST
        return numbers


class _Numbers(_Reading):
    """Numbers of a metric: Int64 until a value needs Decimal, and Decimal from then on (behaviour 162)."""

    why_not = "not every value is a number written without leading zeros, plus sign or exponent"

    def __init__(self, amounts: _Amounts) -> None:
        self._amounts = amounts
        self._needs_decimal = False

    def read(self, text: pl.Series) -> pl.Series | int:
        if not self._needs_decimal:
            numbers = _Integers().read(text)
            if isinstance(numbers, pl.Series):
                return numbers
        # Nobody declared it a decimal: a zero in front or a sign to spare may mean something.
        misfit = first_false(text.str.contains(_PLAIN_NUMBER), text)
        if misfit is not None:
            return misfit
        amounts = self._amounts.read(text)
        self._needs_decimal |= isinstance(amounts, pl.Series)
        return amounts


def _fraction_digits(text: pl.Series) -> int | None:
    """
    An upper bound of the digits behind the point of values that consist of digits, points and signs only.

    `None` where a value has another character or is so long that reading it could round it. The bound is exact if all
    values have as many digits there. It holds if each can be read as a number, which has one point at most.
    """
    values = text.drop_nulls() if text.null_count() else text
    lengths = values.str.len_bytes()
    if int(lengths.max() or 0) > _WIDEST.scale + 1:  # type: ignore[arg-type]  # lengths are whole numbers
        return None
    letters = values.cast(pl.Binary).cast(pl.List(pl.UInt8)).explode().to_numpy()
    is_point = letters == ord(".")
    points = int(np.count_nonzero(is_point))
    known = points + int(np.count_nonzero(letters - np.uint8(ord("0")) <= 9))  # noqa: PLR2004 - a digit
    if known < letters.size:
        known += int(np.count_nonzero((letters == ord("-")) | (letters == ord("+"))))
    if known < letters.size:
        return None
    ends = np.cumsum(lengths.to_numpy(), dtype=np.intp)
    digits = int(ends[0] - 1 - is_point[: ends[0]].argmax())
    is_uniform = points == ends.size and is_point[ends - 1 - digits].all()
    return digits if is_uniform else min(points, 1) * _WIDEST.scale


class _Flags(_Reading):
    """`true` and `false`, or 0 and 1: the first value decides, and the others must match (behaviour 154)."""

    why_not = "no Boolean gives {value!r} back as it is written; only true/false and 0/1 are narrowed"

    def __init__(self) -> None:
        self._words: tuple[str, str] | None = None

    def read(self, text: pl.Series) -> pl.Series | int:
        if self._words is None:
            first = text.drop_nulls()[0]
            self._words = ("0", "1") if first in ("0", "1") else ("false", "true")
        no, yes = self._words
        flags = text == yes
        misfit = first_false(flags | (text == no), text)
        if misfit is not None:
            return misfit
        # 0 and 1 stay numbers, because the documents filter by `= 0` (behaviour 147).
        return flags.cast(pl.Int64) if no == "0" else flags


class _Dates(_Reading):
    """Dates and times of one format, which the first batch with values decides (behaviour 155)."""

    why_not = "not every value is a date or time of one format that can be told without doubt"

    def __init__(self, declared: ColumnType, *, published_format: str | None) -> None:
        self._declared, self._published_format = declared, published_format
        self._formats: tuple[date_formats.Format, ...] | None = None
        self._latest_day, self._first_days_only = 0, True

    @property
    def format(self) -> str | None:
        """Of the formats that all values fit, the published one if it is among them."""
        patterns = [written.pattern for written in self._formats or ()]
        return self._published_format if self._published_format in patterns else next(iter(patterns), None)

    @property
    def is_ambiguous(self) -> bool:
        """Whether every value so far could be read day first as well as month first."""
        if not self._formats or not date_formats.needs_proof(self._formats[0]):
            return False
        # Months are written by their first day: the other way round they would not be.
        is_month = self._declared is ColumnType.MONTH and self._first_days_only
        return self._latest_day <= _MONTHS and not is_month

    def read(self, text: pl.Series) -> pl.Series | int:
        if self._formats is None:
            first = _first_value(text)
            self._formats = date_formats.formats_of(text[first], self._declared)
            if not self._formats:
                return first
        readings = [(form, form.read(text)) for form in self._formats]
        fitting = [(form, read) for form, read in readings if isinstance(read, pl.Series)]
        if not fitting:
            return max(misfit for _, misfit in readings if isinstance(misfit, int))
        self._formats = tuple(form for form, _ in fitting)
        best, typed = fitting[0]
        if date_formats.needs_proof(best):
            latest_day = int(str(typed.dt.day().max()))
            self._latest_day = max(self._latest_day, latest_day)
            self._first_days_only &= latest_day == 1
        return typed
