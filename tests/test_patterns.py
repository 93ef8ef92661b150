"""No text keeps the program busy: every pattern of the package stays linear on a megabyte of what suits it worst."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest

import bulkpull
from bulkpull.redact import STARS, redact
from bulkpull.reporting.refusals import first_sentence

SIZE = 1_000_000
# Texts that no other side can send: an option typed by the user, the package's own list of libraries.
OWN_TEXTS = {"bulkpull.cli.spans", "bulkpull.checks.machine"}


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    seen: set[object] = set()
    for module in pkgutil.walk_packages(bulkpull.__path__, "bulkpull."):
        if module.name.endswith("__main__") or ".simulator" in module.name or module.name in OWN_TEXTS:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern) and (value.pattern, value.flags) not in seen:
                seen.add((value.pattern, value.flags))
                yield f"{module.name}.{name}", value


def worst_of(pattern: re.Pattern[Any]) -> Iterator[str]:
    """Repetitions of what the pattern names, and of what its classes hold."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    for part in [*sorted(set(re.findall(r"[A-Za-z]{2,}", text)))[:2], "a", " "]:
        yield part * (SIZE // len(part))


@pytest.mark.case("C14")
@pytest.mark.parametrize("pattern", [pytest.param(each, id=name) for name, each in patterns()])
def test_a_megabyte_of_its_worst_is_soon_done_with(pattern: re.Pattern[Any]) -> None:
    """A quadratic pattern would take hours; the limit on every test ends it."""
    for text in worst_of(pattern):
        given = text if isinstance(pattern.pattern, str) else text.encode()
        for _ in pattern.finditer(given):
            pass


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
