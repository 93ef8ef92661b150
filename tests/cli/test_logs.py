"""The log: events as lines, without secrets."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bulkpull.cli.log_output import LogListener, libraries_logged_by
from bulkpull.cli.options import CommonOptions, LogFormat, LogLevel
from bulkpull.event_types import CallRetried, Event, Level, restore_event
from bulkpull.redact import register_secret

JSON = CommonOptions(log_format=LogFormat.JSON)
CANARY = "canary-77aa01bc"


def _lines(*events: Event, common: CommonOptions = JSON, **options: Any) -> list[str]:
    lines: list[str] = []
    listener = LogListener(common, write=lines.append, **options)
    for event in events:
        listener(event)
    return lines


def _event(name: str, level: Level = Level.INFO, dataset: str | None = None, **facts: object) -> Event:
    return restore_event(name, facts, dataset=dataset, level=level)


def test_in_json_each_event_is_one_object_with_time_level_run_and_dataset() -> None:
    first, second = _lines(
        _event("run.started", run_id="20261123T020405Z-0a1b2c"),
        _event("download.completed", dataset="AzureUsage", size_bytes=48_213_007),
    )
    assert json.loads(first)["run_id"] == "20261123T020405Z-0a1b2c"
    reported = json.loads(second)
    assert (reported["event"], reported["level"], reported["dataset"]) == ("download.completed", "info", "AzureUsage")
    assert (reported["run_id"], reported["size_bytes"]) == ("20261123T020405Z-0a1b2c", 48_213_007)
    age = datetime.now(UTC) - datetime.fromisoformat(reported["timestamp"])
    assert timedelta(0) <= age < timedelta(minutes=5)
    assert reported["timestamp"].endswith("Z")


def test_on_the_console_a_line_begins_with_time_level_and_event() -> None:
    (line,) = _lines(_event("pull.stepped", dataset="Profile", step="poll"), common=CommonOptions())
    assert "pull.stepped" in line
    assert "dataset=Profile" in line
    assert "\x1b" not in line


def test_on_the_console_counts_are_words_and_in_json_an_object() -> None:
    ended = _event("run.finished", run_id="r", status="interrupted", datasets={"complete": 2, "unfinished": 18})
    (line,), (as_json,) = _lines(ended, common=CommonOptions()), _lines(ended)
    assert "datasets='2 complete, 18 unfinished'" in line
    assert json.loads(as_json)["datasets"] == {"complete": 2, "unfinished": 18}


def test_progress_of_a_transfer_is_never_logged() -> None:
    trace = _event("download.progressed", Level.TRACE, "Profile", done_bytes=1)
    assert _lines(trace, common=CommonOptions(log_level=LogLevel.DEBUG)) == []


@pytest.mark.parametrize(
    ("common", "shown"),
    [
        (CommonOptions(), ["a.b", "c.d", "e.f"]),
        (CommonOptions(log_level=LogLevel.WARNING), ["c.d", "e.f"]),
        (CommonOptions(log_level=LogLevel.DEBUG), ["call.sent", "a.b", "c.d", "e.f"]),
        (CommonOptions(quiet=True), ["e.f"]),
        (CommonOptions(quiet=True, log_level=LogLevel.DEBUG), ["e.f"]),
    ],
)
def test_the_level_decides_what_is_shown(common: CommonOptions, shown: list[str]) -> None:
    events = [
        _event("call.sent", Level.DEBUG),
        _event("a.b"),
        _event("c.d", Level.WARNING),
        _event("e.f", Level.ERROR),
    ]
    lines = _lines(
        *events, common=CommonOptions(log_format=LogFormat.JSON, log_level=common.log_level, quiet=common.quiet)
    )
    assert [json.loads(line)["event"] for line in lines] == shown


def test_moments_are_logged_in_whole_seconds() -> None:
    facts = {"endpoint": "token", "attempt": 1, "reason": "503", "since": "2026-11-23T02:14:07Z"}
    (line,) = _lines(restore_event("call.retried", facts, level=Level.WARNING), common=JSON)

    assert json.loads(line)["since"] == facts["since"]


def test_what_the_display_tells_is_not_logged_again() -> None:
    assert _lines(_event("call.retried", Level.WARNING), silent=(CallRetried,)) == []


@pytest.mark.parametrize("common", [JSON, CommonOptions()], ids=["json", "console"])
def test_secrets_are_removed_from_every_value_however_deep(common: CommonOptions) -> None:
    register_secret(CANARY)
    (line,) = _lines(
        _event(
            "x.refused",
            reason=f"refused: {CANARY}",
            link="https://storage.contoso.example/r.csv?sig=abc%2Fdef&se=1",
            inner=[{"token": f"Bearer {CANARY}abcdef", "password": "hush-hush"}],
            body='{"access_token": "eyJhbGciOi.secret.part"}',
        ),
        common=common,
    )
    assert CANARY not in line
    assert "abc%2Fdef" not in line
    assert "secret.part" not in line
    assert "hush" not in line


@pytest.mark.parametrize("common", [JSON, CommonOptions()], ids=["json", "console"])
def test_text_of_the_service_cannot_break_a_line_or_steer_the_terminal(common: CommonOptions) -> None:
    (line,) = _lines(_event("execution.changed", status="Completed\nerror: forged\x1b[2J\u202e"), common=common)
    assert "\n" not in line
    assert "\x1b" not in line
    assert "\u202e" not in line


def test_a_json_line_stays_json_whatever_was_removed_from_it() -> None:
    register_secret(CANARY)
    (line,) = _lines(_event("x.y", reason=f'password="{CANARY}" sig={CANARY}\\'))
    assert CANARY not in json.dumps(json.loads(line))


def test_warnings_of_libraries_take_the_same_way_out() -> None:
    lines: list[str] = []
    with libraries_logged_by(LogListener(JSON, write=lines.append)):
        logging.getLogger("aiohttp.client").warning("closed: %s", "https://h.contoso.example/?sig=abcdef")
        logging.getLogger("asyncio").info("not worth a line")
    logging.getLogger("aiohttp.client").debug("after the command nothing is led anywhere")
    (reported,) = map(json.loads, lines)
    assert (reported["logger"], reported["level"]) == ("aiohttp.client", "warning")
    assert "abcdef" not in lines[0]
