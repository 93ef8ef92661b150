"""
Generated column values; each is a pure function of seed, dataset, column, row and refresh.

A value is drawn from a pool by its row number. The pools hold realistic edge cases: leading zeros, commas, quotes, line
breaks, several scripts, padding blanks, the words NULL and NA, negative amounts, empty fields with and without quotes.
Customers are the same in all columns and datasets.

Refreshes happen at midnight UTC, at the documented interval of days. Each restates a quarter of the rows, always with
the first row of a month or snapshot: the bytes are the same between two refreshes and different after one
(behaviours 142 and 146).

A row that repeats a column's value of the row before is drawn by that row's number. Equal rows never share amounts, so
a query that aggregates has something to sum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl

from bulkpull.simulator.listed_datasets import Column, Table

Keys = npt.NDArray[np.uint64]

_CUSTOMERS = 5_000
_PARTS = 65_536
_COMPANIES = ("Contoso", "Fabrikam", "Northwind", "Adatum", "Tailspin", "Wingtip", "Litware", "Proseware", "Woodgrove")
_FORMS = (
    "{0} {1}", "{0} {1} Ltd", "{0}, Inc. {1}", "{0} {1} GmbH & Co. KG", '{0} "Retail" {1}', "{0} {1}, Berlin, DE",
    "Κοντόσο {1}", "Контосо {1}", "コントソ株式会社 {1}", "{0} {1} 🚀", "Société {0} d'Étude {1}", "مجموعة {0} {1}",
)  # fmt: skip
# Names that are hard to read correctly, each a customer of its own.
_ODD_NAMES = (
    "NULL", "NA", "nan", "null", "-", " padded on both sides ", "Contoso\r\nsecond line", 'say "hi", twice\n', "",
)  # fmt: skip
_MARKETS = ("Sweden", "Germany", "Japan", "Korea, Republic of", "Türkiye", "Côte d'Ivoire", "United States", "Brazil")
_SEGMENTS = ("Enterprise", "SMB", "Corporate", "Strategic - Commercial", "Education")
_PART_NUMBERS = ("AAA-01234", "0E123", "1E5", "00042", "CFQ7TTC0LH16", "7NQ-00301")
_PLAIN = (" x ", "NULL", "NA", "nan", "", "a, b", 'in "quotes"', "0012", "line\nbreak")
_DAY_ZERO = date(2019, 1, 1)


def mix(keys: Keys) -> Keys:
    """Scatter numbers over 64 bits (splitmix64)."""
    mixed = keys + np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def salt(*parts: object) -> np.uint64:
    """A number that stands for these words."""
    return np.uint64(int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8], "big"))


_TURNS = np.uint64(4)
# Row numbers stay below 2**32, with the month above; what a restatement adds lies between. It is the same again after
# 4,096 editions, which is eleven years of days.
_EDITION_BIT = np.uint64(1 << 52)
_ALIKE_EVERY, _ALIKE_AT = np.uint64(16), np.uint64(9)
_REPEATED_EVERY, _REPEATED_AT = np.uint64(8), np.uint64(3)
# Columns that carry 0 on exactly one row of a customer and 1 on its repetitions (behaviour 147), in lower case.
_DUPLICATE_FLAGS = frozenset({"isduplicaterowforpga", "isacrduplicateatpgalevel"})
# What differs between the repetitions of a customer: the partner that it is attributed to.
_PARTNER = ("mpnid", "partnername", "partnerlocation", "partnerattributiontype")


def edition_at(table: Table, moment: datetime) -> int:
    """The number of the refresh that the data at `moment` come from; 0 for ever where no interval is documented."""
    return moment.date().toordinal() // table.refresh_days if table.refresh_days else 0


def month_number(month: date | None) -> int:
    """Consecutive for consecutive months; 0 for a snapshot."""
    return month.year * 12 + month.month - 1 if month is not None else 0


def column_values(
    column: Column, rows: Keys, *, seed: int, table: Table, month: date | None, edition: int
) -> pl.Series:
    """The column's values in the rows of these numbers, counted within a month or a snapshot."""
    name = column.origin.casefold()
    # Which rows repeat the row before them for another attributed partner; none where no flag would say so.
    has_flag = any(candidate.name.casefold() in _DUPLICATE_FLAGS for candidate in table.columns)
    repeats = (rows % _REPEATED_EVERY == _REPEATED_AT) & has_flag
    if column.name.casefold() in _DUPLICATE_FLAGS:
        return pl.Series(repeats.astype(np.int64)).cast(pl.String)
    if column.kind == "count":
        return pl.Series(np.ones(len(rows), dtype=np.int64))
    borrows = np.zeros(len(rows), dtype=np.bool_) if name.startswith(_PARTNER) else repeats
    if column.kind != "amount":
        borrows = borrows | (rows % _ALIKE_EVERY == _ALIKE_AT)
    keys = _restated(rows - borrows.astype(np.uint64), edition) + np.uint64(month_number(month) << 32)
    draws = mix(keys ^ salt(seed, table.name, name))
    if column.origin == table.time_column and month is not None:
        days = 1 if column.type == "month" else 28
        return _pick(pl.Series([(month + timedelta(days=day)).isoformat() for day in range(days)]), draws)
    pool = _customer_pool(seed, name)
    if pool is not None:
        return _pick(pool, mix(keys ^ salt(seed, "customer")) % np.uint64(_CUSTOMERS))
    return _drawn(column, draws)


