"""The doctor's look at the machine: versions against the oldest that will do."""

from __future__ import annotations

from importlib import metadata

import pytest

from bulkpull.checks.result import CheckStatus, exit_code_of, fine, problem
from bulkpull.checks.versions import check_versions, release, required
from bulkpull.extras import library_command


def test_this_installation_is_fine_and_names_its_versions() -> None:
    finding = check_versions()

    assert finding.verdict is CheckStatus.OK
    assert {"python", "bulkpull", "polars", "aiohttp"} <= set(finding.facts)
    assert finding.facts["polars"] in finding.message


def test_every_library_that_the_package_asks_for_is_looked_at() -> None:
    assert {"polars", "aiohttp", "anyio", "pydantic", "pydantic-settings", "isal", "typer"} <= set(required())


@pytest.mark.parametrize(
    ("present", "expected"), [("1.9.3", "polars 1.9.3 is older than"), (None, "polars is not installed")]
)
def test_a_library_that_is_too_old_or_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, present: str | None, expected: str
) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name != "polars":
            return real(name)
        if present is None:
            raise metadata.PackageNotFoundError(name)
        return present

    monkeypatch.setattr(metadata, "version", version)
    finding = check_versions()

    assert finding.verdict is CheckStatus.TROUBLE
    assert expected in finding.message
    oldest = required()["polars"]
    assert finding.fix == f"install what is lacking: `{library_command([f'polars>={oldest}'])}`"
    assert " bulkpull" not in finding.fix, "no package index has it yet"


@pytest.mark.parametrize(
    ("version", "numbers"), [("2.1.0", (2, 1, 0)), ("2.10rc1", (2, 10)), ("1", (1,)), ("unknown", ())]
)
def test_versions_compare_by_their_leading_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert release(version) == numbers


@pytest.mark.parametrize(("codes", "worst"), [((), 0), ((1,), 1), ((1, 4), 4), ((4, 2, 1), 2), ((0, 5), 1)])
def test_the_worst_trouble_gives_the_exit_status(codes: tuple[int, ...], worst: int) -> None:
    found = [fine("a", "well"), *(problem("b", "ill", fix=None, exit_code=code) for code in codes)]

    assert exit_code_of(found) == worst
