"""Errors that leave the Python API name its arguments and settings, in place of a command's options."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import pytest
from source_code import nodes

import bulkpull
from bulkpull.api_wording import in_python_words, python_words

PACKAGE = Path(bulkpull.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z]")
ARGUMENTS = {
    *(name for function in (bulkpull.export, bulkpull.nightly) for name in inspect.signature(function).parameters),
    *bulkpull.Settings.model_fields,
    *bulkpull.Selection.model_fields,
    *inspect.signature(bulkpull.Settings.load).parameters,
}


# What no error says: a note of the manifest, which names a command.
OF_COMMANDS = ("`bulkpull reports delete --unused` shows",)
OF_A_TERMINAL = re.compile(rf"{OPTION.pattern}|command again|(?<!own )\boptions?\b|the command line|this command")


def whole_text(node: ast.AST) -> str | None:
    """The words of a string, with a sign where a value stands."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join((whole_text(part) or "") if isinstance(part, ast.Constant) else "…" for part in node.values)
    return None


@cache
def messages() -> list[str]:
    """All that is written for people outside of the command line: strings of several words that are no docstrings."""
    found: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in ("cli", "simulator"):
            continue
        tree = list(nodes(path, holding=OF_A_TERMINAL.pattern))
        skipped = {id(node.value) for node in tree if isinstance(node, ast.Expr)}
        skipped |= {id(part) for node in tree if isinstance(node, ast.JoinedStr) for part in node.values}
        texts = (whole_text(node) for node in tree if id(node) not in skipped)
        found += [text for text in texts if text and " " in text.strip()]
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
        ("because `--since` and --until take its place", "because `since` and `until` take its place"),
        ("a wider one: `--timespan widest`", 'a wider one: `timespan="widest"`'),
        ("by its name: --timespan LAST_MONTH", 'by its name: `timespan="LAST_MONTH"`'),
        ("`--as NAME` publishes it, --all brings more", '`name="NAME"` publishes it, `everything` brings more'),
        ("wait, then run the same command again", "wait, then make the same call again"),
        ("set BULKPULL_GRANT; `bulkpull export --demo` needs none", "set BULKPULL_GRANT"),
    ],
)
def test_options_become_arguments_and_commands_stay(text: str, words: str) -> None:
    assert in_python_words(text) == words


def test_no_message_names_options_or_a_command_that_was_run() -> None:
    found = [text for text in messages() if not any(words in text for words in OF_COMMANDS)]
    assert len(found) > 200
    assert sum(bool(OF_A_TERMINAL.search(text)) for text in found) > 50

    assert [text for text in found if OF_A_TERMINAL.search(in_python_words(text))] == []


def test_every_option_that_a_message_names_has_an_argument_or_a_setting() -> None:
    options = {option for text in messages() for option in re.findall(r"(?<![\w-])--([a-z][a-z-]*)", text)}
    for text in OF_COMMANDS:
        options -= set(re.findall(r"--([a-z][a-z-]*)", text))
    # Left out: those of the commands that `api_wording` replaces as a whole.
    arguments = {
        in_python_words(f"--{option}").strip("`") for option in options - {"demo", "system", "log-level", "yes"}
    }

    assert len(arguments) > 5
    assert arguments <= ARGUMENTS


def test_all_parts_of_an_error_are_reworded_and_its_kind_stays() -> None:
    with pytest.raises(bulkpull.DiskTrouble) as raised, python_words():
        raise bulkpull.DiskTrouble("no room for --output", why="--keep-raw is on", fix="give another --output")

    assert str(raised.value) == "no room for `output`: `keep_raw` is on; give another `output`"


def test_the_lines_of_several_faults_are_reworded_too() -> None:
    lines = ["`since`: --since is later than --until", "two", "three"]
    with pytest.raises(bulkpull.SettingsError) as raised, python_words():
        raise bulkpull.SettingsError("3 things are wrong", why="; ".join(lines), why_lines=lines, short_fix="see --all")

    assert raised.value.why_lines[0] == "`since`: `since` is later than `until`"
    assert raised.value.short_fix == "see `everything`"
    assert not OPTION.search(str(raised.value))
