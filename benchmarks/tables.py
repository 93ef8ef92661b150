"""Do two Parquet tables say the same? Compared in types that fit both, since peers guess theirs from the text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import polars as pl

_PLACES = 6
_SHOWN = 40
_TIME_FORMS = ("%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d", "%Y%m%d", "%Y-%m")
_Pair: TypeAlias = tuple[str, pl.Series, pl.Series]


def differences(ours: Path, theirs: Path, *, ordered: bool = True) -> list[str]:
    """
    Where two tables differ, a phrase for each column; empty when they do not.

    An empty text and a missing one count as the same, and so do a number and its text. Columns of theirs that ours has
    not are looked past: loaders add some of their own.

    Args:
        ours, theirs: Patterns of Parquet files.
        ordered: Compare row by row; else as sets of rows.
    """
    own, other = pl.scan_parquet(ours), pl.scan_parquet(theirs)
    counts = [frame.select(pl.len()).collect().item() for frame in (own, other)]
    if counts[0] != counts[1]:
        return [f"{counts[0]:,} and {counts[1]:,} rows"]
    names = {_folded(name): name for name in other.collect_schema().names()}
    missing = [name for name in own.collect_schema().names() if _folded(name) not in names]
    if missing:
        return [f"columns {', '.join(missing)} are missing"]
    pairs = _pairs(own, other, names)
    return [
        phrase for name, one, two in (pairs if ordered else _sorted(pairs)) if (phrase := _compared(name, one, two))
    ]


def _pairs(own: pl.LazyFrame, other: pl.LazyFrame, names: dict[str, str]) -> Iterator[_Pair]:
    for name in own.collect_schema().names():
        one = own.select(name).collect().to_series()
        two = other.select(names[_folded(name)]).collect().to_series()
        if one.dtype.is_temporal() or two.dtype.is_temporal():
            yield name, _moment(one), _moment(two)
        elif pl.Boolean in (one.dtype, two.dtype):
            yield name, _flag(one), _flag(two)
        elif one.dtype.is_numeric() or two.dtype.is_numeric():
            yield name, _number(one), _number(two)
        else:
            yield name, _text(one), _text(two)


def _sorted(pairs: Iterator[_Pair]) -> Iterator[_Pair]:
    ones, twos = {}, {}
    for name, one, two in pairs:
        ones[name], twos[name] = one, two
    one_table, two_table = (pl.DataFrame(item).sort(list(item), nulls_last=True) for item in (ones, twos))
    for name in ones:
        yield name, one_table.get_column(name), two_table.get_column(name)


def _compared(name: str, one: pl.Series, two: pl.Series) -> str | None:
    is_other = one.ne_missing(two)
    unequal = int(is_other.sum())
    if not unequal:
        return None
    phrase = f"{unequal:,} values of {name}"
    ours, theirs = one.filter(is_other), two.filter(is_other)
    if one.dtype == two.dtype == pl.String and _with_plain_line_ends(ours).equals(_with_plain_line_ends(theirs)):
        return f"{phrase}, of which theirs have lost the carriage returns"
    return f"{phrase}, such as {str(ours[0])[:_SHOWN]!r} where theirs has {str(theirs[0])[:_SHOWN]!r}"


def _with_plain_line_ends(values: pl.Series) -> pl.Series:
    return values.str.replace_all("\r\n?", "\n")


def _folded(name: str) -> str:
    """Dlt writes names in snake case."""
    return name.replace("_", "").casefold()


def _text(values: pl.Series) -> pl.Series:
    text = values.cast(pl.String)
    return text.set(text == "", None)


def _number(values: pl.Series) -> pl.Series:
    return (_text(values) if values.dtype == pl.String else values).cast(pl.Float64).round(_PLACES)


def _flag(values: pl.Series) -> pl.Series:
    words = _text(values).str.to_lowercase()
    return words.replace({"1": "true", "0": "false", "y": "true", "n": "false"})


def _moment(values: pl.Series) -> pl.Series:
    if not values.dtype.is_temporal():  # a loader that knows no such form leaves text, or reads digits as a number
        text = _text(values)
        read = [text.str.to_datetime(form, time_unit="us", strict=False) for form in _TIME_FORMS]
        months = ("01-" + text).str.to_datetime("%d-%b-%Y", time_unit="us", strict=False)
        return pl.select(pl.coalesce(*read, months)).to_series()
    aware = isinstance(values.dtype, pl.Datetime) and values.dtype.time_zone is not None
    return (values.dt.replace_time_zone(None) if aware else values).cast(pl.Datetime("us"))
