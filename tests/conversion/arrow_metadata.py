"""The metadata of single columns as readers of Arrow find it in a Parquet file, read without any of our code."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

# Places of fields in the tables Message, Schema, Field and KeyValue of Arrow's Message.fbs and Schema.fbs.
_HEADER, _FIELDS, _NAME, _TYPE, _CUSTOM_METADATA, _KEY, _VALUE = 2, 1, 0, 2, 6, 0, 1
_PREFIX_BYTES = 8


@dataclass(frozen=True)
class _Table:
    """A table of a flatbuffer."""

    data: bytes
    at: int

    @classmethod
    def behind(cls, data: bytes, at: int) -> _Table:
        """The table that the offset at `at` leads to."""
        return cls(data, at + struct.unpack_from("<I", data, at)[0])

    def _place(self, number: int) -> int | None:
        index = self.at - struct.unpack_from("<i", self.data, self.at)[0]
        (size,) = struct.unpack_from("<H", self.data, index)
        offset = struct.unpack_from("<H", self.data, index + 4 + 2 * number)[0] if 4 + 2 * number < size else 0
        return self.at + offset if offset else None

    def table(self, number: int) -> _Table:
        place = self._place(number)
        assert place is not None
        return _Table.behind(self.data, place)

    def tables(self, number: int) -> Iterator[_Table]:
        if (place := self._place(number)) is None:
            return
        vector = _Table.behind(self.data, place).at
        for entry in range(struct.unpack_from("<I", self.data, vector)[0]):
            yield _Table.behind(self.data, vector + 4 + 4 * entry)

    def number(self, number: int) -> int:
        place = self._place(number)
        return self.data[place] if place is not None else 0

    def text(self, number: int) -> str:
        start = self.table(number).at
        (length,) = struct.unpack_from("<I", self.data, start)
        return self.data[start + 4 : start + 4 + length].decode()


def _columns(path: Path) -> list[_Table]:
    message = base64.b64decode(pl.read_parquet_metadata(path)["ARROW:schema"])[_PREFIX_BYTES:]
    return list(_Table.behind(message, 0).table(_HEADER).tables(_FIELDS))


def metadata_of_columns(path: Path) -> dict[str, dict[str, str]]:
    """Keys and values by column, of the columns that have any."""
    found = {
        column.text(_NAME): {pair.text(_KEY): pair.text(_VALUE) for pair in column.tables(_CUSTOM_METADATA)}
        for column in _columns(path)
    }
    return {name: pairs for name, pairs in found.items() if pairs}


def kinds_of_columns(path: Path) -> dict[str, int]:
    """The number that Schema.fbs gives the type of each column, such as 20 for LargeUtf8 and 24 for Utf8View."""
    return {column.text(_NAME): column.number(_TYPE) for column in _columns(path)}
