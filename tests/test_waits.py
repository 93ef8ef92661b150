"""Every wait of the program stands in one table, with its limit."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bulkpull"
MAKER = runpy.run_path(str(ROOT / "docs" / "waits_page.py"))
# Lets time pass, or ends a wait.
_WAITS = re.compile(r"\.sleep\(|move_on_after\(|fail_after\(|acquire\(timeout=|, timeout=BUSY_S")
# Not waits of a run: the clock itself, the child's heartbeat, and a person at a terminal.
_NO_WAITS = {"clock.py", "conversion/worker.py"}


def waiting_modules() -> set[str]:
    return {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if not {"simulator", "cli"} & set(file.relative_to(PACKAGE).parts)
        and _WAITS.search(file.read_text(encoding="utf-8"))
    } - _NO_WAITS


@pytest.mark.case("C9")
def test_every_module_that_waits_is_in_the_table() -> None:
    assert waiting_modules() <= {wait.module for wait in MAKER["WAITS"]}


@pytest.mark.case("C9")
def test_the_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "waits.md").read_text(encoding="utf-8") == MAKER["waits_page"](), (
        "run `python docs/waits_page.py`"
    )
