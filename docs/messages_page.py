"""
Makes the page of messages from the code while the site is built: every error by the words that it prints.

mkdocs calls `on_files`; the page stands in no file of the repository, so it is never out of date.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
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


def messages_page() -> str:
    """The page, by kind of error in the order of their names."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for path in sorted(PACKAGE.rglob("*.py")):
        if "simulator" not in path.parts:
            for kind, what, fix in messages(ast.parse(path.read_text(encoding="utf-8"))):
                found[kind].add((what, fix))
    return HEAD + "".join(_section(kind, sorted(entries)) for kind, entries in sorted(found.items()))


def messages(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """The errors that a module makes: the kind, what it says happened, and the next step or nothing."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        kind = node.func.id if isinstance(node.func, ast.Name) else ""
        what = _text(node.args[0])
        if kind == "WrongSetting" and len(node.args) > 1:  # a part of a SettingsError: where, and what is wrong
            kind, what = "SettingsError", f"{_GAP}: {_text(node.args[1])}"
        if kind in kinds() and sum(letter.isalpha() for letter in what) >= _FEWEST_LETTERS:
            fixes = [_text(keyword.value) for keyword in node.keywords if keyword.arg == "fix"]
            yield kind, what, fixes[0] if fixes else ""


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
