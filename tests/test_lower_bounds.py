"""The oldest version of each library that may be installed is one without faults that are known (case C42)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
KNOWN_FAULTS = {
    "aiohttp": ("3.14.0", "oversized lines in its C parser"),
    "cryptography": ("46.0.5", "CVE-2026-34073, name constraints and wildcards"),
    "filelock": ("3.99", "a lock cannot insist on one that dies with its process"),
    "pyjwt": ("2.11.0", "CVE-2026-32597, critical header parameters are not checked"),
}
"""Library → its last version with the fault, and the fault."""


def requirements() -> Iterator[Requirement]:
    reported = tomllib.loads(PROJECT.read_text("utf-8"))
    extras = reported["project"].get("optional-dependencies", {}).values()
    for group in (reported["project"]["dependencies"], *extras, *reported["dependency-groups"].values()):
        yield from (Requirement(item) for item in group if isinstance(item, str))


@pytest.mark.case("C42")
@pytest.mark.parametrize("name", KNOWN_FAULTS)
def test_no_version_with_a_known_fault_satisfies_what_we_ask_for(name: str) -> None:
    last, fault = KNOWN_FAULTS[name]
    asked = [requirement for requirement in requirements() if requirement.name == name]

    assert asked
    for item in asked:
        assert not item.specifier.contains(Version(last)), f"{item} admits {last}: {fault}"
