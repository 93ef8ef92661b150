"""
Cleans names and messages of the service, a proxy or an edited file, so that they can be stored and shown (pure).

Data cells of a report are never cleaned: Parquet holds the content of the CSV.
"""

from __future__ import annotations

import re
from typing import Any

LONGEST_NAME = 4_096
"""The most characters of one name or id that is kept; the service's own are shorter than 300."""

# Texts, which `re` compiles when the first odd text comes: most processes meet none.
_BLANKS = "[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]"
_BLANKS_BUT_LINES = "[\v\f\x1c-\x1f\x85\u2028\u2029]|\r(?!\n)"
# A byte that was no UTF-8, as Python carries it along (PEP 383): reason phrases and headers are Latin-1 by tradition.
_STRAY_BYTE = "[\udc80-\udcff]"
_SURROGATE = "[\ud800-\udfff]"
_HIDDEN = "[\x00-\x08\x0e-\x1b\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
# JSON escapes what lies below U+0020 by itself.
_HIDDEN_IN_JSON = "[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"


def visible(text: str, *, lines: bool = False) -> str:
    r"""
    `text` as one line that any terminal, file and database takes.

    Line breaks and tabs become blanks, unless `lines` may stay. Other control characters (C0, C1), marks of writing
    direction and lone surrogates are spelled out, as in `\x1b` or `\u202e`. Stray bytes are read as Latin-1.
    """
    if text.isascii() and text.isprintable():
        return text
    text = re.sub(_STRAY_BYTE, lambda found: chr(ord(found[0]) - 0xDC00), text)
    text = re.sub(_BLANKS_BUT_LINES if lines else _BLANKS, " ", text)
    return re.sub(_HIDDEN, lambda found: ascii(found[0])[1:-1], text)


def writable(value: Any) -> Any:
    """The same JSON value with texts that UTF-8 can carry: to write a manifest must not fail for what it says."""
    if isinstance(value, str):
        is_fit = value.isascii() or not re.search(_SURROGATE, value)
        return value if is_fit else visible(value, lines=True)
    if isinstance(value, dict):
        return {writable(key): writable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [writable(inner) for inner in value]
    return value


def escaped_json(text: str) -> str:
    r"""The same values as JSON text with every character that steers a terminal as its `\u` escape."""
    if text.isascii() and "\x7f" not in text:
        return text
    return re.sub(_HIDDEN_IN_JSON, lambda found: f"\\u{ord(found[0]):04x}", text)
