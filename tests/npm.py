"""
Programs of others that tests look through: installed from npm below `.build/`, once per checkout.

Nothing global, nothing in git. Without Node and npm, or without a registry to install from, the tests that need them
are skipped with the reason; with `CI=true` and Node at hand a failed installation fails them instead.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

BUILD = Path(__file__).parents[1] / ".build"
INSTALL_S = 240.0


def installed(
    packages: Sequence[str],
    *,
    into: Path,
    main: Path,
    name: str,
    environment: Mapping[str, str] = os.environ,
    within_s: float = INSTALL_S,
) -> str:
    """
    Node's path, with `packages` (`name@range`) installed below `into`; test processes take turns.

    Args:
        main: A file within `into` that is there when all is well.
        name: What skipped tests call it.
    """
    path = environment.get("PATH")
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        pytest.skip(f"{name} needs Node and npm, which are not on the PATH")
    # The ranges are in the note's name, so that others are installed anew.
    note = into / f"installed-{re.sub(r'[^0-9.]+', '-', ' '.join(packages)).strip('-')}"
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{into}.lock", timeout=within_s + 30.0):
            if not (note.exists() and (into / main).exists()):
                _install(npm, packages, into, environment=environment, within_s=within_s)
                note.touch()
    except (_NotInstalled, Timeout) as error:
        reason = f"{' and '.join(packages)} could not be installed: {error}"
        if environment.get("CI", "").casefold() in ("true", "1"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return node


class _NotInstalled(Exception):
    """npm gave up, or took too long."""


def _install(
    npm: str, packages: Sequence[str], folder: Path, *, environment: Mapping[str, str], within_s: float
) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # half an installation helps nobody
    folder.mkdir(parents=True)
    quiet = ("--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts")
    # What npm has fetched before is not asked for again: a registry's bad minute is not ours.
    options = (*quiet, "--prefer-offline", "--fetch-retries=2")
    command = [npm, "install", *options, "--prefix", str(folder), *packages]
    try:
        done = subprocess.run(  # noqa: S603 - npm, by its path
            command, env=environment, capture_output=True, text=True, timeout=within_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise _NotInstalled(f"npm was not done after {within_s:.0f} s") from None
    if done.returncode:
        reported = [
            line.removeprefix("npm error ") for line in done.stderr.splitlines() if line.startswith("npm error")
        ]
        raise _NotInstalled("; ".join(reported[:4]) or f"npm ended with {done.returncode}")
