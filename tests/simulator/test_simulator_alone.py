"""The simulator shares no code with the client: a shared helper would hide a shared mistake."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import bulkpull.simulator

HERE = Path(bulkpull.simulator.__file__).parent
FILES = sorted(HERE.rglob("*.py"))
ALLOWED = {"aiohttp", "anyio", "cryptography", "isal", "numpy", "polars"}


def imports_of(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute, so that they can be read"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HERE)))
def test_a_module_of_the_simulator_imports_nothing_of_ours(file: Path) -> None:
    names = imports_of(file)
    ours = {name for name in names if name.startswith("bulkpull") and not name.startswith("bulkpull.simulator")}
    foreign = {name.split(".")[0] for name in names} - {"bulkpull"} - set(sys.stdlib_module_names)

    assert ours == set()
    assert foreign <= ALLOWED
