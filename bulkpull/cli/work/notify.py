"""The notices of a run's end, tried with a made-up run."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from bulkpull._version import __version__
from bulkpull.cli.errors import LogLevel, OutputOptions, write_error
from bulkpull.cli.log_output import LogListener, write_line
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.clock import SystemClock, iso_utc
from bulkpull.config.settings import Settings
from bulkpull.errors import BulkpullError, SettingsError
from bulkpull.events import Events
from bulkpull.observability.notifications import post, run_command
from bulkpull.output.manifest import Manifest, Requests, Tool

MADE_UP = "test"
"""The id of the run that is told of."""


def send_made_up_notices(*, config: Path | None, as_json: bool, speech: OutputOptions) -> int:
    """
    Tell `notify_command` and `notify_url` of a run that never was; returns 1 when one did not take it, else 0.

    Raises:
        SettingsError: Neither is set.
    """
    settings = Settings.load(config)
    if settings.notify_command is None and settings.notify_url is None:
        raise SettingsError(
            "there is nobody to tell", why="neither `notify_command` nor `notify_url` is set", fix="set one of them"
        )
    lost = anyio.run(_try_each, settings, speech)
    tried = [{"to": to, "sent": error is None, "why": error.reason if error else None} for to, error in lost.items()]
    if as_json:
        print_json({"version": 1, "notices": tried})
    for to, error in lost.items():
        if error is not None:
            write_error(speech, error.what, why=error.why, fix=error.fix)
        elif not as_json:
            print_data(f"{to}: took the manifest of the made-up run {MADE_UP!r}")
    return 1 if any(lost.values()) else 0


async def _try_each(settings: Settings, speech: OutputOptions) -> dict[str, BulkpullError | None]:
    clock = SystemClock()
    events = Events(LogListener(speech, write=write_line, default=LogLevel.WARNING))
    manifest = made_up_manifest(now=iso_utc(clock.now()), api_base_url=settings.api_base_url)
    found: dict[str, BulkpullError | None] = {}
    with tempfile.TemporaryDirectory(prefix="bulkpull-notice-") as folder:
        path = await anyio.to_thread.run_sync(manifest.save, Path(folder))
        ways: dict[str, Callable[[], Awaitable[None]]] = {}
        if settings.notify_command is not None:
            ways["notify_command"] = partial(
                run_command, settings.notify_command, manifest, path=path, within_s=settings.notify_seconds
            )
        if settings.notify_url is not None:
            ways["notify_url"] = partial(post, settings, manifest, events=events, clock=clock)
        for to, tell in ways.items():
            try:
                await tell()
            except BulkpullError as error:
                found[to] = error
            else:
                found[to] = None
    return found


def made_up_manifest(*, now: str, api_base_url: str) -> Manifest:
    """The manifest of a run of no datasets (pure)."""
    values: dict[str, Any] = {
        "run_id": MADE_UP,
        "status": "complete",
        "started_at": now,
        "finished_at": now,
        "notes": ["this run never was: `bulkpull notify test` tells of it"],
    }
    return Manifest(
        tool=Tool(version=__version__), api_base_url=api_base_url, requests=Requests(), datasets=[], **values
    )
