"""
The recognised date and time formats: guessed from one value, verified by all others, and written back to the text.

ISO formats, the US formats of .NET and spreadsheets, `yyyyMMdd`, `dd.MM.yyyy`, and in month columns the month's name or
number with its year (behaviours 185, 186 and 188). One value may fit several formats (`11/12/2026` with or without
padding); all formats that fit every value give the same dates.

They are noted as in `strftime`, also in the manifest's `format` and the metadata key `bulkpull.format.<column>` of
Parquet files. `%-m` is a number without padding; `%^b`, as in GNU `date`, is the month's short name in capitals. A
format without a day is a month, which is read as its first day (behaviour 155).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bulkpull.catalog import ColumnType

_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:(?P<between>[T ])[0-9]{2}:[0-9]{2}(?P<seconds>:[0-9]{2}(?:\.(?P<fraction>[0-9]+))?)?(?P<zone>Z|\+00:?00)?)?"
)
# Microseconds are what Parquet's readers share: a seventh digit, as .NET writes it, fits only while it is zero.
_FRACTIONS = {3: ("%.3f", "999"), 6: ("%.6f", "999999"), 7: ("%.6f0", "9999990")}
_DAYS = (("%Y%m%d", "99999999"), ("%d.%m.%Y", "99.99.9999"))
_MONTHS = (("%Y-%m", "9999-99"), ("%Y%m", "999999"))
_MONTH_NAME = re.compile(r"(?P<name>[A-Z][A-Za-z]{2})(?P<between>[- ])[0-9]{4}")
_US = re.compile(
    r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}(?P<time> [0-9]{1,2}:[0-9]{2}(?P<seconds>:[0-9]{2})?(?P<half> [AP]M)?)?"
)
_DIGIT = "9"
_FRACTION_AT = len("9999-99-99T99:99:99.")
_MICROSECONDS = 6
_MONTHS_A_YEAR, _HOURS, _MINUTES = 12, 24, 60
_YEARS = 10_000
_SAMPLE = 1_000
# A time column that is text has values of several forms, or in one that no type gives back. Those that can be misread
# are not among these: day and month of `1/2/2026`, or the six digits of a day without its century.
_ANY_ISO = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2}(?:\.\d+)?))?(?:Z|\+00:?00)?)?$"
_CLEAR_FORMS = ("%Y-%m", "%Y%m%d", "%Y%m", "%^b-%Y", "%b-%Y", "%^b %Y", "%b %Y")

Values = TypeVar("Values", pl.Series, pl.Expr)


@dataclass(frozen=True, slots=True)
class IsoFormat:
    """
    A date, month or time of fixed width, parsed digit by digit for all rows at once; a month is its first day.

    Fixed-width numbers have one spelling. So a text with its letters and digits in the right places and valid numbers
    equals the formatted date, without formatting it: 15 nanoseconds per date, where parsing and formatting took 90.

    Attributes:
        pattern: In the notation of `strftime`.
        form: What each letter must be; a 9 stands for any digit.
        utc: It says that it is UTC; what says nothing stays without a zone.
    """

    pattern: str
    form: str
    utc: bool = False

    @property
    def dtype(self) -> pl.DataType:
        return pl.Datetime("us", "UTC" if self.utc else None) if ":" in self.form else pl.Date()

    def read(self, text: pl.Series) -> pl.Series | int:
        """The dates, null where the text is; or the index of the first text that is not of this format."""
        has_value = text.is_not_null().to_numpy() if text.null_count() else None
        present = text if has_value is None else text.drop_nulls()
        letters = present.cast(pl.Binary).bin.reinterpret(dtype=pl.Array(pl.UInt8, len(self.form)))
        if letters.null_count():  # what has another length
            odd = text.str.len_bytes() != len(self.form)
            stop = int(odd.fill_null(value=False).arg_max() or 0)
            before = text.head(stop)
            typed = self.read(before) if before.null_count() < stop else before
            return stop if isinstance(typed, pl.Series) else typed
        ticks, fits = self._ticks(np.ascontiguousarray(letters.to_numpy().T))
        if not fits.all():
            wrong = int(fits.argmin())
            return wrong if has_value is None else int(np.flatnonzero(has_value)[wrong])
        if has_value is None:
            return pl.Series(text.name, ticks).cast(self.dtype)
        spread = np.zeros(has_value.size, ticks.dtype)
        spread[has_value] = ticks
        return pl.Series(text.name, spread).set(pl.Series(~has_value), None).cast(self.dtype)

    def _ticks(self, letters: NDArray[np.uint8]) -> tuple[NDArray[np.int32] | NDArray[np.int64], NDArray[np.bool_]]:
        """Days or microseconds since 1970, and where the letters do fit; `letters` holds a row for each place."""
        digits = letters - np.uint8(ord("0"))
        fits = np.ones(letters.shape[1], np.bool_)
        for place, letter in enumerate(self.form):
            fits &= (digits[place] <= 9) if letter == _DIGIT else (letters[place] == ord(letter))  # noqa: PLR2004 - a digit

        def pair(first: int) -> NDArray[np.uint8]:
            number: NDArray[np.uint8] = digits[first] * np.uint8(10) + digits[first + 1]
            return number

        first_days, places = _first_days(), _places(self.pattern)
        year, month = places["Y"], pair(places["m"])
        day = pair(places["d"]) if "d" in places else np.ones_like(month)
        fits &= (month >= 1) & (month <= _MONTHS_A_YEAR)
        months = (pair(year).astype(np.int32) * 100 + pair(year + 2)) * _MONTHS_A_YEAR + month - 1
        fits &= months >= _MONTHS_A_YEAR  # Python, SQL and Spark have no year 0
        if not fits.all():
            months[~fits] = 0
        days = first_days[months] + day - 1
        fits &= (day >= 1) & (days < first_days[months + 1])
        if ":" not in self.form:
            return days, fits
        hour, minute = pair(11), pair(14)
        # Not 60 seconds: a leap second would be read as the first second of the next minute.
        second = pair(17) if "%S" in self.pattern else np.zeros_like(minute)
        fits &= (hour < _HOURS) & (minute < _MINUTES) & (second < _MINUTES)
        seconds = (hour.astype(np.int32) * _MINUTES + minute) * _MINUTES + second
        ticks = (days.astype(np.int64) * (_HOURS * _MINUTES * _MINUTES) + seconds) * 10**_MICROSECONDS
        kept = min(self.form.count(_DIGIT, _FRACTION_AT), _MICROSECONDS)
        for place, digit in enumerate(digits[_FRACTION_AT : _FRACTION_AT + kept]):
            ticks += digit * np.int64(10 ** (_MICROSECONDS - 1 - place))
        return ticks, fits


@dataclass(frozen=True, slots=True)
class WrittenFormat:
    """Any other date, time or month format; a value fits if formatting its parsed value gives the same text."""

    pattern: str

    def read(self, text: pl.Series) -> pl.Series | int:
        """The dates, null where the text is; or the index of the first text that is not of this format."""
        sample = text.head(_SAMPLE)
        hardly_repeats = 2 * sample.n_unique() > sample.len()
        # A text is read in one way only, so what holds for each distinct text holds for all rows.
        distinct = text if hardly_repeats else text.unique()
        dates = parse_dates(distinct, self.pattern)
        if first_false(is_written_so(dates, distinct, self.pattern), distinct) is None:
            return dates if distinct is text else parse_dates(text, self.pattern)
        return int(first_false(is_written_so(parse_dates(text, self.pattern), text, self.pattern), text) or 0)


Format = IsoFormat | WrittenFormat


def needs_proof(written: Format) -> bool:
    """Whether day and month could stand the other way round, as long as no value tells."""
    return "/" in written.pattern or "." in written.pattern.partition("%H")[0]


def formats_of(value: str, declared: ColumnType) -> tuple[Format, ...]:
    """The formats that `value` of such a column may be written in; none when in no supported one."""
    if iso := iso_format_of(value):
        return (iso,)
    is_month = declared is ColumnType.MONTH
    for pattern, form in _DAYS + _MONTHS if is_month else _DAYS:
        if re.fullmatch(re.escape(form).replace(_DIGIT, "[0-9]"), value):
            return (IsoFormat(pattern, form),)
    if is_month and (named := _MONTH_NAME.fullmatch(value)):
        month = "%^b" if named["name"].isupper() else "%b"
        return (WrittenFormat(f"{month}{named['between']}%Y"),)
    if american := _US.fullmatch(value):
        days = ("%m/%d/%Y", "%-m/%-d/%Y")
        if not american["time"]:
            return tuple(WrittenFormat(day) for day in days)
        hours = (" %I:%M", " %-I:%M") if american["half"] else (" %H:%M", " %-H:%M")
        rest = (":%S" if american["seconds"] else "") + (" %p" if american["half"] else "")
        return tuple(WrittenFormat(day + hour + rest) for day, hour in product(days, hours))
    return ()


def iso_format_of(value: str) -> IsoFormat | None:
    """The ISO format that `value` is written in; `None` when it is not written in a supported one."""
    found = _ISO.fullmatch(value)
    if not found:
        return None
    pattern, form = "%Y-%m-%d", "9999-99-99"
    if not found["between"]:
        return IsoFormat(pattern, form)
    pattern, form = f"{pattern}{found['between']}%H:%M", f"{form}{found['between']}99:99"
    if found["seconds"]:
        pattern, form = f"{pattern}:%S", f"{form}:99"
    if fraction := found["fraction"]:
        if len(fraction) not in _FRACTIONS:
            return None
        pattern, form = pattern + _FRACTIONS[len(fraction)][0], f"{form}.{_FRACTIONS[len(fraction)][1]}"
    zone = found["zone"] or ""
    return IsoFormat(pattern + zone, form + zone, utc=bool(zone))


def first_false(fits: pl.Series, text: pl.Series) -> int | None:
    """The index of the first value, empty ones aside, that does not fit; `None` when all do."""
    if fits.null_count() == text.null_count() and fits.sum() == text.len() - text.null_count():
        return None  # the usual case, without filling in what is null, which takes half a millisecond
    odd = ~fits.fill_null(value=False) & text.is_not_null()
    return odd.arg_max() if odd.any() else None


@cache
def _places(pattern: str) -> dict[str, int]:
    """Where year, month and day begin in a text of that pattern."""
    places: dict[str, int] = {}
    at = 0
    for letter, plain in re.findall(r"%([Ymd])|(.)", pattern.partition("%H")[0]):
        if letter:
            places[letter] = at
        at += {"Y": 4, "m": 2, "d": 2}.get(letter, len(plain))
    return places


@cache
def _first_days() -> NDArray[np.int32]:
    """The first day of each month from January of the year 0 to January of the year 10,000, in days since 1970."""
    january = np.datetime64("0000-01")
    months = np.arange(january, january + _YEARS * _MONTHS_A_YEAR + 1)
    days: NDArray[np.int32] = months.astype("datetime64[D]").astype(np.int32)
    return days


def write_dates(values: Values, form: str) -> Values:
    """Dates or moments (a series or an expression) as the text that `form` gives."""
    text = values.dt.strftime(form.replace("%^b", "%b"))
    return text.str.to_uppercase() if "%^b" in form else text


def read_dates(values: Values, form: str) -> Values:
    """
    Text (a series or an expression) as dates, or as moments (microseconds, without a zone) where the form has a time.

    Null where the text is empty, is no such date, or is not written exactly in that form.
    """
    dates = parse_dates(values, form)
    is_same = is_written_so(dates, values, form)
    if isinstance(dates, pl.Series):
        return dates.set(~is_same.fill_null(value=False), None)
    return pl.when(is_same).then(dates)


def is_written_so(dates: Values, text: Values, form: str) -> Values:
    """Where the dates, written in that form, are the text, and of a year that other programs hold: 1 to 9999."""
    return (write_dates(dates, form) == text) & dates.dt.year().is_between(1, _YEARS - 1)


def parse_dates(values: Values, form: str) -> Values:
    """As `read_dates`, but also what is written nearly in that form; null where it cannot be read."""
    pattern = form.replace("%^b", "%b")
    if ":" in pattern:
        # cache=False: times hardly repeat, and looking for them costs more than reading them
        return values.str.strptime(pl.Datetime("us"), pattern.replace("%.6f0", "%.f"), strict=False, cache=False)
    if "%d" not in pattern and "%-d" not in pattern:
        return ("01 " + values).str.strptime(pl.Date, "%d " + pattern, strict=False)
    return values.str.strptime(pl.Date, pattern, strict=False)


def instant_of(times: pl.Expr, *, dtype: pl.DataType) -> pl.Expr:
    """
    The first moment of each value of a time column, of its day or month or itself, as UTC without a zone.

    The column has dates, moments, or text in any mixture of the forms that cannot be misread (behaviours 84, 155, 185,
    186 and 188); null for an empty value and for one that cannot be read.
    """
    match dtype:
        case pl.Date():
            return times.cast(pl.Datetime("us"))
        case pl.Datetime(time_zone=zone):
            return (times.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else times).cast(
                pl.Datetime("us")
            )
        case _:
            parts = times.str.extract_groups(_ANY_ISO).struct
            text = parts.field("1") + " " + parts.field("2").fill_null("00:00") + ":" + parts.field("3").fill_null("00")
            iso = text.str.strptime(pl.Datetime("us"), "%Y-%m-%d %H:%M:%S%.f", strict=False)
            return pl.coalesce(iso, *(read_dates(times, form).cast(pl.Datetime("us")) for form in _CLEAR_FORMS))
