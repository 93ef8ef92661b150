"""What verified a snapshot's files, and oddities in complete files (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bulkpull.pipeline.steps.converted_pull import ConvertedPull

# In the order of the manifest. The last two prove only where the file ends, not that it is unchanged.
_WORDS = ("length", "md5", "gzip", "end_mark", "readings")
_READINGS = "readings"


def vouched_by(part: ConvertedPull) -> list[str]:
    """
    The evidence that the part's file is complete and unchanged.

    `length` (announced by the storage host), `md5`, `gzip` (its own checksum and length), `end_mark` (of a chunked
    body), or `readings`: two that ended at the same byte, named only where nothing else vouches.
    """
    words = {*part.stored.vouched_by, *(("gzip",) if part.table.is_gzip else ())}
    if len(words) > 1:
        words.discard(_READINGS)
    return [word for word in _WORDS if word in words]


def vouched_for_all(parts: Sequence[ConvertedPull]) -> list[str]:
    """The evidence that every part has; if there is none, the evidence of any part."""
    words_of_parts = [vouched_by(part) for part in parts]
    for_all = [word for word in _WORDS if all(word in words for words in words_of_parts)]
    return for_all or [word for word in _WORDS if any(word in words for words in words_of_parts)]


def content_notes(parts: Sequence[ConvertedPull]) -> Iterator[str]:
    """A sentence for each thing that a person may have to look at (C40)."""
    doubtful = sum(vouched_by(part) == [_READINGS] for part in parts)
    if doubtful:
        yield (
            f"nothing but two equal readings vouches for {_files(doubtful, parts)}: the storage host told neither "
            "length nor MD5, and gzip was not used"
        )
    if open_ended := sum(part.table.ends_open for part in parts):
        yield f"{_files(open_ended, parts)} ended without a line end: its last value may be cut"
    if nul_bytes := sum(part.table.nul_bytes for part in parts):
        yield f"its values hold {nul_bytes:,} NUL characters, which some programs take for the end of a text"


def _files(count: int, parts: Sequence[ConvertedPull]) -> str:
    return "the report's file" if len(parts) == 1 else f"{count:,} of the {len(parts):,} reports' files"
