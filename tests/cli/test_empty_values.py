"""An option that is given is never taken for not given (case M3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from command_line import SMALL, Command, Serve

from bulkpull.cli import app


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, item in inner.items():
        yield from _commands(item, (*path, name))


TAKE_A_VALUE = [
    (*path, option)
    for path, command in _commands(typer.main.get_command(app))
    for parameter in command.params
    for option in parameter.opts
    if option.startswith("--") and not parameter.is_flag
]


@pytest.mark.case("M3")
@pytest.mark.parametrize("words", TAKE_A_VALUE, ids=" ".join)
@pytest.mark.parametrize("form", ["apart", "joined"])
def test_an_empty_value_is_refused_by_every_option_of_every_command(
    command: Command, words: tuple[str, ...], form: str
) -> None:
    *path, option = words
    if path == ["reports", "update"] and option in ("--description", "--callback-url"):
        pytest.skip("there it removes what is there")

    outcome = command(*path, f"{option}=") if form == "joined" else command(*path, option, "")

    assert (outcome.code, outcome.out) == (2, "")
    assert f"the value after {option} is empty" in outcome.err


@pytest.mark.case("M3")
def test_an_empty_argument_is_refused(command: Command) -> None:
    for words in (("export", ""), ("queries", "show", " "), ("queries", "delete", "", "--yes")):
        outcome = command(*words)
        assert (outcome.code, outcome.out) == (2, "")
        assert "an argument is empty" in outcome.err


@pytest.mark.case("M3")
@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("update", "REPORT", "--every", "0"), "cannot recur every 0 h"),
        (("update", "REPORT", "--times", "0"), "cannot recur 0 times"),
        (("create", "--dataset", "Profile", "--every", "0"), "cannot recur every 0 h"),
        (("create", "--dataset", "Profile", "--every", "24", "--times", "0"), "cannot recur 0 times"),
        (("create", "--dataset", "Profile", "--now", "--times", "0"), "--now excludes --start and --times"),
        (("create", "--dataset", "Profile", "--now", "--description", ""), "the value after --description is empty"),
        (("create", "--dataset", "Profile", "--now", "--callback-url", ""), "the value after --callback-url is empty"),
    ],
)
def test_zero_and_nothing_are_values(command: Command, serve: Serve, words: tuple[str, ...], rule: str) -> None:
    simulator = serve(SMALL)
    made = command("reports", "create", "--dataset", "Profile", "--every", "24", "--json").json()["reports"][0]
    before = len([call for call in simulator.calls if call.method in ("POST", "PUT")])

    outcome = command("reports", *(made["report_id"] if word == "REPORT" else word for word in words))

    assert (outcome.code, outcome.out) == (2, "")
    assert rule in outcome.err
    assert len([call for call in simulator.calls if call.method in ("POST", "PUT")]) in (before, before + 1)
    assert len(simulator.service.reports) == 1


@pytest.mark.case("M3")
def test_a_callback_and_a_description_can_be_removed(command: Command, serve: Serve) -> None:
    serve(SMALL)
    made = command(
        "reports", "create", "--dataset", "Profile", "--every", "24", "--description", "d", "--json",
        "--callback-url", "https://hooks.contoso.example/done", "--callback-method", "GET",
    ).json()["reports"][0]  # fmt: skip

    outcome = command("reports", "update", made["report_id"], "--callback-url", "", "--description=", "--json")

    assert outcome.code == 0, outcome.err
    (report,) = outcome.json()["reports"]
    assert (report["callback_url"], report["callback_method"], report["description"]) == (None, None, None)
    assert (report["name"], report["recurrence_hours"]) == (made["name"], 24)


@pytest.mark.case("M3")
def test_what_the_service_keeps_although_it_was_to_be_removed_is_no_success(
    command: Command, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bulkpull.simulator.request_validation import Fields  # noqa: PLC0415 - a service of another mind

    serve(SMALL)
    made = command(
        "reports", "create", "--dataset", "Profile", "--every", "24", "--json",
        "--callback-url", "https://hooks.contoso.example/done",
    ).json()["reports"][0]  # fmt: skip
    monkeypatch.setattr(Fields, "is_blank", lambda *_: False)

    outcome = command("reports", "update", made["report_id"], "--callback-url", "")

    assert (outcome.code, outcome.out) == (1, "")
    assert "still has its callback address" in outcome.err


@pytest.mark.case("M3")
@pytest.mark.parametrize("option", ["--where", "--select", "--order-by", "--as"])
def test_a_selection_with_an_empty_part_publishes_nothing(command: Command, serve: Serve, option: str) -> None:
    simulator = serve(SMALL)

    outcome = command("export", "OfficeUsage", option, "", "--as" if option != "--as" else "--where", "w8")

    assert outcome.code == 2
    assert not simulator.calls
