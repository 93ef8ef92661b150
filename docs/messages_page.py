"""
Makes the page of messages from the code while the site is built: every error by the words that it prints.

mkdocs calls `on_files`; the page stands in no file of the repository, so it is never out of date.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "bulkpull"
NAME = "messages.md"
HEAD = """\
# Messages

Every error by the words that it prints, with its next step where it has one of its own; … stands for names, numbers and
paths. The [errors](errors.md) of each kind have a cause and a remedy in common.
"""
_FEWEST_LETTERS = 12
_GAP = "…"
Message = tuple[str, str, str]


def messages_page() -> str:
    """The page, by kind of error in the order of their names."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for path in sorted(PACKAGE.rglob("*.py")):
        if "simulator" not in path.parts:
            for kind, what, fix in messages(ast.parse(path.read_text(encoding="utf-8"))):
                found[kind].add((what, fix))
    return HEAD + "".join(_section(kind, sorted(entries)) for kind, entries in sorted(found.items()))


def messages(tree: ast.AST, *, named: Mapping[str, Sequence[str]] = MappingProxyType({})) -> Iterator[Message]:
    """
    The errors that a module makes: the kind, what it says happened, and the next step or nothing.

    A next step may have a name: it is one of the texts, in `named`, that the function or the module gives that name.
    """
    named = {**named, **_named_texts(tree)}
    for node in _own_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from messages(node, named=named)
        if not isinstance(node, ast.Call) or not node.args:
            continue
        kind = node.func.id if isinstance(node.func, ast.Name) else ""
        what = _text(node.args[0])
        if kind == "WrongSetting" and len(node.args) > 1:  # a part of a SettingsError: where, and what is wrong
            kind, what = "SettingsError", f"{_GAP}: {_text(node.args[1])}"
        if kind in kinds() and sum(letter.isalpha() for letter in what) >= _FEWEST_LETTERS:
            given = next((keyword.value for keyword in node.keywords if keyword.arg == "fix"), ast.Constant(""))
            fixes = named.get(given.id, [""]) if isinstance(given, ast.Name) else [_text(given)]
            yield from ((kind, what, fix) for fix in fixes)


def _own_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module or a function without those of the functions inside it, which are nodes themselves."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _own_nodes(node)


def _named_texts(tree: ast.AST) -> dict[str, list[str]]:
    """By name, the texts that a module or a function gives it."""
    texts: dict[str, list[str]] = defaultdict(list)
    for node in _own_nodes(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs: Iterable[tuple[ast.expr, ast.expr]] = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = zip(target.elts, node.value.elts, strict=False)
                for name, value in pairs:
                    if isinstance(name, ast.Name) and (text := _text(value)) != _GAP:
                        texts[name.id].append(text)
    return texts


@cache
def kinds() -> frozenset[str]:
    """The names of all public errors."""
    tree = ast.parse((PACKAGE / "errors.py").read_text(encoding="utf-8"))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return frozenset(name for name, node in classes.items() if node.bases and not name.startswith("_")) - {"Step"}


def _text(node: ast.expr) -> str:
    """The words of a string expression, with a sign where a value stands."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        text = "".join(_text(part) if isinstance(part, ast.Constant) else _GAP for part in node.values)
        return re.sub(rf"{_GAP}(\s*{_GAP})+", _GAP, text)
    return _GAP


def _section(kind: str, entries: list[tuple[str, str]]) -> str:
    lines = [f"- **{_plain(what)}**" + (f": {_plain(fix)}" if fix.strip(_GAP + " ") else "") for what, fix in entries]
    # The base class has no section of its own there.
    about = "" if kind == "BulkpullError" else f"[Cause, remedy and exit status](errors.md#{kind.lower()})\n\n"
    return f"\n## {kind}\n\n{about}" + "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text as Markdown that shows it as it is; what stands between backticks stays code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part[:1] == "`" else re.sub(r"([\\*_<\[\]#|])", r"\\\1", part) for part in parts)


def on_files(files: Any, config: Any) -> Any:
    """Add the page to the site; mkdocs calls this before it reads any page."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - installed where the site is built

    files.append(File.generated(config, NAME, content=messages_page()))
    return files
