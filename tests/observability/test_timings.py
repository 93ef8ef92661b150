"""What happened when, gathered from events alone: from those of this session, or from a log."""

from __future__ import annotations

from accounts import event, logged, timings

from bulkpull.observability.timings import Phase, RunTimings, Span, timings_from_log


def of(made: RunTimings, dataset: str = "AzureUsage") -> list[tuple[str, float, float]]:
    return [(span.phase.value, span.began_s, span.ended_s) for span in made.of(dataset)]


def test_a_pull_goes_from_phase_to_phase_and_waits_once_more_before_its_download() -> None:
    made = timings(
        (1, event("pull.stepped", "AzureUsage", step="submit")),
        (3, event("pull.stepped", "AzureUsage", step="poll")),
        (9, event("execution.changed", "AzureUsage", status="Running")),
        (60, event("execution.changed", "AzureUsage", status="Completed")),
        (62, event("pull.stepped", "AzureUsage", step="download")),
        (70, event("pull.stepped", "AzureUsage", step="convert")),
        (75, event("pull.stepped", "AzureUsage", step="publish")),
        (76, event("pull.finished", "AzureUsage", status="complete")),
    )

    assert of(made) == [
        ("waiting", 1, 3),
        ("waiting", 60, 62),
        ("service", 3, 60),
        ("download", 62, 70),
        ("convert", 70, 75),
        ("publish", 75, 76),
    ]
    assert made.slowest() == Span("AzureUsage", Phase.SERVICE, 3, 60)


def test_parts_of_a_window_that_are_pulled_side_by_side_count_once() -> None:
    made = timings(
        (0, event("pull.stepped", "AzureUsage", step="poll", part="a")),
        (5, event("pull.stepped", "AzureUsage", step="poll", part="b")),
        (8, event("pull.stepped", "AzureUsage", step="download", part="a")),
        (12, event("pull.stepped", "AzureUsage", step="download", part="b")),
        (13, event("pull.stepped", "AzureUsage", step="convert", part="a")),
        (14, event("conversion.completed", "AzureUsage", part="a")),
        (16, event("pull.stepped", "AzureUsage", step="convert", part="b")),
        (18, event("conversion.completed", "AzureUsage", part="b")),
        (19, event("pull.stepped", "AzureUsage", step="publish")),
        (20, event("pull.finished", "AzureUsage", status="complete")),
    )

    assert of(made) == [
        ("service", 0, 12),
        ("download", 8, 16),
        ("convert", 13, 14),
        ("convert", 16, 18),
        ("publish", 19, 20),
    ]


def test_a_run_that_is_stopped_ends_every_phase() -> None:
    made = timings(
        (0, event("pull.stepped", "AzureUsage", step="poll")),
        (4, event("pull.stepped", "Profile", step="download")),
        (7, event("run.finished", status="interrupted")),
    )

    assert of(made) == [("service", 0, 7)]
    assert of(made, "Profile") == [("download", 4, 7)]


def test_what_held_a_run_up_is_counted() -> None:
    made = timings(
        (1, event("quota.reached", "AzureUsage", wait_s=3_000.0, limit=5)),
        (2, event("pace.changed", calls_per_s=2.5, wait_s=9.0)),
        (3, event("pace.changed", calls_per_s=10.0, wait_s=0.0)),
        (4, event("call.retried", endpoint="ScheduledReport", reason="HTTP 503")),
        (5, event("call.retried", endpoint="ScheduledReport", reason="HTTP 503")),
        (6, event("download.resumed", "AzureUsage", reason="the link is at its end")),
    )

    assert made.quota_waits == [(3_000.0, 5)]
    assert made.slowest_pace == 2.5
    assert made.retries == {("ScheduledReport", "HTTP 503"): 2}
    assert made.breaks == {"AzureUsage": 1}


def test_a_log_is_replayed_without_the_hours_between_its_sessions() -> None:
    made = timings_from_log(
        logged(
            ("02:00:00", event("run.started", run_id="r")),
            ("02:00:10", event("pull.stepped", "AzureUsage", step="poll")),
            ("02:00:40", event("execution.changed", "AzureUsage", status="Running")),  # and then it was killed
            ("08:00:00", event("run.started", run_id="r", resumed=True)),
            ("08:00:05", event("pull.stepped", "AzureUsage", step="poll")),
            ("08:00:25", event("run.finished", status="complete")),
        )
    )

    assert made is not None
    assert of(made) == [("service", 10, 40), ("service", 45, 65)]
    assert (made.resumptions, made.length_s) == ([40.0], 65.0)


def test_a_wall_clock_that_was_set_back_does_not_turn_time_around() -> None:
    made = timings_from_log(
        logged(
            ("02:00:00", event("run.started", run_id="r")),
            ("02:00:30", event("pull.stepped", "AzureUsage", step="poll")),
            ("01:00:00", event("pull.finished", "AzureUsage", status="failed")),
        )
    )

    assert made is not None
    assert (of(made), made.length_s) == ([], 30.0)


def test_an_empty_log_tells_nothing() -> None:
    assert timings_from_log([]) is None
    assert RunTimings().slowest() is None
