"""The line of progress for notebooks and scripts."""

from __future__ import annotations

from bulkpull.event_types import PlanMade, PullFinished, PullStepped, RunFinished, RunStarted
from bulkpull.events import about
from bulkpull.observability.progress import ProgressLine


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def a_run(line: ProgressLine, clock: Clock) -> None:
    line(RunStarted(run_id="r"))
    clock.now_s += 1
    line(PlanMade(pulls=2))
    clock.now_s += 1
    with about("AzureUsage"):
        line(PullStepped(step="submit"))
    with about("Profile"):
        line(PullStepped(step="submit"))
    clock.now_s += 60
    with about("AzureUsage"):
        line(PullFinished(status="complete", rows=1, reason=None))
    clock.now_s += 1
    with about("Profile"):
        line(PullFinished(status="failed", rows=0, reason="no room"))
    line(RunFinished(run_id="r", status="partial", datasets={"complete": 1, "failed": 1}))


def test_a_line_is_rewritten_and_ends_with_the_run() -> None:
    clock, written = Clock(), list[str]()

    a_run(ProgressLine(written.append, monotonic=clock), clock)

    assert all(text.startswith("\r") for text in written)
    assert [text.strip() for text in written] == [
        "reading the list of datasets, 0:00",
        "0 of 2 datasets done, 0:01",
        "0 of 2 datasets done, 1 submitting, 0:02",
        "1 of 2 datasets done, 1 submitting, 1:02",
        "1 of 2 datasets done, 1 lost, 1:03",
        "1 of 2 datasets done, 1 lost, 1:03",
    ]
    assert [text for text in written if "\n" in text] == [written[-1]]


def test_a_shorter_line_covers_the_longer_one_before_it() -> None:
    clock, written = Clock(), list[str]()

    a_run(ProgressLine(written.append, monotonic=clock), clock)

    shown = ""
    for text in written:
        line = text.strip("\r\n")
        assert len(line) >= len(shown.rstrip())
        shown = line


def test_it_serves_one_run_after_the_other() -> None:
    clock, written = Clock(), list[str]()
    line = ProgressLine(written.append, monotonic=clock)

    a_run(line, clock)
    before = len(written)
    a_run(line, clock)

    assert [text.strip() for text in written[before:]] == [text.strip() for text in written[:before]]
