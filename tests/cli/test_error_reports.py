"""Errors as they are shown: what, why and fix, and the exit status."""

from __future__ import annotations

import json

import pytest
import typer

from bulkpull.cli.error_output import print_error, report_errors, wrapped
from bulkpull.cli.options import CommonOptions, LogFormat, LogLevel
from bulkpull.errors import AuthError, BulkpullError, DiskTrouble, LedgerError, OutputLocked, QueryError, SettingsError
from bulkpull.redact import register_secret

CANARY = "canary-1f0c2a5e"


@pytest.fixture(autouse=True)
def _canary() -> None:
    register_secret(CANARY)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("wrong"), 2),
        (AuthError("refused"), 4),
        (OutputLocked("busy"), 5),
        (DiskTrouble("full"), 1),
        (LedgerError("broken"), 1),
        (RuntimeError("surprise"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_ends_the_command_with_the_exit_status_of_the_contract(error: BaseException, code: int) -> None:
    with pytest.raises(typer.Exit) as ended, report_errors(CommonOptions()):
        raise error
    assert ended.value.exit_code == code


def test_an_interrupted_command_that_is_no_run_speaks_of_nothing_to_resume(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(KeyboardInterrupt(), CommonOptions())

    assert capsys.readouterr().err == "error: interrupted\nfix:   run the same command again\n"


def _fault(*, cause: BaseException | None) -> Exception:
    fault = RuntimeError("the extension gave up")
    fault.__cause__ = cause
    return fault


@pytest.mark.fault("103")
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (_fault(cause=_fault(cause=KeyboardInterrupt())), 130),
        (ValueError('Error building "model" validator:\n  KeyboardInterrupt: '), 130),
        (_fault(cause=None), 1),
        (SettingsError("wrong", why="the key is called KeyboardInterrupt"), 2),
    ],
)
def test_a_library_that_was_interrupted_and_raises_its_own_fault_counts_as_interrupted(
    error: Exception, code: int
) -> None:
    assert print_error(error, CommonOptions()).exit_code == code


def test_an_error_is_told_in_three_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(SettingsError("the colour is wrong", why="it is blue", fix="paint it red"), CommonOptions())
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err == "error: the colour is wrong\n       it is blue\nfix:   paint it red\n"


def test_an_error_without_a_cure_of_its_own_is_told_with_that_of_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(SettingsError("the colour is wrong"), CommonOptions())
    assert capsys.readouterr().err == f"error: the colour is wrong\nfix:   {SettingsError.remedy}\n"


def test_an_unexpected_fault_shows_no_traceback_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(ValueError(f"no such key: {CANARY}"), CommonOptions())
    error_text = capsys.readouterr().err
    assert "unexpected fault (ValueError)" in error_text
    assert "--log-level debug" in error_text
    assert "Traceback" not in error_text
    assert CANARY not in error_text


def test_at_debug_level_the_traceback_comes_first_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError(f"no such key: {CANARY}")
    except ValueError as error:
        print_error(error, CommonOptions(log_level=LogLevel.DEBUG))
    error_text = capsys.readouterr().err
    assert error_text.startswith("Traceback")
    assert CANARY not in error_text


def test_among_json_log_lines_an_error_is_a_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(AuthError("refused", fix=f"not {CANARY}"), CommonOptions(log_format=LogFormat.JSON))
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["what"], line["exit_code"]) == ("command.failed", "error", "refused", 4)
    assert line["timestamp"].endswith("Z")
    assert CANARY not in json.dumps(line)


def test_of_several_errors_at_once_the_one_raised_on_purpose_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    group = BaseExceptionGroup("all", [ValueError("noise"), ExceptionGroup("inner", [DiskTrouble("the disk is full")])])
    assert print_error(group, CommonOptions()).exit_code == 1
    assert capsys.readouterr().err.startswith("error: the disk is full\n")


def test_an_ordinary_end_is_none_of_its_business() -> None:
    with pytest.raises(typer.Exit) as ended, report_errors(CommonOptions()):
        raise typer.Exit(3)
    assert ended.value.exit_code == 3


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_appear_on_a_terminal_only_and_not_with_no_color(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_color: str, *, coloured: bool
) -> None:
    print_error(BulkpullError("plain"), CommonOptions())
    assert "\x1b" not in capsys.readouterr().err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_color)
    print_error(BulkpullError("bright"), CommonOptions())
    assert ("\x1b" in capsys.readouterr().err) is coloured


def test_a_usage_error_of_the_option_parser_passes_through() -> None:
    with pytest.raises(typer.BadParameter), report_errors(CommonOptions()):
        raise typer.BadParameter("no")


def test_a_fault_in_a_query_is_pointed_at(capsys: pytest.CaptureFixture[str]) -> None:
    error = QueryError("b is unknown", text="SELECT a, b FROM c", at=10, fix="did you mean d?")

    assert print_error(error, CommonOptions()).exit_code == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: b is unknown",
        "       SELECT a, b FROM c",
        "                 ^",
        "fix:   did you mean d?",
    ]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_on_a_terminal_a_message_is_wrapped_between_words_and_no_command_is_broken(columns: int) -> None:
    command = "`bulkpull runs resume --output /srv/data`"
    line = f"fix:   the service refused it for a reason that takes many words to say; run {command}, then look again"

    lines = wrapped(line, columns).split("\n")

    assert " ".join(part.strip() for part in lines) == line
    assert all(part.startswith("       ") for part in lines[1:])
    assert all(len(part) <= columns or command in part for part in lines)
    assert any(command in part for part in lines) or columns == 40


def test_a_path_longer_than_the_terminal_is_not_broken() -> None:
    path = "/srv/" + "a-long-folder/" * 20

    assert path in wrapped(f"       it lies in {path} since yesterday", 80).split("\n       ")


def test_without_a_terminal_a_message_stays_one_line() -> None:
    assert wrapped("fix:   " + "many words " * 50, None).count("\n") == 0
