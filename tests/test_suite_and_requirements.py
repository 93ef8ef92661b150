"""What the requirements admit, and what the suite itself must not depend on."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator

import hypothesis
import pytest
from packaging.requirements import Requirement
from source_code import ROOT, files_of_tests, nodes, sources

from bulkpull.extras import EXTRAS

# Versions with known faults: oversized lines in aiohttp's parser, and advisories of the two others.
FAULTY = {"aiohttp": "3.14.0", "cryptography": "44.0.0", "pyjwt": "2.10.0"}
_CLOCKS = {"time", "monotonic", "perf_counter", "process_time"}


def requirements() -> Iterator[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lists = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    lists += project["dependency-groups"].values()
    for line in (line for item in lists for line in item if isinstance(line, str)):
        yield Requirement(line)


def test_the_command_that_installs_an_extra_names_what_the_project_requires() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = {extra: tuple(lines) for extra, lines in project["optional-dependencies"].items() if lines}

    assert required == EXTRAS


@pytest.mark.case("C42")
@pytest.mark.parametrize("name", FAULTY)
def test_no_version_with_a_known_fault_is_admitted(name: str) -> None:
    bounds = [requirement for requirement in requirements() if requirement.name.casefold() == name]

    assert bounds
    assert not [str(bound) for bound in bounds if bound.specifier.contains(FAULTY[name])]


@pytest.mark.case("C42")
def test_no_lock_falls_back_to_a_soft_one() -> None:
    """A soft lock outlives the process that held it."""
    locks = [
        node
        for file in sources("bulkpull")
        for node in nodes(file, holding="FileLock")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "FileLock"
    ]

    assert len(locks) >= 3
    for lock in locks:
        assert {"fallback_to_soft": False}.items() <= {
            word.arg: getattr(word.value, "value", None) for word in lock.keywords if word.arg
        }.items(), ast.unparse(lock)


@pytest.mark.case("C43")
def test_no_test_asserts_how_long_something_took() -> None:
    """A machine may be busy: limits only catch hangs, and times are virtual."""
    found = []
    for file in files_of_tests():
        for node in nodes(file, holding=rf"\btime\s*\.\s*({'|'.join(sorted(_CLOCKS))})\b"):
            if isinstance(node, ast.Assert):
                called = [item.func for item in ast.walk(node) if isinstance(item, ast.Call)]
                found += [
                    f"{file.name}:{node.lineno}"
                    for func in called
                    if isinstance(func, ast.Attribute)
                    and isinstance(func.value, ast.Name)
                    and func.value.id == "time"
                    and func.attr in _CLOCKS
                ]

    assert found == []


# A limit of less could be reached by a machine that is busy.
_SHORTEST_HANG_S = 60
_LIMITS = {"timeout", "delay"}
_LIMITED = {"run", "wait", "communicate", "wait_for", "fail_after", "get", "join", "check_output", "check_call"}


@pytest.mark.case("C43")
def test_a_limit_in_a_test_only_catches_hangs() -> None:
    """Where a test is about a limit, the limit is the program's, and time is virtual."""
    found = []
    for file in sources("tests"):
        for node in nodes(file, holding=r"\b(fail_after|timeout|delay)\b"):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            given = [word.value for word in node.keywords if word.arg in _LIMITS]
            given += node.args[:1] if name in ("fail_after", "timeout") else []
            short = [
                value
                for value in given
                if isinstance(value, ast.Constant)
                and isinstance(value.value, int | float)
                and 0 < value.value < _SHORTEST_HANG_S
            ]
            if short and name in _LIMITED | {"timeout"}:
                found.append(f"{file.name}:{node.lineno}")

    assert found == []


@pytest.mark.case("C43")
def test_no_example_of_a_property_has_a_deadline() -> None:
    assert hypothesis.settings().deadline is None
