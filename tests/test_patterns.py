"""No text keeps the program busy: every pattern of the package stays linear on a megabyte of what suits it worst."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]  # the only reader of patterns that there is
from typing import Any

import pytest
from support import THOROUGH

import bulkpull
from bulkpull.auth.token_errors import first_sentence
from bulkpull.redact import STARS, redact

# With the limits on time below both find a quadratic pattern equally well.
SIZE, LIMIT_S = (1_000_000, 900) if THOROUGH else (500_000, 60)
MANY = 64
"""A repetition that may go on longer than this can make a search quadratic."""
# Texts that no other side can send: an option typed by the user, the package's own list of libraries, and names of
# folders, of which no file system has any longer than 255 bytes.
OWN_TEXTS = {"bulkpull.cli.options", "bulkpull.checks.versions", "bulkpull.output.cleanup"}
_ANYWHERE = r"\b{name}\.(search|sub|subn|finditer|findall|split)\("


def held(value: object) -> Iterator[re.Pattern[Any]]:
    """The patterns in a value of a module, within tuples and mappings too."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from held(tuple(value.values()))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from held(inner)


def inline(source: str) -> Iterator[tuple[re.Pattern[Any], bool]]:
    """The patterns that are written where they are used, as in `re.search("…", text)`."""
    if not re.search(r"\bre\s*\.", source):
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            of, pattern = node.func.value, node.args[0]
            if isinstance(of, ast.Name) and of.id == "re" and isinstance(pattern, ast.Constant):
                yield re.compile(pattern.value), node.func.attr not in ("match", "fullmatch", "compile")


def patterns() -> Iterator[tuple[str, re.Pattern[Any], bool]]:
    """Name, pattern, and whether its module looks for it anywhere in a text, not at its beginning only."""
    seen: set[object] = set()
    for module in pkgutil.walk_packages(bulkpull.__path__, "bulkpull."):
        if module.name.endswith("__main__") or ".simulator" in module.name or module.name in OWN_TEXTS:
            continue
        imported = importlib.import_module(module.name)
        source = Path(str(imported.__file__)).read_text(encoding="utf-8")
        found = [(f"{module.name}:{number}", *item) for number, item in enumerate(inline(source))]
        for name, value in vars(imported).items():
            searches = not isinstance(value, re.Pattern) or re.search(_ANYWHERE.format(name=name), source) is not None
            found += [(f"{module.name}.{name}", pattern, searches) for pattern in held(value)]
        for name, pattern, searches in found:
            if (pattern.pattern, pattern.flags) not in seen:
                seen.add((pattern.pattern, pattern.flags))
                yield name, pattern, searches


class Sampler:
    """
    Texts that a pattern matches, read off its own parse tree.

    Attributes:
        pumps: What stands in front of every repetition without a near end, and one round of it.
    """

    def __init__(self) -> None:
        self.pumps: list[tuple[str, str]] = []

    def sample(self, tree: Any, before: str = "") -> str:
        """A short text that fits `tree`, noting the pumps on the way."""
        text = ""
        for kind, value in tree:
            text += self._one(str(kind), value, before + text)
        return text

    def _one(self, kind: str, value: Any, before: str) -> str:
        text = ""  # of what has no width: edges, looks ahead and behind, references to groups
        match kind:
            case "LITERAL":
                text = chr(value)
            case "NOT_LITERAL":
                text = "a" if value != ord("a") else "b"
            case "ANY":
                text = "a"
            case "IN":
                text = self._member(value)
            case "SUBPATTERN":
                text = self.sample(value[3], before)
            case "ATOMIC_GROUP":
                text = self.sample(value, before)
            case "BRANCH":
                text, *_ = (self.sample(branch, before) for branch in value[1])
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, body = value
                once = self.sample(body, before)
                if high > MANY:
                    self.pumps.append((before, once))
                text = once * max(low, 1)
        return text

    @staticmethod
    def _member(members: Any) -> str:
        kinds = {str(kind): value for kind, value in members}
        if "NEGATE" in kinds or "CATEGORY" in kinds:
            # Of a class that is told by what it is not, or by its kind, a letter that fits is tried for.
            class_of = re.compile("".join(("[", *map(_spelled, members), "]")))
            return next(letter for letter in "a1 -.\x01" if class_of.match(letter))
        return chr(kinds["LITERAL"] if "LITERAL" in kinds else kinds["RANGE"][0])


def _spelled(member: Any) -> str:
    kind, value = str(member[0]), member[1]
    if kind == "CATEGORY":
        category = str(value).removeprefix("CATEGORY_")
        letter = category.removeprefix("NOT_")[0]
        return "\\" + (letter.upper() if category.startswith("NOT_") else letter.lower())
    match kind:
        case "NEGATE":
            return "^"
        case "RANGE":
            return f"\\x{value[0]:02x}-\\x{value[1]:02x}" if value[1] <= 0xFF else ""
        case _:
            return re.escape(chr(value))


def worst_of(pattern: re.Pattern[Any]) -> set[str]:
    """
    A megabyte each of what the pattern could go astray in.

    Beginnings of a match over and over, each of which could be looked after to the end of the text; and each of its
    repetitions over and over, with an end that does not fit.
    """
    sampler = Sampler()
    given = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    whole = sampler.sample(_parser.parse(given, pattern.flags & ~re.UNICODE))
    units = {whole, whole[:-1], whole[: len(whole) // 2], "a", " "}
    texts = set()
    for before, once in sampler.pumps:
        units |= {before, before + once}
        texts.add(before + once * (SIZE // len(once)) + "\x01" if once else "")
    for unit in units - {""}:
        for between in ("", " "):
            piece = unit + between
            texts.add(piece * (SIZE // len(piece)) + "\x01")
    return texts - {""}


@pytest.mark.case("C14")
@pytest.mark.timeout(LIMIT_S)  # a linear pattern takes a second, on a busy machine several
@pytest.mark.parametrize(
    ("pattern", "searches"), [pytest.param(item, searches, id=name) for name, item, searches in patterns()]
)
def test_a_megabyte_of_its_worst_is_soon_done_with(pattern: re.Pattern[Any], searches: bool) -> None:
    """A quadratic pattern would take hours; the limit on every test ends it."""
    for text in worst_of(pattern):
        given = text if isinstance(pattern.pattern, str) else text.encode("latin-1")
        if searches:
            for _ in pattern.finditer(given):
                pass
        else:
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
