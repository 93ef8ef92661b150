"""The project's own source, for tests about all of it: each file is read once, and parsed only where it has to be."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
_MARKS = ("behaviour", "fault", "case")


@cache
def sources(*folders: str) -> tuple[Path, ...]:
    """The Python files of folders of the project, in order."""
    return tuple(sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")))


def files_of_tests() -> Iterator[Path]:
    """The files that hold tests."""
    return (file for file in sources("tests") if file.name.startswith("test_"))


@cache
def text_of(file: Path) -> str:
    """What stands in a file."""
    return file.read_text(encoding="utf-8")


def nodes(file: Path, *, holding: str) -> Iterator[ast.AST]:
    """
    The nodes of a file's syntax tree.

    Args:
        file: A file of the project.
        holding: A pattern that the text of every file of interest holds; a file without it has no nodes. Parsing takes
            far longer than searching.
    """
    if re.search(holding, text_of(file)):
        yield from ast.walk(ast.parse(text_of(file)))


@cache
def imports(file: Path) -> frozenset[str]:
    """The modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in nodes(file, holding="import"):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: imports are absolute, so that they can be read"
            found.add(node.module or "")
    return frozenset(found)


@cache
def _marks() -> tuple[tuple[Path, str, object], ...]:
    return tuple(
        (file, node.func.attr, argument.value)
        for file in files_of_tests()
        for node in nodes(file, holding=rf"\.\s*({'|'.join(_MARKS)})\b")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MARKS
        for argument in node.args
        if isinstance(argument, ast.Constant)
    )


def marks(name: str) -> Iterator[tuple[Path, object]]:
    """The arguments of every mark of that name (`behaviour`, `fault` or `case`), each with its test file."""
    return ((file, value) for file, mark, value in _marks() if mark == name)
