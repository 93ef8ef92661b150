"""CONTRIBUTING.md names what is there, and the tree in it is the whole tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FOLDERS = ("bulkpull", "tests", "docs", "benchmarks", "config", "release")
PATHS = sorted(set(re.findall(rf"\b(?:{'|'.join(FOLDERS)})/[\w./-]*[\w/](?![\w<])", GUIDE)))


@pytest.mark.parametrize("path", PATHS)
def test_every_path_that_the_guide_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_modules_of_the_drawing_exist() -> None:
    drawing = GUIDE.split("## How data flows")[1].split("```")[1]

    assert re.findall(r"^ +(\w+\.py) ", drawing, re.MULTILINE) == [
        "submit.py", "poll.py", "download.py", "convert.py", "publish.py",
    ]  # fmt: skip
    for name in re.findall(r"\b[\w/]+\.py\b", drawing):
        assert (ROOT / "bulkpull" / name).exists() or list((ROOT / "bulkpull" / "pipeline").rglob(name)), name


def test_the_tree_lists_every_folder_of_the_package() -> None:
    packages = {f"bulkpull/{path.parent.relative_to(ROOT / 'bulkpull')}/" for path in _inits()} - {"bulkpull/./"}
    listed = set(re.findall(r"^\| `(bulkpull/[\w/]+)` ", GUIDE, re.MULTILINE))

    assert packages - listed <= {"bulkpull/observability/telemetry/"}
    assert listed <= packages


def _inits() -> list[Path]:
    return list((ROOT / "bulkpull").rglob("__init__.py"))
