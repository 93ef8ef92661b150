"""Export: the run under a display or a log, and its end told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Console

from bulkpull.cli.errors import INTERRUPTED, LogLevel, OutputOptions, write_json_line
from bulkpull.cli.live_display import Display
from bulkpull.cli.log_output import LogListener, libraries_logged_by, write_line
from bulkpull.cli.run_summary import Invocation, print_interruption, print_losses, print_summary, write_losses
from bulkpull.cli.signals import run_interruptibly
from bulkpull.cli.stdio import print_json
from bulkpull.cli.work.consoles import error_console
from bulkpull.cli.work.plan import show_plan
from bulkpull.cli.work.selecting import Selecting, request_of
from bulkpull.cli.work.target import aimed
from bulkpull.days import window_of
from bulkpull.errors import SettingsError
from bulkpull.events import Event, Events, Listener
from bulkpull.identity import DEMO
from bulkpull.observability.event_context import EventContext
from bulkpull.output.owner import check_owner
from bulkpull.output.run_history import last_durations
from bulkpull.pipeline.run import Run

_WITHOUT_BOUND = 1_000_000
# What the display shows by itself, and what the summary tells.
_ON_DISPLAY = frozenset(
    {
        *("pull.finished", "call.retried", "pace.changed", "quota.reached", "allowance.awaited", "column.kept_as_text"),
        *("plan.noted", "metrics.refused", "list.odd"),
    }
)
# Lost datasets, which are the whole summary where everything else is hushed.
_IN_SUMMARY = frozenset({"pull.finished"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """The options of `bulkpull export` and `bulkpull nightly`; `None` and `False` where not given."""

    datasets: tuple[str, ...]
    demo: bool
    plan: bool
    output: Path | None
    config: Path | None
    timespan: str | None
    since: date | None
    until: date | None
    metrics: str | None = None
    everything: bool
    nightly: bool = False
    submit_only: bool = False
    selecting: Selecting = field(default_factory=Selecting)
    keep_raw: bool
    reset_types: bool = False
    metrics_file: Path | None
    as_json: bool
    yes: bool = False


def run_export(options: ExportOptions, speech: OutputOptions) -> int:
    """
    Carry out `bulkpull export` or `bulkpull nightly`; returns the exit status.

    Raises:
        BulkpullError: Nothing could be done at all.
    """
    if options.reset_types and not options.datasets:
        raise SettingsError(
            "--reset-types was given, and no dataset is named",
            fix="name those whose columns became text: bulkpull export AzureUsage --reset-types",
        )
    window = window_of(options.since, options.until, now=datetime.now(UTC))
    with aimed(
        options.config,
        demo=options.demo,
        output=options.output,
        timespan=options.timespan,
        metrics=options.metrics,
        reports_per_dataset=_WITHOUT_BOUND if options.yes else None,
        keep_raw=options.keep_raw or None,
        metrics_file=options.metrics_file,
    ) as settings:
        request = request_of(
            options.datasets,
            options.selecting,
            settings=settings,
            window=window,
            open_ended=options.until is None,
            everything=options.everything,
            nightly=options.nightly,
            submit_only=options.submit_only,
            reset_types=options.reset_types,
        )
        account = DEMO if options.demo else settings.account
        if options.plan:
            check_owner(settings.output.absolute(), account)
            return show_plan(request, settings=settings, as_json=options.as_json, speech=speech)
        invocation = Invocation(
            output=settings.output,
            config=options.config,
            demo=options.demo,
            command="nightly" if options.nightly else "export",
            options=_options_to_repeat(options),
        )
        return carry_out(
            lambda listener: Run(request, settings, Events(listener), account=account),
            invocation=invocation,
            as_json=options.as_json,
            speech=speech,
        )


def _options_to_repeat(options: ExportOptions) -> tuple[str, ...]:
    """The options that decide what is asked for, to be pasted: without them something else would be exported."""
    given = {
        "--since": options.since and options.since.isoformat(),
        "--until": options.until and options.until.isoformat(),
        "--timespan": options.timespan,
        "--metrics": options.metrics,
    }
    return tuple(word for option, value in given.items() if value for word in (option, value))


def carry_out(make: Callable[[Listener], Run], *, invocation: Invocation, as_json: bool, speech: OutputOptions) -> int:
    """
    Do a run under a display or a log, and tell its end; returns the exit status.

    Args:
        make: Makes the run, with the listener that is to hear of it.

    Raises:
        BulkpullError: Nothing could be done at all.
    """
    console = error_console()
    with watching(speech, console, output=invocation.output) as listener:
        run = make(listener)
        try:
            interrupted = run_interruptibly(run.export, when_asked=lambda: _say_stopping(speech, console))
        except BaseException:
            # A run may fail after its account was written; whoever reads standard output is owed it.
            _print_manifest(run, as_json=as_json)
            raise
    _print_manifest(run, as_json=as_json)
    _tell_end(run, speech, console, invocation=invocation, interrupted=interrupted)
    if interrupted:
        return INTERRUPTED
    run.events.raise_faults()  # a defect in the display or the log, which did the run no harm
    assert run.manifest is not None
    return run.manifest.exit_code


@contextmanager
def watching(speech: OutputOptions, console: Console, *, output: Path | None = None) -> Iterator[Listener]:
    """
    A listener for the run: the live display on a terminal, with warnings above it, or the log.

    Args:
        output: Where earlier runs tell how long datasets take; without it no end is foretold.
    """
    with ExitStack() as stack:
        if has_display(speech, console):
            usual = last_durations(output) if output else {}
            display = stack.enter_context(Display(console, usual=usual))
            log = LogListener(speech, write=display.print_above, default=LogLevel.WARNING, hushed=_ON_DISPLAY)
            listeners: tuple[Listener, ...] = (display, log)
        else:
            log = LogListener(speech, write=write_line, hushed=_IN_SUMMARY if speech.quiet else frozenset())
            listeners = (log,)
        stack.enter_context(libraries_logged_by(log))
        attribution = EventContext()

        def listen(event: Event) -> None:
            attributed = attribution.of(event)
            for listener in listeners:
                listener(attributed)

        yield listen


def has_display(speech: OutputOptions, console: Console) -> bool:
    """Whether there is a terminal to draw on, and nobody asked for log lines or for silence."""
    wants_lines = speech.quiet or speech.is_json or speech.log_level in (LogLevel.DEBUG, LogLevel.INFO)
    return not wants_lines and console.file.isatty() and not console.is_dumb_terminal


def _say_stopping(speech: OutputOptions, console: Console) -> None:
    if speech.is_json:
        write_json_line("run.stopping", level="warning")
    else:
        console.print("stopping; once more to stop at once", soft_wrap=True)


def _print_manifest(run: Run, *, as_json: bool) -> None:
    if as_json and run.manifest is not None:
        print_json(run.manifest.as_dict())


def _tell_end(run: Run, speech: OutputOptions, console: Console, *, invocation: Invocation, interrupted: bool) -> None:
    manifest = run.manifest
    if speech.is_json:
        if manifest is not None and not interrupted:
            write_losses(manifest)
        return
    if manifest is not None and speech.quiet and not interrupted:
        print_losses(manifest, console)
    elif manifest is not None and not speech.quiet:
        print_summary(manifest, console, invocation=invocation)
    if interrupted:
        print_interruption(console)
