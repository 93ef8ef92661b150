"""Writes log, report, metrics and notifications of a run from its events. A failure here is only a warning."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from bulkpull.clock import Clock
from bulkpull.config.settings import Settings
from bulkpull.event_types import AccountLacking, Event, Level, NoticeLost, ReportCreated, RunStarted
from bulkpull.events import Events
from bulkpull.extras import install_command
from bulkpull.observability.notifications import send_notices
from bulkpull.observability.progress import INTERVAL_S, Progress
from bulkpull.observability.run_log import RunLog, parse_entry
from bulkpull.observability.run_summary import RunSummary
from bulkpull.observability.telemetry import telemetry_for
from bulkpull.observability.timings import RunTimings, timings_from_log
from bulkpull.output.atomic_files import to_disk_error
from bulkpull.output.manifest import Manifest
from bulkpull.output.run_history import last_published, manifests, run_ids
from bulkpull.output.store import INSIDE, OutputStore, open_store

if TYPE_CHECKING:
    from bulkpull.observability.telemetry.spans import Telemetry

# A dataset that was in none of a month's nightly runs counts as new.
_MOST_LOOKED_AT = 30
_KEPT_ACCOUNTS = 100
_GRACE_S = 5.0
# A person who stops a run waits for its end.
_HURRY_S = 2.0


class RunRecorder:
    """Records one run; created by `recorded_run`."""

    def __init__(self, settings: Settings, *, events: Events, clock: Clock) -> None:
        # Absolute: a program may change its folder during the run.
        self._metrics_file = settings.metrics_file.absolute() if settings.metrics_file else None
        self._settings = settings
        self._output = settings.output.absolute()
        self._store = open_store(self._output)
        self._events = events
        self._clock = clock
        self._run_id = ""
        self._log = RunLog(self._output)
        self._timings = RunTimings()
        self._began_s = clock.monotonic()
        self._progress = Progress(began_s=self._began_s)
        self._is_resumed = False
        self._is_created = anyio.Event()
        self._manifest: Manifest | None = None
        self._metrics_turn = anyio.Lock()
        self._is_shown_running = False
        self._telemetry: Telemetry | None = None

    def __call__(self, event: Event) -> None:
        """Record one event; those before the run has a name belong to no run."""
        if isinstance(event, RunStarted):
            self._run_id, self._is_resumed = event.run_id, event.resumed
            self._began_s = self._clock.monotonic()
        elif isinstance(event, ReportCreated):
            self._is_created.set()
        if self._run_id:
            self._log.append(event, run_id=self._run_id, at=self._clock.now())
            self._timings.record(event, at_s=self._clock.monotonic() - self._began_s)
            self._progress.note(event, now_s=self._clock.monotonic())
            self._note_telemetry(event)

    async def open(self) -> None:
        """Open the log and start telemetry."""
        await anyio.to_thread.run_sync(self._log.start)
        try:
            self._telemetry = await anyio.to_thread.run_sync(telemetry_for, os.environ)
        except ImportError as missing:
            fix = f"install it: {install_command('otel')}, or set OTEL_SDK_DISABLED=true"
            # No warning: the variables may be set for every program of the machine.
            self._events.emit(AccountLacking(part="telemetry", reason=f"{missing}; {fix}", level=Level.INFO))
        except Exception as fault:  # noqa: BLE001 - a variable of the environment that the SDK does not understand
            self._events.emit(AccountLacking(part="telemetry", reason=f"{type(fault).__name__}: {fault}"))

    async def complete(self, manifest: Manifest) -> None:
        """Write the run's page and metrics; the manifest is written already, and the run's end is logged."""
        await self._write_artifact(self._place(INSIDE.runs), partial(tidy, self._store))
        await self._write_artifact(self._place(INSIDE.report(manifest.run_id)), partial(self._write_page, manifest))
        self._manifest = manifest
        await self._write_metrics()

    async def report_progress(self) -> None:
        """Each minute until the run has ended: emit `run.progressed`, and renew the metrics file."""
        while True:
            await self._clock.sleep(INTERVAL_S)
            if self._manifest is not None:
                return
            self._events.emit(self._progress.as_event(now_s=self._clock.monotonic()))
            await self._write_metrics(is_running=True)

    async def prepare_page(self) -> None:
        """Load what makes the page while the service makes a report: a tenth of a second that the run's end saves."""

        def load() -> None:
            from bulkpull.observability.html_report import load_template  # noqa: PLC0415 - slow

            load_template()

        await self._is_created.wait()
        with suppress(Exception):  # it is raised again, and reported, when the page is written
            await anyio.to_thread.run_sync(load)

    async def _write_metrics(self, *, is_running: bool = False) -> None:
        """Tell in the metrics file how far the run is; once it has ended, how, which nothing replaces."""
        if (path := self._metrics_file) is None:
            return
        async with self._metrics_turn:
            if self._manifest is None or not is_running:
                self._is_shown_running = is_running
                await self._write_artifact(path, partial(self._replace_metrics, path, is_running=is_running))

    def _replace_metrics(self, path: Path, *, is_running: bool) -> None:
        from bulkpull.observability import prometheus  # noqa: PLC0415 - slow, and few runs need it

        if self._manifest is not None:
            prometheus.write_numbers(path, self._manifest, output=self._output)
            return
        now = self._clock.now()
        prometheus.write_progress(path, self._progress, output=self._output, now=now, is_running=is_running)

    async def send_notices(self) -> None:
        """Send the notifications of the run's end, once its log and page are complete."""
        if self._manifest is None:
            return
        within_s = self._settings.notify_seconds + _GRACE_S
        if self._manifest.interrupted:
            within_s = min(within_s, _HURRY_S)
        # Shielded: the run has ended, and a cancellation may not stop its notifications.
        with anyio.move_on_after(within_s, shield=True) as patience:
            await send_notices(
                self._manifest,
                path=self._place(INSIDE.manifest(self._run_id)),
                settings=self._settings,
                events=self._events,
                clock=self._clock,
            )
        if patience.cancelled_caught:
            self._events.emit(NoticeLost(reason=f"not all notifications were sent within {within_s:g} s"))

    def _place(self, name: Path) -> Path:
        """The place of a file of the output, for messages and for the notification command."""
        return Path(self._store.place(name))

    async def _write_artifact(self, path: Path, write: Callable[[], None]) -> None:
        try:
            await anyio.to_thread.run_sync(write)
        except OSError as trouble:
            elsewhere = {"elsewhere": "another `metrics_file`"} if path == self._metrics_file else {}
            self._warn_missing(path, to_disk_error(trouble, path, **elsewhere).reason)
        except Exception as fault:  # noqa: BLE001 - a fault of ours must not harm the run
            self._warn_missing(path, f"an unexpected fault ({type(fault).__name__}: {fault}); please report it")

    async def close(self) -> None:
        """Close the log; the metrics file no longer shows a run without a manifest as running."""
        with anyio.CancelScope(shield=True):
            if self._is_shown_running:
                await self._write_metrics()
            if self._telemetry is not None:
                await anyio.to_thread.run_sync(self._telemetry.close)
            trouble = await anyio.to_thread.run_sync(self._log.close)
        if trouble is not None:
            log = self._place(INSIDE.log(self._run_id))
            self._warn_missing(log, to_disk_error(trouble, log).reason)

    def _note_telemetry(self, event: Event) -> None:
        if self._telemetry is None:
            return
        try:
            self._telemetry.note(event, at=self._clock.now())
        except Exception as fault:  # noqa: BLE001 - whoever only watches must not harm the run
            self._telemetry = None
            self._events.emit(AccountLacking(part="telemetry", reason=f"{type(fault).__name__}: {fault}"))

    def _write_page(self, manifest: Manifest) -> None:
        from bulkpull.observability.html_report import render_report  # noqa: PLC0415 - see `prepare_page`

        timings = self._timings
        earlier = timings_from_log(_earlier_sessions(self._store, self._run_id)) if self._is_resumed else None
        account = RunSummary(
            manifest,
            self._settings.output,
            earlier.then(timings) if earlier is not None else timings,
            rows_before(manifest, manifests(self._store)),
        )
        self._store.put(INSIDE.report(manifest.run_id), render_report(account))

    def _warn_missing(self, path: Path, reason: str) -> None:
        self._events.emit(AccountLacking(part=path.name, reason=reason))


