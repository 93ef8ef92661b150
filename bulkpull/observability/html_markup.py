"""
HTML as values (pure): anything not marked as HTML is text, and text is always escaped.

So no text from the service can become an element.
"""

from __future__ import annotations

import re
from html import escape

from bulkpull.redact import plain


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | int | None
_VOID = frozenset({"meta", "link", "wbr", "rect", "line"})
# Where a name such as `AzureUsage` may be broken.
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def element(name: str, /, *content: Content, **attributes: Content | bool) -> Html:
    """
    An element with its content, one after the other; `None` is nothing.

    Args:
        attributes: `class_` is `class`, and other underscores are hyphens; `None` and `False` leave one out, and
            `True` is an attribute without a value.
    """
    attribute_text = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{attribute_text}/>" if name in ("rect", "line") else f"<{name}{attribute_text}>")
    return Html(f"<{name}{attribute_text}>{joined(*content)}</{name}>")


def joined(*content: Content) -> Html:
    """The pieces, one after the other, texts escaped."""
    return Html("".join(_text(piece) for piece in content if piece is not None))


def prose(text: str) -> Html:
    """A sentence, in which what stands between backticks is code."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # one backtick has no partner
        return joined(text)
    return joined(*(element("code", piece) if number % 2 else piece for number, piece in enumerate(pieces)))


def breakable(name: str) -> Html:
    """A dataset's name, which may be broken between its words where the page is narrow."""
    first, *others = _HUMP.split(name)
    return joined(first, *(piece for other in others for piece in (element("wbr"), other)))


def _text(piece: str | int) -> str:
    return piece if isinstance(piece, Html) else escape(plain(str(piece)))


def _attribute(key: str, value: Content | bool) -> str:  # noqa: FBT001 - an attribute that is there or not
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(plain(str(value)))}"'
