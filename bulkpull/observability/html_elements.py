"""
HTML elements whose texts and attributes are escaped (pure).

What steers a terminal or could be a secret is taken out of every text before.
"""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup, escape

from bulkpull.redact import plain

# Where a name such as `AzureUsage` may be broken.
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def element(tag: str, *content: Any, **attributes: Any) -> Markup:
    """
    An element with its content: HTML as it is, everything else as text.

    Args:
        attributes: `class_` stands for `class`, `aria_label` for `aria-label`; those that are `None` are left out.
    """
    inner = "".join(map(_text, content))
    return Markup(f"<{tag}{_attributes(attributes)}>{inner}</{tag}>")  # noqa: S704 - every part is escaped


def void_element(tag: str, **attributes: Any) -> Markup:
    """An element that has no content and no end."""
    return Markup(f"<{tag}{_attributes(attributes)}>")  # noqa: S704 - every part is escaped


def shape(tag: str, **attributes: Any) -> Markup:
    """An element of an SVG that has no content."""
    return Markup(f"<{tag}{_attributes(attributes)}/>")  # noqa: S704 - every part is escaped


def _attributes(attributes: dict[str, Any]) -> str:
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_text(value)}"'
        for name, value in attributes.items()
        if value is not None
    )


def _text(value: Any) -> Markup:
    return value if isinstance(value, Markup) else escape(plain(str(value)))


def prose(text: str) -> Markup:
    """A sentence as HTML, in which what stands between backticks is code."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # one backtick has no partner
        return _text(text)
    return Markup("").join(
        element("code", piece) if number % 2 else _text(piece) for number, piece in enumerate(pieces)
    )


def breakable(name: str) -> Markup:
    """A dataset's name as HTML, which may be broken between its words where the page is narrow."""
    return Markup("<wbr>").join(map(_text, _HUMP.split(name)))
