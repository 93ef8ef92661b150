"""
The types of Parquet columns by the names that the manifest shows, and which of them holds the values of which (pure).
Apart from `type_inference`, because the pipeline compares types without loading polars.

Money is Decimal with 38 digits and the smallest of three scales that holds every value: a product of two amounts has
the sum of their scales, and with 18 digits after the point each it has no room left for digits before it.
"""

from __future__ import annotations

from collections.abc import Iterable

TEXT = "String"
AMOUNT_SCALES = (6, 12, 18)
"""Digits after the point, the smallest first."""
AMOUNT_PRECISION = 38

_NUMBERS = ("Int64", *(f"Decimal({AMOUNT_PRECISION}, {scale})" for scale in AMOUNT_SCALES))
_TIMES = ("Date", "Datetime(us)")
# In each of these a type holds all values of those before it. A time without a zone and one in UTC are not in one of
# them: neither can say of the other's values what it does not know.
_WIDENING = (_NUMBERS, _TIMES)


def common_type(types: Iterable[str]) -> str:
    """The narrowest type that holds the values of all `types`, of which there is one at least; text holds any."""
    names = set(types)
    if len(names) == 1:
        return names.pop()
    for widening in _WIDENING:
        if names <= set(widening):
            return max(names, key=widening.index)
    return TEXT
