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
from bulkpull.output.ledger import Ledger, RunEntry, opened_ledger
from bulkpull.output.ledger_facts import ReportFacts
from bulkpull.output.lock import find_writer
from bulkpull.output.owner import NO_REPORT, check_owner
from bulkpull.output.store import open_store

# The service's own number, where it limits one-off reports at all (behaviour 85).
_ONE_OFF_REPORTS = 5
_TRIAL = ".bulkpull-trial-"


async def check_output_folder(settings: Settings, *, clock: Clock) -> list[CheckResult]:
    """Everything about the output folder; nothing is left there."""
    output, quota_window_s = settings.output, settings.one_off_quota_window_seconds
    layout = Layout(output)
    private = layout.private
    if _exists(layout.ledger):
        try:
            async with opened_ledger(private, read_only=True) as ledger:
                runs = await ledger.runs()
                quota = await _check_quota(ledger, clock=clock, window_s=quota_window_s)
            known = _tell_runs(runs)
        except BulkpullError as error:
            known, quota = problem_from("ledger", error), unchecked("quota", "the ledger cannot be read")
    else:
        known, quota = _tell_runs([]), _tell_quota([], window_s=quota_window_s)
    unwritable = await run_sync(_find_obstacle, output)
    room = await run_sync(_check_room, settings)
    if unwritable is not None and not _is_for_lack_of_room(unwritable):
        # Free bytes do not matter in a folder that cannot be written, and /proc and similar have none.
        room = replace(unchecked("disk", f"the output folder cannot be written; {room.message}"), facts=room.facts)
    return [
        await run_sync(_check_output, settings, unwritable),
        await run_sync(_check_links, output),
        room,
        await run_sync(_check_lock, private),
        known,
        quota,
    ]


def _is_for_lack_of_room(unwritable: BulkpullError) -> bool:
    return getattr(unwritable.__cause__, "errno", None) in platforms.NO_ROOM


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
    exists = output == _nearest(output)
    try:
        with disk_errors(output):
            if unwritable is not None:
                return _tell_obstacle(unwritable)
            check_owner(open_store(output), settings.account)
    except BulkpullError as error:
        found = problem_from("output", error)
        return replace(found, fix=(found.fix or "").removesuffix(NO_REPORT))
    message = "can be written" if exists else "does not exist yet and can be created"
    return fine("output", f"{output} {message}", facts={"path": str(output), "exists": exists})


def _tell_obstacle(unwritable: BulkpullError) -> CheckResult:
    """The obstacle, with a folder that can be written as its fix where another folder helps."""
    found = problem_from("output", unwritable)
    usual = Path(Settings.model_fields["output"].default).absolute()
    example = f", such as {usual}" if _find_obstacle(usual) is None else ""
    step = f"set `output` (or --output) to a folder that can be written{example}"
    return replace(found, fix=(found.fix or "").replace("choose another folder with --output", step))


def _check_links(output: Path) -> CheckResult:
    """Whether `latest/` can be created; reported before the first run, because readers have to know."""
    try:
        with tempfile.TemporaryDirectory(dir=_nearest(output), prefix=_TRIAL) as trial:
            has_them = has_links(Path(trial))
    except OSError:
        return unchecked("links", "the output folder cannot be written")
    if has_them:
        return fine(
            "links", "the file system has links: `latest/` leads to the newest snapshots", facts={"links": True}
        )
    return fine(
        "links",
        "the file system has no links: `latest/` is not created, and readers use `current.json`",
        facts={"links": False},
    )


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
    return problem("disk", message, fix=FIX, facts=facts) if room.too_large else fine("disk", message, facts=facts)


def _check_lock(private: Path) -> CheckResult:
    writer = find_writer(private)
    if writer is not None:
        return fine("lock", f"a run is writing to this folder at the moment: {writer}", facts={"held": True})
    return fine("lock", "free: no run is writing to this folder", facts={"held": False})


async def _check_quota(ledger: Ledger, *, clock: Clock, window_s: float) -> CheckResult:
    since = clock.now() - timedelta(seconds=window_s)
    return _tell_quota(await ledger.moments(ReportFacts, since=since), window_s=window_s)


def _tell_quota(made: Sequence[datetime], *, window_s: float) -> CheckResult:
    window = f"the last {window_s / 60:,.0f} minutes"
    message = f"{plural(len(made), 'one-off report')} made from here in {window}"
    if len(made) >= _ONE_OFF_REPORTS:
        opens = max(made[-_ONE_OFF_REPORTS] + timedelta(seconds=window_s), made[-1])
        message += f"; where the service allows {_ONE_OFF_REPORTS}, a run waits for its turn until {opens:%H:%M}Z"
    return fine("quota", message, facts={"made": len(made), "window_s": window_s})


def _tell_runs(runs: Sequence[RunEntry]) -> CheckResult:
    if not runs:
        return fine("ledger", "no run of this folder is known", facts={"runs": 0})
    last = runs[0]
    message = f"it can be read: {plural(len(runs), 'run')}, the last {last.status or 'unfinished'}"
    return fine(
        "ledger", f"{message}, begun {iso_utc(last.started_at)}", facts={"runs": len(runs), "last": last.run_id}
    )


def _nearest(path: Path) -> Path:
    """The path itself where it exists, else the nearest folder above it that does."""
    path = path.absolute()
    while not _exists(path) and path != path.parent:
        path = path.parent
    return path


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - a path's own method raises where a folder may not be entered
