"""Imports point one way: the table below is the architecture, and this keeps it true."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "bulkpull"
GROUND = {
    "_version", "address", "catalog", "child_environment", "child_process", "clock", "days", "errors", "events",
    "figures", "foreign_text", "identity", "metrics", "model", "platforms", "query", "question", "redact",
    "secret_forms", "secret_sources", "selection",
    "setting_kinds", "settings", "settings_file", "timespans",
}  # fmt: skip
MAY_IMPORT = {
    "ground": GROUND,
    "transport": GROUND | {"transport"},
    "records": GROUND | {"records"},
    "tabular": GROUND | {"tabular"},
    "tokencache": GROUND | {"records", "tokencache"},
    "reporting": GROUND | {"transport", "tokencache", "reporting"},
    "transfer": GROUND | {"transport", "records", "transfer"},
    "account": GROUND | {"transport", "records", "account"},
    "journey": GROUND | {"account", "transport", "transfer", "records", "tabular", "reporting", "journey", "views"},
    "checks": GROUND | {"transport", "records", "tokencache", "reporting", "checks"},
    "runner": GROUND | {"records", "reporting", "journey"},
    "reading": GROUND | {"records", "journey"},
    "views": GROUND | {"records"},
    "sql": GROUND | {"records", "reading", "views"},
    "api": GROUND | {"records", "reporting", "journey"},  # for types only: it loads the three above when called
    "sync": {"api"},
    "simulator": {"simulator"},  # a shared helper would hide a shared mistake
}
PURE = (
    *(file.relative_to(PACKAGE).as_posix() for file in sorted((PACKAGE / "query").glob("*.py"))),
    "reporting/wire.py",
    "journey/plan.py",
    "days.py",
    "metrics.py",
    "secret_forms.py",
    "timespans.py",
    "views.py",
    "journey/quota.py",
    "journey/verdict.py",
)
NO_INPUT_OR_OUTPUT = {"aiohttp", "socket", "os", "sqlite3", "transport"}


def imported_names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def part_of(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "ground" if first in GROUND else first


FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if part_of(file) in MAY_IMPORT]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_part_imports_only_what_stands_below_it(file: Path) -> None:
    ours = {name.split(".")[1] for name in imported_names(file) if name.startswith("bulkpull.")}

    assert ours <= MAY_IMPORT[part_of(file)]


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_cannot_reach_the_world(name: str) -> None:
    reached = {part for each in imported_names(PACKAGE / name) for part in each.split(".")[:2]}

    assert not reached & NO_INPUT_OR_OUTPUT


@pytest.mark.parametrize("file", [f for f in sorted(PACKAGE.rglob("*.py")) if "simulator" not in f.parts])
def test_only_one_module_knows_the_http_library(file: Path) -> None:
    if "aiohttp" in set(imported_names(file)):
        assert file.relative_to(PACKAGE).as_posix() == "transport/http.py"
