"""Shell completion: what Tab offers, from the catalog and without asking anybody."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import finish, start_program

from bulkpull.catalog import load_catalog

NAMES = {dataset.name for dataset in load_catalog().datasets}


def offered(folder: Path, line: str) -> set[str]:
    """What the shell is offered for the last word of `line`."""
    environment = {
        "_BULKPULL_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    outcome = finish(start_program(environment=environment, folder=folder))
    assert outcome.code == 0
    return set(outcome.out.split())


@pytest.mark.parametrize("command", ["export", "datasets", "preview"])
def test_datasets_are_offered_wherever_one_is_named(tmp_path: Path, command: str) -> None:
    assert offered(tmp_path, f"bulkpull {command} ") == NAMES


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("bulkpull exp", {"export"}),
        ("bulkpull export Profile OfficeU", {"OfficeUsage"}),
        ("bulkpull export azureu", {"azureusage"}),
        ("bulkpull export --timespan LAST_6", {"LAST_6_MONTHS"}),
        ("bulkpull simulate --fault blob_b", {"blob_busy"}),
        ("bulkpull export --keep", {"--keep-raw"}),
    ],
)
def test_a_word_begun_is_completed(tmp_path: Path, line: str, completed: set[str]) -> None:
    assert offered(tmp_path, line) == completed


def test_a_script_for_the_shell_is_printed(tmp_path: Path) -> None:
    environment = {"_BULKPULL_COMPLETE": "source_zsh"}

    assert "_BULKPULL_COMPLETE=complete_zsh" in finish(start_program(environment=environment, folder=tmp_path)).out
