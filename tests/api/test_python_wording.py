"""Errors that leave the Python API name its arguments and settings, in place of a command's options."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
from source_code import nodes

import bulkpull
from bulkpull.python_wording import in_python_words, python_words

PACKAGE = Path(bulkpull.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z]")
ARGUMENTS = {
    *(name for function in (bulkpull.export, bulkpull.nightly) for name in inspect.signature(function).parameters),
    *bulkpull.Settings.model_fields,
    *bulkpull.Selection.model_fields,
    *inspect.signature(bulkpull.Settings.load).parameters,
}


def texts() -> list[str]:
    """What is written of options outside of the command line: the parts of errors that hold one."""
    found: list[str] = []
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] in ("cli", "simulator"):
            continue
        tree = list(nodes(path, holding="--"))
        docstrings = {id(node.value) for node in tree if isinstance(node, ast.Expr)}
        for node in tree:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                found += [node.value] if OPTION.search(node.value) else []
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("choose another folder with --output", "choose another folder with `output`"),
        ("look at the bytes with --keep-raw: they", "look at the bytes with `keep_raw`: they"),
        ("the start: --since 2026-01-01", 'the start: `since="2026-01-01"`'),
        ("`reports_per_dataset` (or --yes) allows more", "`reports_per_dataset` allows more"),
        ("run `bulkpull runs list --output data`", "run `bulkpull runs list --output data`"),
        ("another name by --as", "another name by `name`"),
        ("nothing -- at all", "nothing -- at all"),
    ],
)
def test_options_become_arguments_and_commands_stay(text: str, words: str) -> None:
    assert in_python_words(text) == words


def test_every_option_that_an_error_names_has_an_argument_or_a_setting() -> None:
    assert len(texts()) > 20
    for text in texts():
        words = re.sub(r"`bulkpull [^`]*`|`--[^`]*`|`python [^`]*`", "", in_python_words(text))
        assert not OPTION.search(words), text
        for option in re.findall(r"(?<![`\w-])--([a-z-]+)", text):
            argument = re.search(rf"`{option.replace('-', '_')}\b", words)
            assert argument is None or argument[0].strip("`") in ARGUMENTS, text


def test_all_parts_of_an_error_are_reworded_and_its_kind_stays() -> None:
    with pytest.raises(bulkpull.DiskTrouble) as raised, python_words():
        raise bulkpull.DiskTrouble("no room for --output", why="--keep-raw is on", fix="give another --output")

    assert str(raised.value) == "no room for `output`: `keep_raw` is on; give another `output`"
