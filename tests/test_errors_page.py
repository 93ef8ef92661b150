"""The page of errors is the code's own account, and every error has a cause and a remedy to tell."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

import bulkpull
from bulkpull.cli.error_output import Interrupted
from bulkpull.errors import BulkpullError

DOCS = Path(__file__).parent.parent / "docs"
MAKER = runpy.run_path(str(DOCS / "errors_page.py"))
DOCUMENTED: list[type[BulkpullError]] = MAKER["documented"]()


def kinds(base: type[BulkpullError] = BulkpullError) -> Iterator[type[BulkpullError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_the_page_is_what_the_code_says() -> None:
    page = (DOCS / "errors.md").read_text(encoding="utf-8")

    assert page == MAKER["errors_page"](), "run `python docs/errors_page.py`"


@pytest.mark.parametrize("kind", DOCUMENTED, ids=lambda kind: kind.__name__)
def test_every_error_has_words_a_cause_and_a_remedy_of_its_own(kind: type[BulkpullError]) -> None:
    assert kind.__doc__
    for words in (vars(kind)["cause"], vars(kind)["remedy"]):
        assert len(words) > 20
        assert not words.endswith(".")
    assert kind.exit_code in (1, 2, 4, 5)


def test_an_error_that_is_not_on_the_page_is_a_kind_of_one_that_is() -> None:
    for module in pkgutil.walk_packages(bulkpull.__path__, "bulkpull."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = {kind for kind in kinds() if kind.__module__.startswith("bulkpull.") and not kind.__name__.startswith("_")}

    assert set(DOCUMENTED) <= ours
    for kind in ours - set(DOCUMENTED) - {Interrupted}:  # what a person wished needs no explanation
        assert any(base in DOCUMENTED for base in kind.__mro__), f"{kind} is not in bulkpull/errors.py"


def test_an_error_without_a_step_of_its_own_tells_that_of_its_kind() -> None:
    for kind in DOCUMENTED:
        if "__init__" not in vars(kind):
            error = kind("it broke", why="a reason")
            assert str(error) == f"it broke: a reason; {kind.remedy}"
            assert error.message == "it broke: a reason"


MESSAGES = runpy.run_path(str(DOCS / "messages_page.py"))


def test_messages_are_found_by_their_words_with_the_next_step_of_their_own() -> None:
    page: str = MESSAGES["messages_page"]()

    assert "- **the output folder … cannot be used**: set `output` to a folder\n" in page
    assert "- **…: unknown setting `…`**\n" in page
    assert page.count("\n- **") > 200
    for kind in re.findall(r"^## (\w+)$", page, flags=re.MULTILINE):
        assert kind == "BulkpullError" or f"\n## {kind}\n" in (DOCS / "errors.md").read_text(encoding="utf-8")


def test_a_next_step_that_has_a_name_is_found_in_its_function_or_module() -> None:
    source = ast.parse(
        "_WAIT = 'wait for it'\n"
        "def check(a):\n"
        "    why, fix = a, 'mend it'\n"
        "    if a:\n"
        "        fix = f'mend {a}'\n"
        "    raise DiskTrouble('the disk is broken', why=why, fix=fix)\n"
        "def look(fix):\n"
        "    raise DiskTrouble('the disk is away', fix=_WAIT)\n"
        "    raise DiskTrouble('the disk is gone', fix=fix)\n"
    )

    assert list(MESSAGES["messages"](source)) == [
        ("DiskTrouble", "the disk is broken", "mend it"),
        ("DiskTrouble", "the disk is broken", "mend …"),
        ("DiskTrouble", "the disk is away", "wait for it"),
        ("DiskTrouble", "the disk is gone", ""),
    ]


def test_what_is_no_message_is_not_taken_for_one() -> None:
    source = ast.parse(
        "SettingsError(text)\nSettingsError(f'{a} {b}')\nprint('some words for people')\nStep('plan the pull')"
    )

    assert list(MESSAGES["messages"](source)) == []


def test_signs_of_markdown_in_a_message_are_shown_as_they_are() -> None:
    assert MESSAGES["_plain"]("a_b <c> `d_e` [f]") == r"a\_b \<c\> `d_e` \[f\]".replace(r"\>", ">")
