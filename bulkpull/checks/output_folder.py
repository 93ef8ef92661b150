"""Checks the output folder: write access, disk space, lock, ledger and report quota."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from anyio.to_thread import run_sync

from bulkpull import platforms
from bulkpull.catalog import load_catalog
from bulkpull.checks.result import CheckResult, fine, problem, problem_from, unchecked
from bulkpull.clock import Clock, iso_utc
from bulkpull.config.settings import Settings
from bulkpull.errors import BulkpullError
from bulkpull.formatting import format_size, plural
from bulkpull.output.atomic_files import RESERVE_BYTES, disk_errors, has_links, sync_folder
from bulkpull.output.current import Current
from bulkpull.output.disk_space import FIX, describe_basis, estimate_room
from bulkpull.output.layout import Layout
from bulkpull.output.ledger import RunEntry, opened_ledger
from bulkpull.output.ledger_facts import ReportFacts
from bulkpull.output.lock import find_writer
from bulkpull.output.owner import check_owner
from bulkpull.output.store import open_store

# The service's own number, where it limits one-off reports at all (behaviour 85).
_ONE_OFF_REPORTS = 5
_TRIAL = ".bulkpull-trial-"


async def check_output_folder(settings: Settings, *, clock: Clock) -> list[CheckResult]:
    layout = Layout(settings.output)
    unwritable = await run_sync(_find_obstacle, settings.output)
    room = await run_sync(_check_room, settings)
    if unwritable is not None and getattr(unwritable.__cause__, "errno", None) not in platforms.NO_ROOM:
        # Free bytes do not matter in a folder that cannot be written, and /proc and similar have none.
        room = replace(unchecked("disk", f"the output folder cannot be written; {room.message}"), facts=room.facts)
    return [
        await run_sync(_check_output, settings, unwritable),
        await run_sync(_check_links, settings.output),
        room,
        await run_sync(_check_lock, layout.private),
        *await _check_ledger(layout, clock=clock, window_s=settings.one_off_quota_window_seconds),
    ]


def _find_obstacle(output: Path) -> BulkpullError | None:
    """Why an export could not write there; `None` where it could."""
    output, place = output.absolute(), _nearest(output)
    try:
        with disk_errors(output):
            if not place.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            # Tried in either case: /proc and similar folders claim to be writable.
            with (
                tempfile.TemporaryDirectory(dir=place, prefix=_TRIAL) as trial,
                (Path(trial) / "file").open("wb") as file,
            ):
                file.write(b"trial")
                file.flush()
                platforms.current().sync_file(file.fileno())
                sync_folder(Path(trial))
    except BulkpullError as error:
        return error
    return None


def _check_output(settings: Settings, unwritable: BulkpullError | None) -> CheckResult:
    """Whether an export could write there, and whether the data there are of the account that the settings name."""
    output = settings.output.absolute()
    if unwritable is not None:
        # A folder that can be written is the fix where another folder helps.
        found = problem_from("output", unwritable)
        usual = Path(Settings.model_fields["output"].default).absolute()
        example = f", such as {usual}" if _find_obstacle(usual) is None else ""
        step = f"set `output` (or --output) to a folder that can be written{example}"
        return replace(found, fix=(found.fix or "").replace("choose another folder with --output", step))
    try:
        with disk_errors(output):
            check_owner(open_store(output), settings.account)
    except BulkpullError as error:
        return problem_from("output", error)
    exists = output == _nearest(output)
    message = "can be written" if exists else "does not exist yet and can be created"
    return fine("output", f"{output} {message}", path=str(output), exists=exists)


def _check_links(output: Path) -> CheckResult:
    """Whether `latest/` can be created; reported before the first run, because readers have to know."""
    try:
        with tempfile.TemporaryDirectory(dir=_nearest(output), prefix=_TRIAL) as trial:
            links = has_links(Path(trial))
    except OSError:
        return unchecked("links", "the output folder cannot be written")
    if links:
        return fine("links", "the file system has links: `latest/` leads to the newest snapshots", links=True)
    message = "the file system has no links: `latest/` is not created, and readers use `current.json`"
    return fine("links", message, links=False)


def _check_room(settings: Settings) -> CheckResult:
    """By the rule that an export applies: of what is published, and before the first export of the twenty."""
    output = settings.output
    try:
        datasets = list(Current.load(open_store(output)).datasets)
    except BulkpullError as error:
        return problem_from("disk", error)
    except OSError:
        return unchecked("disk", "the output folder cannot be read")
    datasets = datasets or [dataset.name for dataset in load_catalog().standard]
    room = estimate_room(output, datasets, settings=settings, place=_nearest(output))
    facts = {"free_bytes": room.free_bytes + RESERVE_BYTES, "needed_bytes": room.needed_bytes + RESERVE_BYTES}
    message = (
        f"{format_size(facts['free_bytes'])} free; an export of {plural(len(datasets), 'dataset')} needs "
        f"{format_size(facts['needed_bytes'])} with its reserve ({describe_basis(room.sizes)})"
    )
    return problem("disk", message, fix=FIX, **facts) if room.too_large else fine("disk", message, **facts)


def _check_lock(private: Path) -> CheckResult:
    writer = find_writer(private)
    state = f"a run is writing to this folder at the moment: {writer}"
    return fine("lock", state if writer else "free: no run is writing to this folder", held=writer is not None)


async def _check_ledger(layout: Layout, *, clock: Clock, window_s: float) -> list[CheckResult]:
    """Whether the ledger can be read, and how many one-off reports it knows of within the window of their quota."""
    runs: Sequence[RunEntry] = ()
    made: Sequence[datetime] = ()
    if _exists(layout.ledger):
        try:
            async with opened_ledger(layout.private, read_only=True) as ledger:
                runs = await ledger.runs()
                made = await ledger.moments(ReportFacts, since=clock.now() - timedelta(seconds=window_s))
        except BulkpullError as error:
            return [problem_from("ledger", error), unchecked("quota", "the ledger cannot be read")]
    known = fine("ledger", "no run of this folder is known", runs=0)
    if runs:
        last = runs[0]
        message = f"it can be read: {plural(len(runs), 'run')}, the last {last.status or 'unfinished'}"
        known = fine("ledger", f"{message}, begun {iso_utc(last.started_at)}", runs=len(runs), last=last.run_id)
    message = f"{plural(len(made), 'one-off report')} made from here in the last {window_s / 60:,.0f} minutes"
    if len(made) >= _ONE_OFF_REPORTS:
        opens = max(made[-_ONE_OFF_REPORTS] + timedelta(seconds=window_s), made[-1])
        message += f"; where the service allows {_ONE_OFF_REPORTS}, a run waits for its turn until {opens:%H:%M}Z"
    return [known, fine("quota", message, made=len(made), window_s=window_s)]


def _nearest(path: Path) -> Path:
    """The path itself where it exists, else the nearest folder above it that does."""
    path = path.absolute()
    while not _exists(path) and path != path.parent:
        path = path.parent
    return path


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - a path's own method raises where a folder may not be entered
