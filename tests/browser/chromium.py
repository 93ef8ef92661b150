"""
A headless Chromium that opens pages as readers do, with axe-core to judge them.

Chromium comes from the system (Debian's `chromium`), what drives it from npm, below `.build/browser`. Where one of them
is absent, the tests are skipped with the reason.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import npm
import pytest

# 24 is the last line that runs on Node 20.
PACKAGES = ("puppeteer-core@~24.43.0", "axe-core@~4.14.0")
FOLDER = npm.BUILD / "browser"
_AXE = Path("node_modules/axe-core/axe.min.js")
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SCRIPT = Path(__file__).with_name("look.mjs")
_LOOKING_S = 100.0


@dataclass(frozen=True, slots=True)
class View:
    """A page at a width (CSS pixels), in the light or in the dark; the picture is written to `picture`."""

    page: str
    width: int
    dark: bool
    picture: str


def look(views: Sequence[View]) -> list[dict[str, Any]]:
    """What is to be said of each view: `requests`, `said`, `overflow` (pixels), `violations`, `title`."""
    chromium = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if chromium is None:
        pytest.skip(f"no Chromium on the PATH (looked for {', '.join(_NAMES)})")
    node = npm.installed(PACKAGES, into=FOLDER, main=_AXE, name="looking at pages in Chromium")
    # Node looks for packages beside the script.
    script = shutil.copy(_SCRIPT, FOLDER)
    reported = {"chromium": chromium, "axe": str(FOLDER / _AXE), "views": [asdict(view) for view in views]}
    done = subprocess.run(  # noqa: S603 - our own script
        [node, script], input=json.dumps(reported), capture_output=True, text=True, timeout=_LOOKING_S, check=False
    )
    assert done.returncode == 0, done.stderr
    seen: list[dict[str, Any]] = json.loads(done.stdout)
    return seen