def tidy(store: OutputStore, *, kept: int = _KEPT_ACCOUNTS) -> None:
    """Remove the logs and pages of all runs but the newest `kept`, which would fill the disk slowly."""
    for run_id in run_ids(store)[kept:]:
        for name in (INSIDE.log(run_id), INSIDE.report(run_id)):
            store.delete(name)


def rows_before(manifest: Manifest, earlier: Iterable[Manifest]) -> dict[str, int]:
    """Rows of the snapshots that those of `manifest` replaced, by dataset (pure)."""
    # Ids and times are exact to the second, and two runs may begin in one; but not while one of them lasts.
    before = (
        other
        for other in islice(earlier, _MOST_LOOKED_AT)
        if other.run_id != manifest.run_id and other.finished_at <= manifest.started_at
    )
    return {dataset: record.rows for dataset, record in last_published(before, manifest.published).items()}


def _earlier_sessions(store: OutputStore, run_id: str) -> list[tuple[Event, datetime]]:
    """The timings of the time before the run was last resumed, from its log."""
    try:
        with store.open(INSIDE.log(run_id)) as lines:
            texts = (line.decode("utf-8", "replace") for line in lines)
            entries = [entry for text in texts if (entry := parse_entry(text)) is not None]
    except FileNotFoundError:
        return []
    starts = [number for number, (event, _) in enumerate(entries) if isinstance(event, RunStarted)]
    return entries[: starts[-1]] if starts else []


@asynccontextmanager
async def recorded_run(settings: Settings, *, events: Events, clock: Clock) -> AsyncIterator[RunRecorder]:
    """Record the run that begins within the block; after it, however it ended, notifications are sent."""
    recorder = RunRecorder(settings, events=events, clock=clock)
    await recorder.open()
    failure: Exception | None = None
    try:
        with events.joined(recorder):
            try:
                async with anyio.create_task_group() as beside:
                    beside.start_soon(recorder.report_progress)
                    beside.start_soon(recorder.prepare_page)
                    try:
                        yield recorder
                    except Exception as error:  # noqa: BLE001 - raised below: out of the group it would be a group
                        failure = error
                    beside.cancel_scope.cancel()
                if failure is not None:
                    raise failure
            finally:
                await recorder.send_notices()
    finally:
        await recorder.close()
