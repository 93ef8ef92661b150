"""A run under a live display, which is loaded only on a terminal, or a log; and its end for people or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from bulkpull.cli.console import error_console
from bulkpull.cli.error_output import INTERRUPTED, write_json_line
from bulkpull.cli.invocation import Invocation
from bulkpull.cli.log_output import LogListener, libraries_logged_by, write_line
from bulkpull.cli.options import CommonOptions, LogLevel
from bulkpull.cli.signals import run_interruptibly
from bulkpull.cli.stdio import print_json
from bulkpull.cli.summary import print_failures, print_interruption, print_summary
from bulkpull.event_types import (
    AllowanceAwaited,
    CallRetried,
    ColumnKeptAsText,
    ListOdd,
    MetricsRefused,
    PaceChanged,
    PlanNoted,
    PullFinished,
    QuotaReached,
)
from bulkpull.events import Events
from bulkpull.observability.failures import failure_groups
from bulkpull.output.manifest import Manifest
from bulkpull.output.run_history import last_durations
from bulkpull.output.store import open_store
from bulkpull.pipeline.run import Run

_ON_DISPLAY = (
    PullFinished, CallRetried, PaceChanged, QuotaReached, AllowanceAwaited, ColumnKeptAsText, PlanNoted, MetricsRefused,
    ListOdd,
)  # fmt: skip
# Failed datasets, which are the whole summary with `--quiet`.
_IN_SUMMARY = (PullFinished,)


def run_with_display(make: Callable[[Events], Run], *, invocation: Invocation, common: CommonOptions) -> int:
    """Do a run under a display or a log, and print its end; returns the exit status."""
    console = error_console()  # one console: text above a live display has to be printed through it

    def print_stopping() -> None:
        if common.logs_json:
            write_json_line("run.stopping", level="warning")
        else:
            console.print("stopping; press again to stop at once", soft_wrap=True)

    with shown_events(common, console, output=invocation.output) as events:
        run = make(events)
        try:
            interrupted = run_interruptibly(run.export, when_asked=print_stopping, when_forced=run.record_interruption)
        except BaseException:
            # A run may fail after its manifest was written; standard output has to get it.
            _print_manifest(run.manifest, common)
            raise
    manifest = run.manifest
    _print_manifest(manifest, common)
    if manifest is not None and not manifest.interrupted:
        interrupted = False  # the run had ended, and the signal came while it cleaned up: there is nothing to resume
    _print_end(manifest, console, invocation=invocation, interrupted=interrupted, common=common)
    if interrupted:
        return INTERRUPTED
    run.events.raise_faults()  # a defect in the display or the log, which did the run no harm
    assert manifest is not None
    return manifest.exit_code


def _print_manifest(manifest: Manifest | None, common: CommonOptions) -> None:
    if common.as_json and manifest is not None:
        print_json(manifest.as_dict())


def _print_end(
    manifest: Manifest | None, console: Console, *, invocation: Invocation, interrupted: bool, common: CommonOptions
) -> None:
    if common.logs_json:
        if manifest is not None and not interrupted:
            for group in failure_groups(manifest):
                facts = {"run_id": manifest.run_id, "datasets": group.datasets, "reason": group.reason}
                write_json_line("datasets.lost", level="error", **facts)
        return
    if manifest is not None and not common.quiet:
        print_summary(manifest, console, invocation=invocation)
    elif manifest is not None and not interrupted:
        print_failures(manifest, console, config=invocation.config)
    if interrupted:
        print_interruption(console, resume=invocation.resume(manifest.run_id) if manifest else None)


@contextmanager
def shown_events(common: CommonOptions, console: Console, *, output: Path) -> Iterator[Events]:
    """
    Events that are shown while the block lasts: on a terminal by the live display, with warnings above it, else logged.

    The display estimates durations by earlier runs in `output`.
    """
    with ExitStack() as stack:
        wants_lines = common.quiet or common.logs_json or common.log_level in (LogLevel.DEBUG, LogLevel.INFO)
        if not wants_lines and console.file.isatty() and not console.is_dumb_terminal:
            from bulkpull.cli.live_display import Display  # slow to load

            display = stack.enter_context(Display(console, usual=last_durations(open_store(output))))
            log = LogListener(common, write=display.print_above, default=LogLevel.WARNING, silent=_ON_DISPLAY)
            events = Events(display, log)
        else:
            log = LogListener(common, write=write_line, silent=_IN_SUMMARY if common.quiet else ())
            events = Events(log)
        stack.enter_context(libraries_logged_by(log))
        yield events
