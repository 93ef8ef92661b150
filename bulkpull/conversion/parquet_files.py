"""
Reads and writes Parquet files by polars.

polars takes metadata of single columns as part of an Arrow schema only, and makes such schemas without metadata. So it
is put into a copy of the schema that polars exports, by the Arrow C data interface, which fixes the layout of that
structure: https://arrow.apache.org/docs/format/CDataInterface.html
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import polars as pl

from bulkpull.conversion.output_formats import Source, TableFiles

_ARROW_SCHEMA = "ARROW:schema"  # the writer's own entry


class _ArrowSchema(ctypes.Structure):
    """`struct ArrowSchema` of Arrow's C data interface."""


_ArrowSchema._fields_ = (
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_void_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowSchema))),
    ("dictionary", ctypes.POINTER(_ArrowSchema)),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
)
_CAPSULE = b"arrow_schema"
_pointer_of, _capsule_of = ctypes.pythonapi.PyCapsule_GetPointer, ctypes.pythonapi.PyCapsule_New
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
_capsule_of.restype, _capsule_of.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
# polars exports text as views, which pyarrow cannot compare, sort or join; files without such a schema have large text.
_FORMATS = {b"vu": b"U"}


def _mark_released(schema: Any) -> None:
    schema.contents.release = None  # Python frees what it points to


_RELEASE = ctypes.CFUNCTYPE(None, ctypes.POINTER(_ArrowSchema))(_mark_released)


class AnnotatedSchema:
    """A schema whose columns have metadata; it has to live as long as what is exported from it is read."""

    def __init__(self, schema: pl.Schema, metadata: Mapping[str, Mapping[str, str]]) -> None:
        self._schema = schema
        self._encoded = {name: ctypes.create_string_buffer(_encode(pairs)) for name, pairs in metadata.items()}
        self._exported: list[object] = []

    def __arrow_c_schema__(self) -> object:
        capsule, release = self._schema.__arrow_c_schema__(), ctypes.cast(_RELEASE, ctypes.c_void_p).value
        whole = _ArrowSchema.from_buffer_copy(_ArrowSchema.from_address(_pointer_of(capsule, _CAPSULE)))
        columns = [_ArrowSchema.from_buffer_copy(whole.children[place].contents) for place in range(whole.n_children)]
        for column in columns:
            column.format, column.release = _FORMATS.get(column.format, column.format), release
            encoded = self._encoded.get(column.name.decode())
            if encoded is not None:
                column.metadata = ctypes.addressof(encoded)
        pointers = (ctypes.POINTER(_ArrowSchema) * len(columns))(*map(ctypes.pointer, columns))
        whole.children, whole.release = pointers, release
        self._exported += capsule, whole, columns  # the capsule has the names
        return _capsule_of(ctypes.addressof(whole), _CAPSULE, None)


def _encode(pairs: Mapping[str, str]) -> bytes:
    """As the interface has it: the number of pairs, then each key and value behind its length, all in native order."""
    parts = [struct.pack("=i", len(pairs))]
    for text in (text for pair in pairs.items() for text in pair):
        parts += [struct.pack("=i", len(text.encode())), text.encode()]
    return b"".join(parts)


class ParquetFiles:
    def write(
        self,
        frame: pl.LazyFrame,
        path: Path,
        *,
        row_group_rows: int,
        metadata: Mapping[str, str],
        column_metadata: Mapping[str, Mapping[str, str]],
    ) -> None:
        frame.sink_parquet(
            path,
            compression="zstd",
            compression_level=1,  # 3, the default, takes half as much time again and makes the file 3 % larger
            row_group_size=row_group_rows,
            metadata=dict(metadata),
            arrow_schema=AnnotatedSchema(frame.collect_schema(), column_metadata) if column_metadata else None,
            engine="streaming",
        )

    def scan(self, sources: Sequence[Source]) -> pl.LazyFrame:
        paths = cast("list[Path]", list(sources))  # or open files: polars has no type for a mixture
        return pl.scan_parquet(paths, glob=False)  # brackets in a path are a pattern to polars

    def metadata(self, source: Source) -> dict[str, str]:
        return {name: text for name, text in pl.read_parquet_metadata(source).items() if name != _ARROW_SCHEMA}


FILES: TableFiles = ParquetFiles()
