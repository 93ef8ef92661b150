"""No text keeps the program busy: every pattern of the package stays linear on a megabyte of what suits it worst."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bulkpull
from bulkpull.redact import STARS, redact
from bulkpull.reporting.refusals import first_sentence

SIZE = 1_000_000
# Texts that no other side can send: an option typed by the user, the package's own list of libraries, and names of
# folders, of which no file system has any longer than 255 bytes.
OWN_TEXTS = {"bulkpull.cli.spans", "bulkpull.checks.machine", "bulkpull.journey.retire"}


def patterns() -> Iterator[tuple[str, re.Pattern[Any], bool]]:
    """Name, pattern, and whether its module looks for it anywhere in a text, not at its beginning only."""
    seen: set[object] = set()
    for module in pkgutil.walk_packages(bulkpull.__path__, "bulkpull."):
        if module.name.endswith("__main__") or ".simulator" in module.name or module.name in OWN_TEXTS:
            continue
        imported = importlib.import_module(module.name)
        source = Path(str(imported.__file__)).read_text(encoding="utf-8")
        for name, value in vars(imported).items():
            if isinstance(value, re.Pattern) and (value.pattern, value.flags) not in seen:
                seen.add((value.pattern, value.flags))
                searches = re.search(rf"\b{name}\.(search|sub|subn|finditer|findall|split)\(", source) is not None
                yield f"{module.name}.{name}", value, searches


def worst_of(pattern: re.Pattern[Any]) -> Iterator[str]:
    """Repetitions of what the pattern names, and of what its classes hold."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    for part in [*sorted(set(re.findall(r"[A-Za-z]{2,}", text)))[:2], "a", " "]:
        yield part * (SIZE // len(part))


@pytest.mark.case("C14")
@pytest.mark.parametrize(
    ("pattern", "searches"), [pytest.param(each, searches, id=name) for name, each, searches in patterns()]
)
def test_a_megabyte_of_its_worst_is_soon_done_with(pattern: re.Pattern[Any], searches: bool) -> None:
    """A quadratic pattern would take hours; the limit on every test ends it."""
    for text in worst_of(pattern):
        given = text if isinstance(pattern.pattern, str) else text.encode()
        if searches:
            for _ in pattern.finditer(given):
                pass
        pattern.match(given)
        pattern.fullmatch(given)


@pytest.mark.case("C14")
@pytest.mark.parametrize("part", ["eyJ", "eyJ.", "eyJa", "eyJaaaaaa.", "bearer ", "sig", 'sig" ', "x@", "aaaaaaaa"])
def test_a_megabyte_of_others_text_is_soon_redacted(part: str) -> None:
    text = part * (SIZE // len(part))

    redact(text)
    assert len(first_sentence(text)) <= 160


@pytest.mark.case("C14")
@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("token eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl end", f"token {STARS} end"),
        ("xeyJhbGciOi.eyJzdWIiOi", f"x{STARS}"),
        ("eyJ.eyJhbGciOi.eyJzdWIiOi", f"eyJ.{STARS}"),
        ("eyJhbGciOi and no more", "eyJhbGciOi and no more"),
        ("eyJab.cdefghijkl", "eyJab.cdefghijkl"),
        ("eyJabcdef.cd", "eyJabcdef.cd"),
    ],
)
def test_tokens_are_found_as_before(text: str, redacted: str) -> None:
    assert redact(text) == redacted
