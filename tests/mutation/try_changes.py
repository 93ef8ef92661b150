"""
Apply the changes of `listed_changes.py`, one by one, to a copy of the package, and run the nearest tests against it.

    python tests/mutation/try_changes.py [WORD ...]     # only those whose story holds one of the words

Ends with 1 when a change goes unnoticed that should not. Takes minutes: it is no part of the suite.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from listed_changes import ALL, Change

ROOT = Path(__file__).parents[2]
# A change may let a program turn for ever; that is noticed as well.
_LIMIT_S = 600.0


def place_of(change: Change, package: Path) -> Path:
    """
    The one file that holds the text of a change.

    Raises:
        ValueError: None or several do, or one does so more than once.
    """
    found = [path for path in sorted(package.rglob("*.py")) for _ in range(path.read_text("utf-8").count(change.old))]
    if len(found) != 1:
        raise ValueError(f"{change.story}: its text stands in {len(found)} places")
    return found[0]


def is_noticed(change: Change) -> bool:
    """Whether the nearest tests fail under the change."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "bulkpull"
        shutil.copytree(ROOT / "bulkpull", copy, ignore=shutil.ignore_patterns("__pycache__"))
        path = place_of(change, copy)
        path.write_text(path.read_text("utf-8").replace(change.old, change.new), "utf-8")
        # The tests run where the copy lies, because Python looks there first.
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        tests = [str(ROOT / test) for test in change.tests]
        words = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", *tests]
        try:
            done = subprocess.run(  # noqa: S603 - our own tests
                words, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=_LIMIT_S
            )
        except subprocess.TimeoutExpired:
            return True
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{change.story}: the tests could not be run\n{done.stdout}{done.stderr}")
    return done.returncode == 1


def main() -> int:
    """Try the changes, and tell of each whether it was noticed."""
    words = sys.argv[1:]
    chosen = [change for change in ALL if not words or any(word in change.story for word in words)]
    missed = 0
    for change in chosen:
        noticed = is_noticed(change)
        missed += not noticed and not change.unnoticed
        verdict = "noticed" if noticed else f"NOT NOTICED{f' ({change.unnoticed})' if change.unnoticed else ''}"
        print(f"{verdict}: {change.story}", flush=True)  # noqa: T201 - a command
    print(f"{len(chosen)} changes, {missed} of them unnoticed that should not be")  # noqa: T201
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
