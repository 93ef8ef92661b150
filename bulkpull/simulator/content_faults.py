"""
Content faults: stored files with wrong or damaged content.

A damaged file is built in memory in one piece: content faults are for files of test size.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from isal import isal_zlib

from bulkpull.simulator.faults import Fault

Compress = Callable[[bytes], bytes]

_GZIP_BITS = 31
_BLOCK_BYTES = 1 << 20
_PAGE = (
    b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><Error><Code>InternalError</Code>'
    b"<Message>Server encountered an internal error. Please try again after some time.</Message></Error>"
)


def spoiled_file(fault: Fault, text: bytes, *, compress: Compress, tsv: bool) -> bytes:
    """The stored bytes as the fault leaves them."""
    if fault.name in _TEXT_FAULTS:
        return compress(_TEXT_FAULTS[fault.name](_Text(text, b"\t" if tsv else b","), fault.args))
    return _FILE_FAULTS[fault.name](text, compress, fault.args)


class _Text:
    """The text as records, found by the parity of quotes, so that line breaks inside fields split nothing."""

    def __init__(self, text: bytes, separator: bytes) -> None:
        self.separator = separator
        self.records = list(_split(text, b"\n", keep=True))

    @property
    def end(self) -> bytes:
        """The line ending."""
        return b"\r\n" if self.records[0].endswith(b"\r\n") else b"\n"

    def fields(self, number: int) -> list[bytes]:
        """The fields of a record, as they are written."""
        return list(_split(self.records[number].rstrip(b"\r\n"), self.separator, keep=False))

    def put(self, number: int, fields: list[bytes]) -> None:
        """Replace a record."""
        self.records[number] = self.separator.join(fields) + self.end

    def middle(self) -> int:
        """A data record in the middle, the first one of a short text."""
        return min(len(self.records) - 1, max(1, len(self.records) // 2))

    def joined(self) -> bytes:
        return b"".join(self.records)


def _split(text: bytes, separator: bytes, *, keep: bool) -> Iterator[bytes]:
    raw = np.frombuffer(text, dtype=np.uint8)
    outside = np.cumsum(raw == ord('"')) % 2 == 0
    begin = 0
    for place in np.flatnonzero((raw == separator[0]) & outside).tolist():
        yield text[begin : place + 1 if keep else place]
        begin = place + 1
    if begin < len(text) or not keep:
        yield text[begin:]


def _change_row(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[_Text, Mapping[str, Any]], bytes]:
    def spoil(text: _Text, args: Mapping[str, Any]) -> bytes:
        number = int(args.get("row", 0)) or text.middle()
        text.put(number, change(text.fields(number)))
        return text.joined()

    return spoil


def _odd_value(text: _Text, args: Mapping[str, Any]) -> bytes:
    number = int(args.get("row", 0)) or text.middle()
    fields = text.fields(number)
    fields[text.fields(0).index(str(args["column"]).encode())] = str(args.get("value", "n/a")).encode()
    text.put(number, fields)
    return text.joined()


def _change_header(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[_Text, Mapping[str, Any]], bytes]:
    def spoil(text: _Text, args: Mapping[str, Any]) -> bytes:  # noqa: ARG001 - all text faults have one signature
        text.put(0, change(text.fields(0)))
        return text.joined()

    return spoil


def _change_all(change: Callable[[list[bytes], bool], list[bytes]]) -> Callable[[_Text, Mapping[str, Any]], bytes]:
    def spoil(text: _Text, args: Mapping[str, Any]) -> bytes:  # noqa: ARG001 - all text faults have one signature
        for number in range(len(text.records)):
            text.put(number, change(text.fields(number), number == 0))
        return text.joined()

    return spoil


def _change_end(change: Callable[[bytes, _Text], bytes]) -> Callable[[_Text, Mapping[str, Any]], bytes]:
    def spoil(text: _Text, args: Mapping[str, Any]) -> bytes:  # noqa: ARG001 - all text faults have one signature
        return change(text.joined(), text)

    return spoil


def _blank_inside(text: _Text, args: Mapping[str, Any]) -> bytes:
    text.records.insert(int(args.get("row", 0)) or text.middle(), text.end)
    return text.joined()


def _cut_row(whole: bytes, text: _Text) -> bytes:
    last = text.records[-1]
    return whole[: len(whole) - len(last) + len(last) // 2]


def _with_tabs(text: _Text, args: Mapping[str, Any]) -> bytes:  # noqa: ARG001 - all text faults have one signature
    rows = [text.fields(number) for number in range(len(text.records))]
    return b"".join(b"\t".join(row) + text.end for row in rows)


def _with_crlf(text: _Text, args: Mapping[str, Any]) -> bytes:  # noqa: ARG001 - all text faults have one signature
    return b"".join(record.rstrip(b"\r\n") + b"\r\n" for record in text.records)


_TEXT_FAULTS: Mapping[str, Callable[[_Text, Mapping[str, Any]], bytes]] = {
    "utf16": _change_end(lambda whole, _: whole.decode().encode("utf-16")),
    "latin1": _change_row(lambda fields: [b"Soci\xe9t\xe9", *fields[1:]]),
    "nul_bytes": _change_row(lambda fields: [b"a\0b", *fields[1:]]),
    "short_row": _change_row(lambda fields: fields[:-1]),
    "odd_value": _odd_value,
    "long_row": _change_row(lambda fields: [*fields, b"one too many"]),
    "open_quote": _change_end(lambda whole, _: whole + b'"unfinished'),
    "wrong_header": _change_header(lambda fields: [b"Column%d" % number for number in range(len(fields))]),
    "duplicate_header": _change_header(lambda fields: [fields[0], fields[0], *fields[2:]]),
    "missing_column": _change_all(lambda fields, _: fields[:-1]),
    "extra_column": _change_all(lambda fields, is_header: [*fields, b"ExtraColumn" if is_header else b"extra"]),
    "reordered_header": _change_all(lambda fields, _: fields[::-1]),
    "header_other_case": _change_header(lambda fields: [field.swapcase() for field in fields]),
    "blank_lines_inside": _blank_inside,
    "blank_lines_at_end": _change_end(lambda whole, text: whole + text.end * 2),
    "no_final_newline": _change_end(lambda whole, text: whole.removesuffix(text.end)),
    "cut_row": _change_end(_cut_row),
    "header_only": _change_end(lambda _, text: text.records[0]),
    "bom": _change_end(lambda whole, _: b"\xef\xbb\xbf" + whole),
    "crlf": _with_crlf,
    "tsv": _with_tabs,
}


def _flip(stored: bytes, place: int) -> bytes:
    changed = bytearray(stored)
    changed[place] ^= 0x10
    return bytes(changed)


def _two_members(text: bytes, compress: Compress, args: Mapping[str, Any]) -> bytes:  # noqa: ARG001 - all file faults have one signature
    half = len(text) // 2
    return compress(text[:half]) + compress(text[half:])


def _zipped(text: bytes, compress: Compress, args: Mapping[str, Any]) -> bytes:  # noqa: ARG001 - all file faults have one signature
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.csv", text)
    return target.getvalue()


def _bomb(text: bytes, compress: Compress, args: Mapping[str, Any]) -> bytes:  # noqa: ARG001 - all file faults have one signature
    """The header, then the first row over and over: rows are well formed, only their number is absurd."""
    records = list(_split(text, b"\n", keep=True))
    header, row = records[0], records[min(1, len(records) - 1)]
    block = row * max(1, _BLOCK_BYTES // len(row))
    packer = isal_zlib.compressobj(1, wbits=_GZIP_BITS)
    packed = [packer.compress(header)]
    blocks = max(1, int(args.get("bytes", 64 << 20)) // len(block))
    packed.extend(packer.compress(block) for _ in range(blocks))
    return b"".join((*packed, packer.flush()))


_FILE_FAULTS: Mapping[str, Callable[[bytes, Compress, Mapping[str, Any]], bytes]] = {
    "cut_gzip": lambda text, compress, args: _share(compress(text), float(args.get("keep", 0.6))),
    "bad_crc": lambda text, compress, _: _flip(compress(text), -8),
    "bad_gzip_length": lambda text, compress, _: _flip(compress(text), -4),
    "bit_flip": lambda text, compress, _: _flip(compress(text), len(compress(text)) // 2),
    "two_members": _two_members,
    "zero_padding_after_gzip": lambda text, compress, args: compress(text) + b"\0" * int(args.get("bytes", 512)),
    "rubbish_after_gzip": lambda text, compress, _: compress(text) + b"this is not part of the file",
    "plain_csv": lambda text, *_: text,
    "zip": _zipped,
    "xml_page": lambda *_: _PAGE,
    "bomb": _bomb,
    # A replaced file: the same rows in other bytes, so that its length differs too.
    "etag_changes": lambda text, *_: gzip.compress(text, compresslevel=9, mtime=0),
}


def _share(stored: bytes, keep: float) -> bytes:
    return stored[: int(len(stored) * keep)]
