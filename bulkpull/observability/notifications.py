"""Notifications about the end of a run, sent last: a command and a URL from the settings receive the manifest."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.to_thread

from bulkpull import platforms
from bulkpull._version import __version__
from bulkpull.child_process import end_process, without_secrets
from bulkpull.clock import Clock
from bulkpull.config.settings import ENV_PREFIX, Settings
from bulkpull.errors import BulkpullError
from bulkpull.event_types import NoticeLost, NoticeSent
from bulkpull.events import Events
from bulkpull.output.atomic_files import to_disk_error
from bulkpull.output.manifest import Manifest
from bulkpull.transport.http import Http
from bulkpull.transport.http_messages import Request, Timeouts

_MOST_WORDS_BYTES = 300
_GOOD = range(200, 300)


async def send_notices(manifest: Manifest, *, path: Path, settings: Settings, events: Events, clock: Clock) -> None:
    """Notify the command and the address of the settings at the same time; a failed notification is only a warning."""
    async with anyio.create_task_group() as group:
        if (command := settings.notify_command) is not None:
            run = partial(run_command, command, manifest, path=path, within_s=settings.notify_seconds)
            group.start_soon(_guarded, "command", run, events)
        if settings.notify_url is not None:
            group.start_soon(_guarded, "url", partial(post, settings, manifest, events=events, clock=clock), events)


async def _guarded(to: str, notify: Callable[[], Awaitable[None]], events: Events) -> None:
    try:
        await notify()
    except BulkpullError as lost:
        events.emit(NoticeLost(to=to, reason=lost.reason))
    except Exception as fault:  # noqa: BLE001 - a fault of ours must not harm the run
        events.emit(NoticeLost(to=to, reason=f"an unexpected fault ({type(fault).__name__}: {fault})"))
    else:
        events.emit(NoticeSent(to=to))


async def run_command(command: str, manifest: Manifest, *, path: Path, within_s: float) -> None:
    """
    Run a command, without a shell, with the manifest as its standard input; it does not outlive this program.

    Raises `BulkpullError` where it could not be run, failed (with what it printed), or was ended after `within_s`.
    """
    words = platforms.current().split_command(command)
    by_hand = f"run it by hand, with {path} as its standard input"
    with ExitStack() as stack:
        try:
            manifest_file = stack.enter_context(await anyio.to_thread.run_sync(path.open, "rb"))
            said = stack.enter_context(await anyio.to_thread.run_sync(tempfile.TemporaryFile))
            environment = environment_for(manifest, os.environ)
            await anyio.to_thread.run_sync(partial(_check_program, words[0], search=environment.get("PATH")))
            guarded, options = stack.enter_context(platforms.current().guarded(words))
            process = await anyio.open_process(
                guarded, stdin=manifest_file, stdout=said, stderr=subprocess.STDOUT, env=environment, **options
            )
        except FileNotFoundError:
            raise BulkpullError(f"`notify_command`: there is no program {words[0]}", fix=by_hand) from None
        except OSError as trouble:
            error = to_disk_error(trouble, Path(words[0]))
            raise BulkpullError("`notify_command` could not be run", why=error.reason, fix=by_hand) from None
        try:
            with anyio.move_on_after(within_s):
                await process.wait()
        finally:
            status = process.returncode
            await end_process(process)
        if status is None:
            raise BulkpullError(
                f"`notify_command` was ended after {within_s:g} s",
                fix="let it work in the background, or raise `notify_seconds`",
            )
        if status != 0:
            words_said = await anyio.to_thread.run_sync(_last_words, said)
            raise BulkpullError(f"`notify_command` ended with status {status}", why=words_said or None, fix=by_hand)


def environment_for(manifest: Manifest, surroundings: Mapping[str, str]) -> dict[str, str]:
    """The environment of the command: no setting of ours, no secret, and what became of the run (pure)."""
    return without_secrets(surroundings) | {
        f"{ENV_PREFIX}RUN_ID": manifest.run_id,
        f"{ENV_PREFIX}STATUS": "interrupted" if manifest.interrupted else manifest.status,
        f"{ENV_PREFIX}EXIT_CODE": str(manifest.exit_code),
    }


def _check_program(name: str, *, search: str | None) -> None:
    """Look for a program as starting it would."""
    if shutil.which(name, path=search) is None:
        number = errno.EACCES if os.path.dirname(name) and os.path.exists(name) else errno.ENOENT  # noqa: PTH110, PTH120
        raise OSError(number, os.strerror(number))


async def post(settings: Settings, manifest: Manifest, *, events: Events, clock: Clock) -> None:
    """Send the manifest to `notify_url` as JSON, once; `BulkpullError` where it was not taken with 2xx in time."""
    assert settings.notify_url is not None
    within_s = settings.notify_seconds
    request = Request(
        "POST",
        settings.notify_url.get_secret_value(),
        endpoint="notify_url",
        json=manifest.as_dict(),
        timeouts=Timeouts(connect_s=min(within_s, Timeouts().connect_s), read_s=within_s, total_s=within_s),
        creates=True,
    )
    user_agent = f"bulkpull/{__version__}"
    async with Http(ca_file=settings.ca_file, events=events, clock=clock, user_agent=user_agent) as http:
        reply = await http.send(request)
    if reply.status not in _GOOD:
        raise BulkpullError(
            f"{request.label} answered {reply.status} {reply.reason}".rstrip(),
            fix="check `notify_url`, and that it accepts a POST of JSON",
        )


def _last_words(said: BinaryIO) -> str:
    size_bytes = said.seek(0, os.SEEK_END)
    said.seek(max(0, size_bytes - _MOST_WORDS_BYTES))
    return said.read().decode("utf-8", "replace").strip()
