"""Checks the versions of this program's libraries: the one check without settings."""

from __future__ import annotations

import platform
import re
from contextlib import suppress
from importlib import metadata
from typing import Any

from bulkpull._version import __version__
from bulkpull.checks.result import CheckResult, fine, problem
from bulkpull.extras import library_command

_REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)>=([\d.]+)$")


def check_versions() -> CheckResult:
    versions: dict[str, Any] = {"python": platform.python_version(), "bulkpull": __version__}
    lacking: list[str] = []
    requirements: list[str] = []
    for name, minimum in required().items():
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
        if name in versions and release(versions[name]) >= release(minimum):
            continue
        state = f"{versions[name]} is older than {minimum}" if name in versions else "is not installed"
        lacking.append(f"{name} {state}")
        requirements.append(f"{name}>={minimum}")
    if lacking:
        fix = f"install what is lacking: `{library_command(requirements)}`"
        return problem("versions", ", ".join(lacking), fix=fix, **versions)
    message = f"bulkpull {__version__}, Python {versions['python']} on {platform.system()} {platform.machine()}, "
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("polars", "aiohttp", "pydantic"))
    return fine("versions", message + libraries, **versions)


def required() -> dict[str, str]:
    """The libraries that this installation needs, and the oldest version of each."""
    try:
        lines = metadata.requires("bulkpull") or []
    except metadata.PackageNotFoundError:  # run from a folder without being installed
        return {}
    found = (_REQUIREMENT.match(line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def release(version: str) -> tuple[int, ...]:
    """`2.1.0rc1` → `(2, 1, 0)`: the leading numbers, which is enough to compare with a lower bound (pure)."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in numbers[0].split(".")) if numbers else ()
