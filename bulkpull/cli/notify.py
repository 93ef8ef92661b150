"""`bulkpull notify`: test the notifications about a run's end."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from bulkpull._version import __version__
from bulkpull.cli.command_decorator import command, new_app
from bulkpull.cli.error_output import write_error
from bulkpull.cli.options import CommonOptions, LogLevel
from bulkpull.cli.service_call import load_settings
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.clock import SystemClock
from bulkpull.errors import BulkpullError, SettingsError
from bulkpull.events import Events

app = new_app("notify", "bulkpull notify test")

MADE_UP = "test"
"""The id of the made-up run."""


@command(app, "test", short_help="Test `notify_command` and `notify_url` with a made-up run.")
def test_notifications(*, common: CommonOptions) -> int:
    """
    Send the manifest of a made-up run, `test`, to `notify_command` and `notify_url`, as the end of a run does.

    Exit status 1 when one of them failed, 2 when neither is set.

    Examples:
        bulkpull notify test
        bulkpull notify test --config bulkpull.toml --json
    """
    import anyio  # slow to load, as all of these

    from bulkpull.cli.log_output import LogListener, write_line
    from bulkpull.observability.notifications import post, run_command
    from bulkpull.output.manifest import Manifest, Requests, Tool
    from bulkpull.output.store import INSIDE, open_store

    settings = load_settings(common)
    if settings.notify_command is None and settings.notify_url is None:
        raise SettingsError(
            "there is nothing to notify", why="neither `notify_command` nor `notify_url` is set", fix="set one of them"
        )
    clock, command, within_s = SystemClock(), settings.notify_command, settings.notify_seconds
    events = Events(LogListener(common, write=write_line, default=LogLevel.WARNING))
    now = clock.now()
    manifest = Manifest(
        run_id=MADE_UP,
        status="complete",
        started_at=now,
        finished_at=now,
        tool=Tool(version=__version__),
        api_base_url=settings.api_base_url,
        requests=Requests(),
        datasets=[],
        notes=["this run is not real: `bulkpull notify test` made it up"],
    )
    outcomes: dict[str, BulkpullError | None] = {}
    with tempfile.TemporaryDirectory(prefix="bulkpull-notice-") as folder:
        store = open_store(Path(folder))
        manifest.save(store)
        path = Path(store.place(INSIDE.manifest(manifest.run_id)))
        ways: dict[str, Callable[[], Awaitable[None]]] = {}
        if command is not None:
            ways["notify_command"] = partial(run_command, command, manifest, path=path, within_s=within_s)
        if settings.notify_url is not None:
            ways["notify_url"] = partial(post, settings, manifest, events=events, clock=clock)
        for to, send in ways.items():
            outcomes[to] = None
            try:
                anyio.run(send)
            except BulkpullError as refused:
                outcomes[to] = refused
    if common.as_json:
        tried = [{"to": to, "sent": error is None, "why": error and error.reason} for to, error in outcomes.items()]
        print_json({"version": 1, "notices": tried})
    for to, error in outcomes.items():
        if error is not None:
            write_error(common, error)
        elif not common.as_json:
            print_data(f"{to}: accepted the manifest of the made-up run {MADE_UP!r}")
    return 1 if any(outcomes.values()) else 0
