"""With `--json` a command writes exactly one JSON object to standard output, however it ends (contract, section 4)."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import SMALL, Command, Serve

NO_CREDENTIALS = [
    ("export", "--json"),
    ("nightly", "--json"),
    ("export", "--plan", "--json"),
    ("datasets", "--json"),
    ("preview", "Profile", "--json"),
    ("queries", "list", "--json"),
    ("queries", "show", "some-id", "--json"),
    ("reports", "list", "--json"),
    ("reports", "delete", "some-id", "--yes", "--json"),
    ("executions", "some-id", "--json"),
]
MISUSES = [
    ("export", "--json", "--since", "yesterday"),
    ("export", "Nope", "--json"),
    ("export", "--json", "--timespan", "FOREVER AND EVER"),
    ("reports", "pause", "--json"),
    ("runs", "show", "20200101T000000Z-abcdef", "--json"),
    ("runs", "resume", "--json"),
    ("status", "Nope", "--json"),
    ("statsu", "--json"),
]


@pytest.mark.parametrize("arguments", NO_CREDENTIALS, ids=" ".join)
def test_what_ends_for_want_of_credentials_is_one_object(command: Command, arguments: tuple[str, ...]) -> None:
    outcome = command(*arguments)

    reported = outcome.json()
    assert (outcome.code, reported["exit"], reported["version"], reported["status"]) == (4, 4, 1, "failed")
    assert set(reported["error"]) == {"what", "why", "fix"}
    assert reported["error"]["what"] in outcome.err


@pytest.mark.parametrize("arguments", MISUSES, ids=" ".join)
def test_a_misuse_is_one_object_with_exit_2(command: Command, arguments: tuple[str, ...]) -> None:
    outcome = command(*arguments)

    assert (outcome.code, outcome.json()["exit"]) == (2, 2)
    assert outcome.json()["error"]["what"]


@pytest.mark.parametrize("arguments", [("status", "--max-age", "1h", "--json"), ("runs", "verify", "--json")])
def test_what_tells_its_own_end_is_not_told_twice(command: Command, arguments: tuple[str, ...]) -> None:
    assert "error" not in command(*arguments).json()


@pytest.mark.parametrize(
    "arguments",
    [("export",), ("nightly",), ("export", "--plan"), ("status",), ("runs", "list"), ("runs", "verify")],
    ids=" ".join,
)
@pytest.mark.parametrize("output", ["taken", "taken/below"])
def test_an_output_that_is_a_file_is_wrong_usage(
    command: Command, serve: Serve, arguments: tuple[str, ...], output: str
) -> None:
    serve(SMALL)
    Path("taken").write_text("a letter", encoding="utf-8")

    outcome = command(*arguments, "--output", output, "--json")

    assert (outcome.code, outcome.json()["exit"]) == (2, 2)
    assert "is a file" in outcome.json()["error"]["why"]
    assert Path("taken").read_text(encoding="utf-8") == "a letter"


def test_a_quiet_plan_is_quiet(command: Command, serve: Serve) -> None:
    serve(SMALL)

    outcome = command("export", "--plan", "--quiet")

    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert command("export", "--plan", "--quiet", "--json").json()["plan"]
