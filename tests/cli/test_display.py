"""The live display: what is under way, within the terminal's width and height."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from bulkpull.cli.live_display import Display
from bulkpull.event_types import Event, restore_event
from bulkpull.formatting import format_clock, format_size
from bulkpull.observability.progress import Progress

LONG = "CompetencyPeformanceRequirement"


def _event(name: str, dataset: str | None = None, **facts: object) -> Event:
    return restore_event(name, facts, dataset=dataset)


def _drawn(*events: Event, width: int = 80, height: int = 24, color: str | None = None) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, force_terminal=color is not None, color_system=None)
    now = iter(range(100_000))
    display = Display(console, monotonic=lambda: float(next(now)))
    for event in events:
        display(event)
    console.print(display.draw())
    return file.getvalue()


def _journey(dataset: str, *, rows: int = 1_234_567, size_bytes: int = 987_654_321) -> list[Event]:
    return [
        _event("pull.stepped", dataset, step="submit"),
        _event("pull.stepped", dataset, step="poll"),
        _event("execution.changed", dataset, status="Running"),
        _event("pull.stepped", dataset, step="download"),
        _event("download.progressed", dataset, done_bytes=size_bytes // 3, size_bytes=size_bytes),
        _event("download.completed", dataset, size_bytes=size_bytes),
        _event("pull.stepped", dataset, step="convert"),
        _event("conversion.completed", dataset, rows=rows),
        _event("pull.stepped", dataset, step="publish"),
        _event("pull.finished", dataset, status="complete", rows=rows),
    ]


@pytest.mark.parametrize(
    ("seen", "word"),
    [(1, "submitting"), (2, "waiting"), (3, "running"), (4, "downloading"), (7, "converting"), (9, "publishing")],
)
def test_each_step_has_its_word(seen: int, word: str) -> None:
    progress = Progress(began_s=0.0)
    for event in _journey("Profile")[:seen]:
        progress.note(event, now_s=1.0)
    assert progress.lines["Profile"].doing == word


def test_a_finished_pull_keeps_its_time_and_counts_as_done() -> None:
    progress = Progress(began_s=0.0)
    progress.note(_event("plan.made", pulls=2), now_s=0.0)
    for event in _journey("Profile"):
        progress.note(event, now_s=7.0)
    assert progress.counts() == (1, 0, 2)
    assert progress.share() == 0.5
    assert progress.lines["Profile"].elapsed_s(99.0) == 0.0


def test_a_lost_pull_does_not_count_as_done() -> None:
    progress = Progress(began_s=0.0)
    progress.note(_event("pull.finished", "Profile", status="failed"), now_s=1.0)
    progress.note(_event("pull.finished", "MSLearn", status="unavailable"), now_s=1.0)
    assert progress.counts() == (0, 2, 2)


@pytest.mark.behaviour(37, 85)
def test_what_slows_the_run_down_is_told_while_it_lasts() -> None:
    progress = Progress(began_s=0.0)
    progress.note(_event("pace.changed", calls_per_s=2.5, wait_s=30), now_s=0.0)
    progress.note(_event("quota.reached", wait_s=600, limit=5), now_s=0.0)
    progress.note(_event("call.retried", endpoint="execution", reason="503 of the service"), now_s=0.0)
    slowed, quota, repeated = progress.hindrances(now_s=1.0)[:3]
    assert "10 min" in slowed + quota
    assert "2.5 a second" in slowed + quota
    assert "503 of the service" in repeated
    progress.note(_event("pace.changed", calls_per_s=10, wait_s=0.0), now_s=2.0)
    assert progress.hindrances(now_s=601.0) == []


@pytest.mark.fault(47)
def test_a_service_that_does_not_answer_is_shown_until_its_next_try_has_ended() -> None:
    progress = Progress(began_s=0.0)
    facts: dict[str, Any] = {
        "wait_s": 60.0,
        "since": "2026-11-23T02:14:07Z",
        "until": "2026-11-23T05:10:00Z",
        "reason": "503",
    }
    progress.note(_event("call.retried", endpoint="execution", attempt=14, **facts), now_s=100.0)

    assert progress.hindrances(now_s=118.0) == [
        "execution: no success since 02:14 UTC, next try in 42 s, given up at 05:10 UTC",
        "1 call retried, the last because: 503",
    ]
    assert "trying again now" in progress.hindrances(now_s=170.0)[0]
    progress.note(_event("call.sent", endpoint="execution", status=503), now_s=170.0)
    assert progress.hindrances(now_s=170.0), "a refusal is no end of the trouble"
    progress.note(_event("call.sent", endpoint="execution", status=200), now_s=171.0)
    assert progress.hindrances(now_s=171.0) == []


def test_of_several_calls_that_fail_the_one_that_fails_longest_is_shown() -> None:
    progress = Progress(began_s=0.0)
    for endpoint, minute in (("ScheduledReport", 16), ("token", 15)):
        facts: dict[str, Any] = {
            "wait_s": 9.0,
            "since": f"2026-11-23T02:{minute}:00Z",
            "attempts": 6,
            "reason": endpoint,
        }
        progress.note(_event("call.retried", endpoint=endpoint, attempt=3, **facts), now_s=0.0)

    first, second = progress.hindrances(now_s=1.0)
    assert first == "token: no success since 02:15 UTC, next try in 8 s, 3 of 6 tries failed"
    assert second.startswith("2 calls retried")


def test_at_80_columns_a_service_that_does_not_answer_is_shown_whole() -> None:
    facts: dict[str, Any] = {
        "wait_s": 60.0,
        "since": "2026-11-23T02:14:07Z",
        "until": "2026-11-23T05:10:00Z",
        "reason": "503",
    }
    drawn = _drawn(_event("call.retried", endpoint="execution", attempt=1, **facts))
    assert "given up at 05:10 UTC" in drawn
    assert "…" not in drawn


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    events = [event for name in (LONG, "Profile") for event in _journey(name)[:7]]
    trouble = _event("call.retried", reason="the service did not answer " * 9)
    lines = _drawn(*events, *_journey("AzureUsage")[:5], trouble, width=width).splitlines()
    assert max(map(len, lines)) <= width


def test_at_80_columns_nothing_is_cut() -> None:
    drawn = _drawn(*_journey(LONG, rows=123_456_789))
    assert LONG in drawn
    assert "988 MB" in drawn
    assert "123,456,789" in drawn
    assert "…" not in drawn


def test_in_a_low_terminal_the_pulls_under_way_are_shown_and_the_done_ones_counted() -> None:
    done = [event for number in range(15) for event in _journey(f"Done{number}")]
    under_way = [_event("pull.stepped", f"Going{number}", step="poll") for number in range(5)]
    drawn = _drawn(*done, *under_way, _event("call.retried", reason="503"), height=12)
    assert len(drawn.splitlines()) < 12
    assert all(f"Going{number}" in drawn for number in range(5))
    assert "more" in drawn


def test_before_the_plan_is_known_the_display_says_what_it_waits_for() -> None:
    assert "reading the list" in _drawn()


def test_without_colours_no_colour_codes_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in _drawn(*_journey("Profile"), color="auto")


def test_a_log_line_stands_above_the_display() -> None:
    file = io.StringIO()
    with Display(Console(file=file, width=80, force_terminal=True)) as display:
        display.print_above("12:00:00Z [warning  ] download.resumed")
    assert "download.resumed\n" in file.getvalue()


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (48_213_007, "48.2 MB"), (999_950, "1.0 MB"), (2.5e15, "2500 TB")],
)
def test_sizes_have_three_digits(size_bytes: float, text: str) -> None:
    assert format_size(size_bytes) == text


@pytest.mark.parametrize(("elapsed_s", "text"), [(0.9, "0:00"), (754, "12:34"), (3754, "1:02:34"), (-5, "0:00")])
def test_lengths_are_minutes_and_seconds(elapsed_s: float, text: str) -> None:
    assert format_clock(elapsed_s) == text


def _downloading(progress: Progress, *arrived: tuple[float, int], dataset: str = "AzureUsage") -> None:
    progress.note(_event("pull.stepped", dataset, step="download"), now_s=arrived[0][0])
    for now_s, done_bytes in arrived:
        reported = _event("download.progressed", dataset, done_bytes=done_bytes, size_bytes=1_000_000_000)
        progress.note(reported, now_s=now_s)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    progress = Progress(began_s=0.0)
    _downloading(progress, (0.0, 0), (1.0, 90_000_000), (10.0, 100_000_000), (15.0, 150_000_000))
    line = progress.lines["AzureUsage"]

    assert line.rate(15.0) == 10_000_000
    assert line.rate(20.0) == 5_000_000  # nothing comes any more, and the rate sinks


def test_no_rate_is_told_at_the_beginning_after_a_fresh_start_and_outside_of_a_download() -> None:
    progress = Progress(began_s=0.0)
    _downloading(progress, (0.0, 0), (0.5, 10_000_000))
    line = progress.lines["AzureUsage"]
    assert line.rate(0.5) is None
    _downloading(progress, (8.0, 0))
    assert line.rate(8.5) is None
    progress.note(_event("pull.stepped", "AzureUsage", step="convert"), now_s=9.0)
    assert line.rate(10.0) is None


def test_the_end_is_foretold_by_what_each_dataset_took_the_last_time() -> None:
    progress = Progress(began_s=0.0, usual={"Profile": 30.0, "AzureUsage": 300.0})
    progress.note(_event("plan.made", pulls=2), now_s=0.0)
    progress.note(_event("pull.stepped", "Profile", step="submit"), now_s=0.0)
    assert progress.remaining_s(now_s=0.0) is None  # not all have begun: who knows which
    progress.note(_event("pull.stepped", "AzureUsage", step="submit"), now_s=0.0)

    assert progress.remaining_s(now_s=100.0) == 200.0
    assert progress.remaining_s(now_s=400.0) == 0.0


def test_no_end_is_foretold_for_a_dataset_without_a_past_or_while_the_quota_is_closed() -> None:
    new = Progress(began_s=0.0, usual={"Profile": 30.0})
    for name in ("Profile", "AzureUsage"):
        new.note(_event("pull.stepped", name, step="submit"), now_s=0.0)
    assert new.remaining_s(now_s=1.0) is None

    held_up = Progress(began_s=0.0, usual={"Profile": 30.0})
    held_up.note(_event("pull.stepped", "Profile", step="submit"), now_s=0.0)
    held_up.note(_event("quota.reached", wait_s=600, limit=5), now_s=1.0)
    assert held_up.remaining_s(now_s=2.0) is None
    assert held_up.remaining_s(now_s=602.0) == 0.0


def test_what_was_not_due_counts_as_done() -> None:
    progress = Progress(began_s=0.0)
    progress.note(_event("pull.finished", "Profile", status="skipped"), now_s=1.0)
    assert progress.counts() == (1, 0, 1)


def test_the_longest_header_and_line_fit_80_columns() -> None:
    file = io.StringIO()
    usual = dict.fromkeys([LONG, *(f"Dataset{number}" for number in range(19))], 7_300.0)
    now = iter(float(number) for number in range(0, 100_000, 60))
    display = Display(Console(file=file, width=80, height=40), usual=usual, monotonic=lambda: next(now))
    display(_event("plan.made", pulls=20))
    for name in usual:
        display(_event("pull.stepped", name, step="poll"))
    display(_event("pull.finished", "Dataset1", status="failed"))
    display(_event("pull.stepped", LONG, step="download"))
    for done_bytes in (0, 987_000_000_000):
        display(_event("download.progressed", LONG, done_bytes=done_bytes, size_bytes=988_000_000_000))
    Console(file=file, width=80, height=40).print(display.draw())
    drawn = file.getvalue()

    assert "…" not in drawn
    assert max(map(len, drawn.splitlines())) <= 80
    assert "left" in drawn
    assert "8.2 GB/s" in drawn
    assert "of ~2:01:40" in drawn
