"""Large report files for measurements, the same at every making: typed columns like those of the Azure usage report."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import cycle
from pathlib import Path
from uuid import UUID

import numpy as np
import polars as pl
from numpy.random import Generator

from benchmarks.columns import COLUMNS, WIDE_COLUMNS

_BLOCK_ROWS = 40_000
_BLOCKS = 32  # then it starts again, after more rows than anything that compresses them looks back at
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_LAST_BLOCK = b"\x03\0"  # an empty one
_LEVEL = 6  # what `gzip` does when nobody says otherwise

_FIRST_DAY = 18_262  # 2020-01-01, counted from 1970
_STATES = ["Active", "Churned", "Disabled", "Open", "Closed", "In Grace Period"]
_SERVICES = ["Virtual Machines", "Storage", "SQL Database", "Azure Kubernetes Service", "Bandwidth", "Key Vault"]
_METERS = ["Compute Hours", "Data Stored", "Read Operations", "Write Operations", "vCore", "Standard Traffic"]
_MARKETS = ["United States", "Germany", "Côte d'Ivoire", "Österreich", "Japan", "Brazil"]
_CUSTOMERS = [f"Contoso {number}" for number in range(4_500)] + [
    f'"Contoso ""{number}"", Ltd."' if number % 5 else f'"Contoso, {number} GmbH"' for number in range(500)
]


@cache
def _guids() -> pl.Series:
    integers = np.random.default_rng(1).integers(0, 256, (200_000, 16), np.uint8)
    return pl.Series([str(UUID(bytes=integer.tobytes())) for integer in integers])


def make_report(path: Path, *, size_bytes: int, wide: bool) -> None:
    """
    Write one gzip member that unpacks to `size_bytes` or up to a block more, unless it is there already.

    Args:
        wide: 80 columns with names of 100 letters instead of the usage report's 17.
    """
    if path.exists():
        return
    part = path.with_suffix(".part")
    header = ",".join(column.name for column in (WIDE_COLUMNS if wide else COLUMNS)) + "\r\n"
    first = _block(0, wide=wide)
    needed = min(_BLOCKS, -(-size_bytes // len(first[0])) + 1)  # blocks differ a little in size
    with ThreadPoolExecutor() as threads:
        blocks = [first, *threads.map(lambda seed: _block(seed, wide=wide), range(1, needed))]
    with part.open("wb") as file:
        file.write(_GZIP_HEADER + _deflated(header.encode()))
        crc, size = zlib.crc32(header.encode()), len(header)
        for data, packed in cycle(blocks):
            if size >= size_bytes:
                break
            file.write(packed)
            crc, size = zlib.crc32(data, crc), size + len(data)
        file.write(_LAST_BLOCK + struct.pack("<II", crc, size % 2**32))
    part.rename(path)


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)


def _block(seed: int, *, wide: bool) -> tuple[bytes, bytes]:
    chance = np.random.default_rng(seed)
    columns = list(_wide(chance) if wide else _usage(chance))
    # Fields that need quotes have them already.
    data = pl.DataFrame(columns).write_csv(include_header=False, quote_style="never", line_terminator="\r\n").encode()
    return data, _deflated(data)


def _usage(chance: Generator) -> Iterator[pl.Series]:
    def one_of(values: list[str]) -> pl.Series:
        return pl.Series(values).gather(chance.integers(0, len(values), _BLOCK_ROWS))

    def numbers(most: int) -> pl.Series:
        return pl.Series(chance.integers(0, most, _BLOCK_ROWS))

    def amounts(most: int, *, digits: int) -> pl.Series:
        parts = pl.DataFrame([numbers(most // 10**digits).alias("whole"), numbers(10**digits).alias("part")])
        return parts.select(pl.format("{}.{}", "whole", pl.col("part").cast(pl.String).str.zfill(digits))).to_series()

    def days(most: int) -> pl.Series:
        return (numbers(most) + _FIRST_DAY).cast(pl.Int32).cast(pl.Date)

    customer, started = numbers(5_000), days(2_000)
    seconds = (numbers(86_400) * 1_000_000).cast(pl.Duration("us"))
    columns = (
        numbers(10**7).cast(pl.String).str.zfill(8),
        _guids().gather(numbers(200_000)),
        started,
        days(2_000).scatter(np.flatnonzero(chance.random(_BLOCK_ROWS) < 0.3), None),
        (started.cast(pl.Datetime("us")) + seconds).dt.strftime("%Y-%m-%dT%H:%M:%S"),
        one_of(_STATES),
        started.dt.month_start(),
        one_of(_SERVICES),
        one_of(_METERS),
        amounts(10**9, digits=6),
        numbers(100_000),
        pl.Series(_CUSTOMERS).gather(customer),
        _guids().gather(customer),
        numbers(10**6).cast(pl.String).str.zfill(7),
        one_of(_MARKETS),
        numbers(2),
        amounts(10**6, digits=2),
    )
    yield from (column.alias(plan.name) for column, plan in zip(columns, COLUMNS, strict=True))


def _wide(chance: Generator) -> Iterator[pl.Series]:
    for index, plan in enumerate(WIDE_COLUMNS):
        values = chance.integers(0, 10 ** (2 + index % 8), _BLOCK_ROWS // 4)
        yield pl.Series(plan.name, values).cast(pl.String)
