r"""
The journal of a partial file: which of its bytes a later process can trust.

An append-only text file beside the partial file. Each line is independent:

    3f1c09aa {"bulkpull_journal":1,"execution":"…","blob":"…","size":104857600,"etag":"\"0x8D…\"",…}
    9b02e7d1 {"kept":[[0,16777216,2774099152],[16777216,18874368,311427290]]}
    └ CRC-32 of the rest of the line, 8 hexadecimal digits

The first line identifies the file: the version of this format (a journal of another version is not read), the
execution that made the file, `blob` (SHA-256 of host and path of its address: the query is a secret and leaves no
trace), its size, strong ETag (a file without one has no journal, since nothing could pin a later request), MD5
(hexadecimal), `modified` and `encoding` (`Last-Modified` and `Content-Encoding`); `null` for what was not sent.

Each later line lists extents `[start, end, crc]`: the bytes `[start, end)` were in the file before the line was
written, and their CRC-32 was `crc`. An extent replaces an earlier one with the same start. The first line that is cut
or damaged ends the journal, so any prefix of a journal is a valid journal that covers fewer bytes.

A killed process leaves all of this behind. After a power loss, parts of the file or of the journal may be missing, in
any combination: bytes whose line is lost, or whose checksum no longer matches, are fetched again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

from bulkpull import platforms
from bulkpull.transfer.byte_ranges import ByteRange
from bulkpull.transfer.range_responses import Version

FORMAT = 1


@dataclass(frozen=True, slots=True)
class JournaledRange:
    """Bytes on disk and their CRC-32."""

    stretch: ByteRange
    crc: int


def begin_journal(
    path: Path, version: Version, *, execution_id: str, url: str, extents: Iterable[JournaledRange] = ()
) -> None:
    """Replace the journal by one with these extents, which are in the file already."""
    head = {
        "bulkpull_journal": FORMAT,
        "execution": execution_id,
        "blob": _fingerprint(url),
        "size": version.size_bytes,
        "etag": version.etag,
        "md5": version.md5.hex() if version.md5 else None,
        "modified": version.modified,
        "encoding": version.encoding,
    }
    aside = path.with_name(f"{path.name}.new")
    aside.write_bytes(_line(head) + _kept(extents))
    platforms.current().replace_file(aside, path)


def append_ranges(path: Path, extents: Iterable[JournaledRange]) -> None:
    """Add extents that are in the file already."""
    with path.open("ab") as file:
        file.write(_kept(extents))


def load_journal(path: Path, execution_id: str, url: str) -> tuple[Version, list[JournaledRange]] | None:
    """What the journal at `path` says about this execution's file: its version, and the extents in order."""
    try:
        head, *rest = _whole_lines(path.read_bytes())
        if (head["bulkpull_journal"], head["execution"], head["blob"]) != (FORMAT, execution_id, _fingerprint(url)):
            return None
        version = Version(
            size_bytes=int(head["size"]),
            etag=str(head["etag"]),
            md5=bytes.fromhex(head["md5"]) if head["md5"] else None,
            modified=head["modified"],
            encoding=head["encoding"],
        )
        extents = {int(start): JournaledRange(ByteRange(int(start), int(end)), int(crc))
                   for line in rest for start, end, crc in line["kept"]}  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return version, [extents[start] for start in sorted(extents)]


def _fingerprint(url: str) -> str:
    parts = urlsplit(url)
    return hashlib.sha256(f"{parts.netloc}{parts.path}".encode()).hexdigest()


def _kept(extents: Iterable[JournaledRange]) -> bytes:
    return _line({"kept": [[extent.stretch.start, extent.stretch.end, extent.crc] for extent in extents]})


def _line(value: dict[str, Any]) -> bytes:
    text = json.dumps(value, separators=(",", ":")).encode()
    return b"%08x %b\n" % (crc32(text), text)


def _whole_lines(content: bytes) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for line in content.splitlines(keepends=True):
        check, _, text = line.partition(b" ")
        if not line.endswith(b"\n") or check != b"%08x" % crc32(text[:-1]):
            break
        lines.append(json.loads(text))
    return lines
