"""Names in the source: plain, and each with one meaning."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

import pytest
from source_code import ROOT, nodes, sources, text_of

FOLDERS = ("bulkpull", "tests", "benchmarks", "docs", "release")


def identifiers(tree: Iterable[ast.AST]) -> Iterator[str]:
    """Every name that the source gives or uses: variables, attributes, parameters, keywords, functions, imports."""
    for node in tree:
        for field in ("id", "attr", "arg", "name", "asname"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield name


def loop_variables(tree: Iterable[ast.AST]) -> Iterator[str]:
    """The names that `for` binds, in statements and in comprehensions."""
    for node in tree:
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            yield from (name.id for name in ast.walk(node.target) if isinstance(name, ast.Name))


def test_the_source_is_found_and_its_names_are_seen() -> None:
    tree = list(ast.walk(ast.parse("def f(told):\n    return [each.told for each in g(told=1)]\nimport a as told\n")))

    assert len(sources("bulkpull")) > 100
    assert list(identifiers(tree)).count("told") == 4
    assert list(loop_variables(tree)) == ["each"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_is_told_and_no_loop_variable_is_each(folder: str) -> None:
    for path in sources(folder):
        assert "told" not in identifiers(nodes(path, holding=r"\btold\b")), path
        assert "each" not in loop_variables(nodes(path, holding=r"\bfor\b[^:]*?\beach\b[^:]*?\bin\b")), path


def test_no_two_classes_have_the_same_name() -> None:
    found = defaultdict(list)
    for path in sources("bulkpull"):
        for name in re.findall(r"^ *class (\w+)[:(]", text_of(path), flags=re.MULTILINE):
            found[name].append(path.relative_to(ROOT).as_posix())

    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


MAY_SHARE_A_NAME = {
    "auth": "`cli/auth.py` is the command `bulkpull auth`",
    "simulator": "`simulator/simulator.py` is the class of which the package consists",
    "sql": "`cli/sql.py` is the command `bulkpull sql`, `sql.py` what `bulkpull.sql` promises to Python",
    "transfer": "`transfer/transfer.py` is the one function that others call",
    "windows": "the operating system in `platforms/`, the days of a report in `pipeline/`",
}
"""Modules and packages that have a name in common, and why; a name beside this says which side it is of."""


def test_no_two_modules_have_the_same_name() -> None:
    found = defaultdict(set)
    for path in sources("bulkpull"):
        module = path.parent if path.name == "__init__.py" else path.with_suffix("")
        found[module.name].add(module.relative_to(ROOT).as_posix())

    assert {name for name, paths in found.items() if len(paths) > 1} == set(MAY_SHARE_A_NAME)