def _drawn(column: Column, draws: Keys) -> pl.Series:
    if column.type == "guid":
        return _guids(draws)
    if column.type == "decimal":
        # Amounts have two to six decimals; some are credits, some are missing.
        wholes = _wholes(101 if "percent" in column.origin.casefold() else 200_000)
        return _pick(wholes, draws) + _pick(_fractions(), draws >> np.uint64(20))
    return _pick(_pool(column), draws)


def _restated(rows: Keys, edition: int) -> Keys:
    """The numbers that the rows' values are drawn by: their own, mixed with the edition that last restated each."""
    if not edition:
        return rows
    since = (np.uint64(edition) + rows) % _TURNS
    last = np.uint64(edition) - np.where(rows == 0, np.uint64(0), since)
    return rows + last * _EDITION_BIT


def _pick(pool: pl.Series, draws: Keys) -> pl.Series:
    return pool[(draws % np.uint64(len(pool))).astype(np.uint32)]


def _guids(draws: Keys) -> pl.Series:
    """GUIDs in upper case, as the seed's rows show them (behaviour 153)."""
    first, middle, last = _guid_parts()
    return _pick(first, draws) + _pick(middle, draws >> np.uint64(16)) + _pick(last, draws >> np.uint64(32))


@cache
def _guid_parts() -> tuple[pl.Series, pl.Series, pl.Series]:
    digits = mix(np.arange(_PARTS, dtype=np.uint64)).astype(">u8").tobytes().hex().upper()
    words = pl.Series([digits[first : first + 16] for first in range(0, len(digits), 16)]).str
    return (
        words.slice(8) + "-" + words.slice(0, 4),
        "-4" + words.slice(13) + "-8" + words.slice(10, 3) + "-",
        words.slice(0, 12),
    )


@cache
def _wholes(limit: int) -> pl.Series:
    noise = mix(np.arange(_PARTS, dtype=np.uint64))
    # Squaring the draw makes small amounts common and large ones rare, as in real revenue.
    amounts = ((noise >> np.uint64(40)).astype(np.float64) / 2**24) ** 3 * limit
    credits_ = (noise & np.uint64(15)) == 0
    return pl.Series(np.where(credits_, "-", "")) + pl.Series(np.rint(amounts).astype(np.int64)).cast(pl.String)


@cache
def _fractions() -> pl.Series:
    noise = [int(word) for word in mix(np.arange(4_096, dtype=np.uint64))]
    digits = [2, 2, 2, 4, 6]
    return pl.Series([None if word % 29 == 0 else f".{word >> 40:08d}"[: 1 + digits[word % 5]] for word in noise])


def _customer_name(number: int) -> str | None:
    if number < len(_ODD_NAMES):
        return _ODD_NAMES[number]
    if number % 97 == 0:
        return None
    return _FORMS[number % len(_FORMS)].format(_COMPANIES[number % len(_COMPANIES)], number)


