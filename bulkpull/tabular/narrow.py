"""
A column of text → a narrower type, as long as every value, written back, gives the same text.

Casts alone prove nothing: they turn `007` into 7 and `1e400` into infinity without a word. So each reading here is
checked by its way back. A column sees its values batch by batch and only ever gives in: from "nothing seen yet" to a
reading, from a reading to text. After one look at the whole file its type is settled.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from bulkpull.catalog import ColumnType
from bulkpull.tabular import dates
from bulkpull.tabular.dates import first_false
from bulkpull.tabular.table import ColumnPlan, ConvertedColumn, Misfit

# Wide enough for any amount, and the same every night: a scale that follows the values would change the type.
AMOUNT = pl.Decimal(38, 18)
_AMOUNT = r"^[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})$"
_VALUE_SHOWN = 200
_MONTHS = 12

_DATES = (ColumnType.DATE, ColumnType.DATETIME, ColumnType.MONTH)
_TEXTS = (ColumnType.STRING, ColumnType.GUID)
_UNSEEN: dict[ColumnType, pl.DataType] = {
    ColumnType.INT: pl.Int64(),
    ColumnType.DECIMAL: AMOUNT,
    ColumnType.BOOL: pl.Boolean(),
    ColumnType.DATE: pl.Date(),
    ColumnType.MONTH: pl.Date(),
    ColumnType.DATETIME: pl.Datetime("us"),
}
# The other types that a declared one may come out as, depending on how its values are written.
_KIN: dict[ColumnType, tuple[pl.DataType, ...]] = {
    ColumnType.BOOL: (pl.Int64(),),
    **dict.fromkeys(_DATES, (pl.Date(), pl.Datetime("us"), pl.Datetime("us", "UTC"))),
}


class Column:
    """
    What is known of one column's type so far.

    Attributes:
        plan: The column as it was asked for.
        dtype: The type of the batches that `take` returns now.
    """

    def __init__(self, plan: ColumnPlan) -> None:
        self.plan = plan
        self.dtype: pl.DataType = pl.String()
        self._misfit: Misfit | None = None
        self._why_text: str | None = None
        self._reading: _Reading | None = None
        if plan.declared in _TEXTS:
            pass
        elif plan.identifier:
            self._why_text = "an identifier stays text"
        elif plan.published_type == type_name(pl.String()):
            self._why_text = "it was published as text before, and stays so"
        else:
            self.dtype = self._unseen_type()
            self._reading = _readings(plan.declared)

    def take(self, text: pl.Series, *, first_row: int) -> pl.Series:
        """
        Read the next batch; `dtype` changes when its values ask for it.

        Args:
            text: The values as the file has them, empty ones as null.
            first_row: The number of the batch's first row among all data rows, from 1.
        """
        if self._reading is None:
            return text
        if text.null_count() == text.len():
            return pl.Series(text.name, [], self.dtype).extend_constant(None, text.len())
        typed = self._reading.read(text)
        if isinstance(typed, pl.Series):
            self.dtype = typed.dtype
            return typed
        value = str(text[typed])
        self._misfit = Misfit(row=first_row + typed, value=value[:_VALUE_SHOWN])
        self._give_in(self._reading.why_not(value))
        return text

    def settle(self) -> None:
        """Decide, after the last batch, what no single batch could tell."""
        if isinstance(self._reading, _Dates) and self._reading.is_ambiguous:
            self._give_in("its dates do not tell whether the month or the day comes first")

    def outcome(self) -> ConvertedColumn:
        """The column as it was published."""
        return ConvertedColumn(
            name=self.plan.name,
            type=type_name(self.dtype),
            declared=self.plan.declared,
            misfit=self._misfit,
            why_text=self._why_text,
            format=self._reading.format if isinstance(self._reading, _Dates) else None,
        )

    def _give_in(self, why: str) -> None:
        self.dtype, self._reading, self._why_text = pl.String(), None, why

    def _unseen_type(self) -> pl.DataType:
        """The type while all values are empty: the published one where that can be, so that it does not flap."""
        kin = _KIN.get(self.plan.declared, ())
        published = (dtype for dtype in kin if type_name(dtype) == self.plan.published_type)
        return next(published, _UNSEEN[self.plan.declared])


def type_name(dtype: pl.DataType) -> str:
    """A type as the manifest shows it."""
    if isinstance(dtype, pl.Decimal):
        return f"Decimal({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, pl.Datetime):
        return f"Datetime({dtype.time_unit}, {dtype.time_zone})" if dtype.time_zone else f"Datetime({dtype.time_unit})"
    return str(dtype)


class _Reading:
    """A way to read text; `read` returns the typed values, or the index of the first value that does not fit."""

    def read(self, text: pl.Series) -> pl.Series | int:
        raise NotImplementedError

    def why_not(self, value: str) -> str:
        raise NotImplementedError


def _readings(declared: ColumnType) -> _Reading:
    by_type: dict[ColumnType, Callable[[], _Reading]] = {
        ColumnType.INT: _Integers,
        ColumnType.DECIMAL: _Amounts,
        ColumnType.BOOL: _Flags,
        **dict.fromkeys(_DATES, _Dates),
    }
    return by_type[declared]()


class _Integers(_Reading):
    def read(self, text: pl.Series) -> pl.Series | int:
        numbers = text.cast(pl.Int64, strict=False)
        # No text is shorter than the number that was read from it is written. So if all texts together are just as
        # long as all numbers, not one has a sign, a blank or a zero to spare.
        if numbers.null_count() == text.null_count() and text.str.len_bytes().sum() == _written_bytes(numbers):
            return numbers
        misfit = first_false(numbers.cast(pl.String) == text, text)
        return numbers if misfit is None else misfit

    def why_not(self, value: str) -> str:
        del value
        return "not every value is a whole number written without leading zeros, sign or blanks"


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
    """Decimal amounts: the same number, though perhaps with other zeros around it."""

    def read(self, text: pl.Series) -> pl.Series | int:
        numbers = text.cast(AMOUNT, strict=False)
        # The cast rounds what has more digits and knows exponents. What has neither is a plain number if it is read at
        # all; for the rest the form decides, which takes five times as long to look at.
        if numbers.null_count() == text.null_count() and _is_plain(text):
            return numbers
        misfit = first_false(text.str.contains(_AMOUNT) & numbers.is_not_null(), text)
        return numbers if misfit is None else misfit

    def why_not(self, value: str) -> str:
        del value
        return "not every value is a plain number of at most 20 digits before and 18 after the point"


def _is_plain(text: pl.Series) -> bool:
    """Whether all values consist of digits, points and signs only, too few to be rounded."""
    if int(text.str.len_bytes().max() or 0) > AMOUNT.scale + 1:  # type: ignore[arg-type]  # lengths are whole numbers
        return False
    letters = text.drop_nulls().cast(pl.Binary).cast(pl.List(pl.UInt8)).explode().to_numpy()
    known = int(np.count_nonzero(letters - np.uint8(ord("0")) <= 9))  # noqa: PLR2004 - a digit
    for letter in ".-+":
        if known < letters.size:
            known += int(np.count_nonzero(letters == ord(letter)))
    return known == int(letters.size)


class _Flags(_Reading):
    """`true` and `false`, or 0 and 1: the first value decides, and the rest has to agree (behaviour 154)."""

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

    def why_not(self, value: str) -> str:
        return f"no Boolean gives {value[:20]!r} back as it is written; only true/false and 0/1 are narrowed"


class _Dates(_Reading):
    """Dates and times of one format, which the first batch with values decides (behaviour 155)."""

    def __init__(self) -> None:
        self._formats: tuple[dates.Format, ...] | None = None
        self._latest_day = 0

    @property
    def format(self) -> str | None:
        return self._formats[0].pattern if self._formats else None

    @property
    def is_ambiguous(self) -> bool:
        """Whether every value so far could be read day first as well as month first."""
        slashed = self._formats is not None and isinstance(self._formats[0], dates.SlashedFormat)
        return slashed and self._latest_day <= _MONTHS

    def read(self, text: pl.Series) -> pl.Series | int:
        if self._formats is None:
            first = text.is_not_null().arg_max()
            assert first is not None
            self._formats = dates.formats_of(text[first])
            if not self._formats:
                return first
        readings = [(form, form.read(text)) for form in self._formats]
        fitting = [(form, read) for form, read in readings if isinstance(read, pl.Series)]
        if not fitting:
            return max(misfit for _, misfit in readings if isinstance(misfit, int))
        self._formats = tuple(form for form, _ in fitting)
        best, typed = fitting[0]
        if isinstance(best, dates.SlashedFormat):
            self._latest_day = max(self._latest_day, int(str(typed.dt.day().max())))
        return typed

    def why_not(self, value: str) -> str:
        del value
        return "not every value is a date or time of one format that can be told without doubt"
