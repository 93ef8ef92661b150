"""
Content faults: stored files with wrong or damaged content.

A damaged file is built in memory in one piece: content faults are for files of test size.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
from isal import isal_zlib

from bulkpull.simulator.faults import Fault

FASTEST = 1
GZIP_BITS = 31
"""zlib's way to ask for a gzip header and trailer."""

_BLOCK_BYTES = 1 << 20
_PAGE = (
    b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><Error><Code>InternalError</Code>'
    b"<Message>Server encountered an internal error. Please try again after some time.</Message></Error>"
)

Args = Mapping[str, Any]
Fields = list[bytes]
Pack = Callable[[bytes], bytes]


class _Text:
    """The text as records, found by the parity of quotes, so that line breaks inside fields split nothing."""

    def __init__(self, text: bytes, separator: bytes) -> None:
        self.separator = separator
        self.records = list(_split(text, b"\n", keep=True))

    @property
    def end(self) -> bytes:
        return b"\r\n" if self.records[0].endswith(b"\r\n") else b"\n"

    def fields(self, number: int) -> Fields:
        return list(_split(self.records[number].rstrip(b"\r\n"), self.separator, keep=False))

    def put(self, number: int, fields: Fields) -> None:
        self.records[number] = self.separator.join(fields) + self.end

    def struck(self, args: Args) -> int:
        """The data record that the fault names, or one in the middle; the last one of a text that is shorter."""
        return min(len(self.records) - 1, int(args.get("row", 0)) or max(1, len(self.records) // 2))


def _split(text: bytes, separator: bytes, *, keep: bool) -> Iterator[bytes]:
    raw = np.frombuffer(text, dtype=np.uint8)
    outside = np.cumsum(raw == ord('"')) % 2 == 0
    begin = 0
    for place in np.flatnonzero((raw == separator[0]) & outside).tolist():
        yield text[begin : place + 1 if keep else place]
        begin = place + 1
    if begin < len(text) or not keep:
        yield text[begin:]


_FIELD_FAULTS: Mapping[str, tuple[Literal["row", "header", "all"], Callable[[Fields, bool], Fields]]] = {
    "latin1": ("row", lambda fields, _: [b"Soci\xe9t\xe9", *fields[1:]]),
    "nul_bytes": ("row", lambda fields, _: [b"a\0b", *fields[1:]]),
    "short_row": ("row", lambda fields, _: fields[:-1]),
    "long_row": ("row", lambda fields, _: [*fields, b"one too many"]),
    "wrong_header": ("header", lambda fields, _: [b"Column%d" % number for number in range(len(fields))]),
    "duplicate_header": ("header", lambda fields, _: [fields[0], fields[0], *fields[2:]]),
    "header_other_case": ("header", lambda fields, _: [field.swapcase() for field in fields]),
    "missing_column": ("all", lambda fields, _: fields[:-1]),
    "extra_column": ("all", lambda fields, is_header: [*fields, b"ExtraColumn" if is_header else b"extra"]),
    "reordered_header": ("all", lambda fields, _: fields[::-1]),
}
"""Which records change, and what becomes of their fields."""

_TEXT_FAULTS: Mapping[str, Callable[[_Text, bytes], bytes]] = {
    "utf16": lambda _, whole: whole.decode().encode("utf-16"),
    "open_quote": lambda _, whole: whole + b'"unfinished',
    "blank_lines_at_end": lambda text, whole: whole + text.end * 2,
    "no_final_newline": lambda text, whole: whole.removesuffix(text.end),
    "cut_row": lambda text, whole: whole[: len(whole) - len(text.records[-1]) + len(text.records[-1]) // 2],
    "header_only": lambda text, _whole: text.records[0],
    "bom": lambda _, whole: b"\xef\xbb\xbf" + whole,
    "crlf": lambda text, _whole: b"".join(record.rstrip(b"\r\n") + b"\r\n" for record in text.records),
    "tsv": lambda text, _whole: b"".join(
        b"\t".join(text.fields(number)) + text.end for number in range(len(text.records))
    ),
}
"""What becomes of the whole text."""

_FILE_FAULTS: Mapping[str, Callable[[bytes, Pack, Args], bytes]] = {
    "cut_gzip": lambda text, pack, args: _cut(pack(text), keep=float(args.get("keep", 0.6))),
    "bad_crc": lambda text, pack, _: _flipped(pack(text), from_end=8),
    "bad_gzip_length": lambda text, pack, _: _flipped(pack(text), from_end=4),
    "bit_flip": lambda text, pack, _: _flipped(pack(text)),
    "two_members": lambda text, pack, _: pack(text[: len(text) // 2]) + pack(text[len(text) // 2 :]),
    "zero_padding_after_gzip": lambda text, pack, args: pack(text) + b"\0" * int(args.get("bytes", 512)),
    "rubbish_after_gzip": lambda text, pack, _: pack(text) + b"this is not part of the file",
    "plain_csv": lambda text, _pack, _: text,
    "zip": lambda text, _pack, _: _zipped(text),
    "xml_page": lambda _text, _pack, _: _PAGE,
    "bomb": lambda text, _pack, args: _bomb(text, size_bytes=int(args.get("bytes", 64 << 20))),
    # A replaced file: the same rows in other bytes, so that its length differs too.
    "etag_changes": lambda text, _pack, _: gzip.compress(text, compresslevel=9, mtime=0),
}
"""What is stored in place of the packed text."""


def damaged_file(fault: Fault, text: bytes, *, pack: Pack, tsv: bool) -> bytes:
    if fault.name in _FILE_FAULTS:
        return _FILE_FAULTS[fault.name](text, pack, fault.args)
    return pack(_damaged_text(fault, _Text(text, b"\t" if tsv else b",")))


def _damaged_text(fault: Fault, text: _Text) -> bytes:
    name, struck = fault.name, text.struck(fault.args)
    if name in _TEXT_FAULTS:
        return _TEXT_FAULTS[name](text, b"".join(text.records))
    if name in _FIELD_FAULTS:
        which, change = _FIELD_FAULTS[name]
        numbers = {"row": [struck], "header": [0], "all": range(len(text.records))}
        for number in numbers[which]:
            text.put(number, change(text.fields(number), number == 0))
    elif name == "blank_lines_inside":
        text.records.insert(struck, text.end)
    else:  # odd_value
        fields = text.fields(struck)
        column = str(fault.args["column"]).encode()
        fields[text.fields(0).index(column)] = str(fault.args.get("value", "n/a")).encode()
        text.put(struck, fields)
    return b"".join(text.records)


def _cut(stored: bytes, *, keep: float) -> bytes:
    return stored[: int(len(stored) * keep)]


def _flipped(stored: bytes, *, from_end: int | None = None) -> bytes:
    """With one bit flipped, in the middle where no place is named."""
    changed = bytearray(stored)
    changed[len(stored) // 2 if from_end is None else -from_end] ^= 0x10
    return bytes(changed)


def _zipped(text: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.csv", text)
    return target.getvalue()


def _bomb(text: bytes, *, size_bytes: int) -> bytes:
    """The header, then the first row over and over: rows are well formed, only their number is absurd."""
    records = list(_split(text, b"\n", keep=True))
    header, row = records[0], records[min(1, len(records) - 1)]
    block = row * max(1, _BLOCK_BYTES // len(row))
    packer = isal_zlib.compressobj(FASTEST, wbits=GZIP_BITS)
    packed = [packer.compress(header)]
    packed += [packer.compress(block) for _ in range(max(1, size_bytes // len(block)))]
    return b"".join((*packed, packer.flush()))