# By lower case, because datasets spell the same column differently (behaviour 169).
_CUSTOMER_MAKERS: dict[str, Callable[[int], str | None]] = {
    "customername": _customer_name,
    "customertenantname": _customer_name,
    "customertpid": lambda n: f"{n * 7919 % 9_999_991:07d}",
    "customersegment": lambda n: _SEGMENTS[n % len(_SEGMENTS)],
    "customermarket": lambda n: _MARKETS[n % len(_MARKETS)],
    "customertenantcountry": lambda n: _MARKETS[n % len(_MARKETS)],
    "tenantdomainname": lambda n: f"tenant{n:04d}.contoso.example",
    "dunsnumber": lambda n: None if n % 6 == 0 else f"{n * 104_729 % 999_999_937:09d}",
    "postalcode": lambda n: ("SW1A 1AA", "114 55", None)[n % 3] if n % 4 == 0 else f"{n * 31 % 100_000:05d}",
}


@cache
def _customer_pool(seed: int, name: str) -> pl.Series | None:
    if name == "customertenantid":
        return _guids(mix(np.arange(_CUSTOMERS, dtype=np.uint64) ^ salt(seed, "CustomerTenantId")))
    make = _CUSTOMER_MAKERS.get(name)
    return make and pl.Series([make(number) for number in range(_CUSTOMERS)], dtype=pl.String)


@cache
def _pool(column: Column) -> pl.Series:
    if column.type == "bool":
        return pl.Series(column.values[:2] or ("0", "1"))
    if column.values:
        return pl.Series([*(column.values * 4), None])
    if column.type == "int":
        return _counts()
    if column.type in ("date", "datetime", "month"):
        return _dates(column)
    if column.identifier:
        return _identifiers(column.origin)
    return _texts(column.origin)


@cache
def _counts() -> pl.Series:
    noise = mix(np.arange(8_192, dtype=np.uint64))
    sizes = ((noise >> np.uint64(40)).astype(np.float64) / 2**24) ** 4 * 50_000
    return pl.Series(
        [None if word % 23 == 0 else int(size) for size, word in zip(sizes, noise.tolist(), strict=True)],
        dtype=pl.Int64,
    )


def _dates(column: Column) -> pl.Series:
    days = [_DAY_ZERO + timedelta(days=number) for number in range(2_900)]
    if column.type == "month":
        return pl.Series([day.isoformat() for day in days if day.day == 1])
    ending = "end" in column.origin.casefold()
    text = [f"{day.isoformat()} 13:05:09" if column.type == "datetime" else day.isoformat() for day in days]
    # An end that has not come is empty.
    return pl.Series([None if ending and number % 3 == 0 else value for number, value in enumerate(text)])


def _identifiers(name: str) -> pl.Series:
    lowered = name.casefold()
    if "mpnid" in lowered or "partner" in lowered or "reseller" in lowered:
        return pl.Series([f"{number * 65_537 % 9_999_999:07d}" for number in range(1, 40)])
    if "part" in lowered:
        return pl.Series(_PART_NUMBERS)
    if "sku" in lowered:
        return pl.Series([f"{number:04d}" for number in range(120)])
    return pl.Series([None if number % 50 == 0 else f"{number * 7_919:08d}" for number in range(10_000)])


def _texts(name: str) -> pl.Series:
    lowered = name.casefold()
    if "email" in lowered:
        return pl.Series([f"user{number:05d}@contoso.example" for number in range(20_000)])
    if "partnername" in lowered or "resellername" in lowered:
        return pl.Series([f"{company} Consulting, {market}" for company in _COMPANIES for market in _MARKETS])
    if len(name) > 40:  # noqa: PLR2004 - the campaign columns, known by their long names, are rarely filled
        return pl.Series(["Yes", "Act Now", " x ", *[None] * 72])
    if lowered.endswith(("country", "market", "territory", "location")):
        return pl.Series(_MARKETS)
    values: list[str | None] = [f"{name} {number:02d}" for number in range(40)]
    values += [*_PLAIN, None, None, None]
    return pl.Series(values)
