"""
Reads the manifests of the runs in an output folder, newest first, and lists the runs that an id may name.

It locks, creates and changes nothing, so it can run beside an export; what retention deletes meanwhile is skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

import anyio

from bulkpull.errors import LedgerError, SettingsError
from bulkpull.output.current import Current
from bulkpull.output.layout import RUN_ID, Layout
from bulkpull.output.ledger import Ledger, opened_ledger, read_facts
from bulkpull.output.ledger_facts import PublicationFacts
from bulkpull.output.lock import find_writer
from bulkpull.output.manifest import DatasetRecord, Manifest
from bulkpull.output.store import INSIDE, OutputStore, open_store

T = TypeVar("T")

_MOST_NAMED = 5
_DURATIONS_OF_RUNS = 20


def run_start_time(run_id: str) -> datetime:
    """The start time of a run, from its id (aware, UTC)."""
    return datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def run_ids(store: OutputStore) -> list[str]:
    """The runs with a folder, newest first; other names are ignored."""
    names = store.list_names(INSIDE.runs)
    return sorted((name for name in names if RUN_ID.fullmatch(name)), reverse=True)


def load_manifest(store: OutputStore, run_id: str) -> Manifest | None:
    """The manifest of a run; `None` when there is none, or none that can be read."""
    try:
        content = store.read(INSIDE.manifest(run_id))
        return None if content is None else Manifest.model_validate(json.loads(content))
    except (OSError, ValueError, RecursionError):  # pydantic's error is one
        return None


def last_durations(store: OutputStore) -> dict[str, float]:
    """How long each dataset took when it was last exported, from its submission to its Parquet, in seconds."""
    recent = last_published(islice(manifests(store), _DURATIONS_OF_RUNS))
    return {dataset: record.seconds.total for dataset, record in recent.items()}


def manifests(store: OutputStore) -> Iterator[Manifest]:
    """Every readable manifest, newest run first; each is loaded when the iterator reaches it."""
    yield from filter(None, (load_manifest(store, run_id) for run_id in run_ids(store)))


def last_published(recent: Iterable[Manifest], datasets: Collection[str] | None = None) -> dict[str, DatasetRecord]:
    """The newest record of each dataset that was published; of `datasets` alone no more is read than needed (pure)."""
    found: dict[str, DatasetRecord] = {}
    for manifest in recent:
        found = manifest.published | found
        if datasets is not None and found.keys() >= set(datasets):
            break
    return {dataset: found[dataset] for dataset in found if datasets is None or dataset in datasets}


def held_back_by(store: OutputStore, run_ids: Iterable[str], current: Current) -> dict[str, str]:
    """The datasets whose data one of these runs holds back since what is `current`, with the id of the newest one."""
    held: dict[str, str] = {}
    for manifest in filter(None, (load_manifest(store, run_id) for run_id in sorted(run_ids))):
        for record in manifest.datasets:
            snapshot = current.datasets.get(record.dataset)
            published_at = snapshot.published_at if snapshot else None
            if record.held_back and (published_at is None or manifest.finished_at >= published_at):
                held[record.dataset] = manifest.run_id
    return held


NO_EXPORT_FIX = (
    "check the name given by --output (a relative one is looked for in the present folder), or export into it"
)
"""The next step where a folder holds no export."""


def missing_export(folder: Path) -> str | None:
    """Why `folder` holds no export, in one sentence for all commands; `None` where a run has written to it."""
    place = folder.absolute()
    if not os.path.lexists(folder):
        return f"there is no folder {place}"
    if not folder.is_dir():
        return f"{place} is not an output folder: it is a file"
    store = open_store(folder)
    if any(map(store.exists, (INSIDE.current, INSIDE.private, INSIDE.datasets))) or run_ids(store):
        return None
    return f"nothing is published in {place} yet: no run has written to it"


def nothing_published(folder: Path) -> str:
    """One sentence that tells an output without data from another folder, and from a mistyped name."""
    return missing_export(folder) or f"nothing is published in {folder.absolute()} yet"


def no_export(folder: Path) -> SettingsError:
    """The error for a folder without an export, or one in which nothing is published."""
    return SettingsError(nothing_published(folder), fix=NO_EXPORT_FIX)


def check_export(folder: Path) -> None:
    """Refuse a folder without an export (`SettingsError`); its first run may be under way."""
    if missing_export(folder) is not None:
        raise no_export(folder)


def resolve_run_id(asked: str | None, *, known: Sequence[str], output: Path | str) -> str:
    """The run for an id or the beginning of one; the newest for `None`. A `SettingsError` names what there is."""
    if not known:
        folder = Path(output)
        raise SettingsError(missing_export(folder) or f"there are no runs in {folder.absolute()}", fix=NO_EXPORT_FIX)
    if asked is None:
        return known[0]
    found = [run_id for run_id in known if run_id.startswith(asked.strip())]
    if asked.strip() in found:
        return asked.strip()
    if len(found) == 1:
        return found[0]
    there = ", ".join((found or known)[:_MOST_NAMED]) + (", …" if len(found or known) > _MOST_NAMED else "")
    if not found:
        raise SettingsError(f"there is no run {asked!r} in {output}", fix=f"there are, newest first: {there}")
    raise SettingsError(f"more than one run begins with {asked!r}", fix=f"write more of it; there are: {there}")


def ask_ledger(folder: Path, question: Callable[[Ledger], Awaitable[T]]) -> T | None:
    """Put `question` to the ledger of an output folder; `None` when there is none. Nothing is created or changed."""
    layout = Layout(folder)
    if not layout.ledger.is_file():
        return None

    async def ask() -> T:
        async with opened_ledger(layout.private, read_only=True) as ledger:
            return await question(ledger)

    return anyio.run(ask)


def is_being_written(folder: Path) -> bool:
    """Whether a run writes to the output folder at this moment."""
    return find_writer(Layout(folder).private) is not None


def known_runs(folder: Path) -> list[str]:
    """
    The ids of all runs that the ledger or a folder in `runs/` knows, newest first.

    An id begins with the second in which its run began; of two runs of one second, the ledger says which came later.
    """
    listed: list[str] = []
    with suppress(LedgerError):
        listed = [run.run_id for run in ask_ledger(folder, Ledger.runs) or ()]
    order = {run_id: number for number, run_id in enumerate(reversed(listed))}
    known = {*run_ids(open_store(folder)), *listed}
    return sorted(known, key=lambda run_id: (run_id.partition("-")[0], order.get(run_id, -1), run_id), reverse=True)


def published_by(folder: Path, run_id: str) -> dict[str, DatasetRecord] | None:
    """What a run has published, by dataset; `None` when the ledger does not know it, or cannot be read."""

    async def read(ledger: Ledger) -> dict[str, DatasetRecord] | None:
        if all(run.run_id != run_id for run in await ledger.runs()):
            return None
        steps = await ledger.steps(run_id)
        return {entry.dataset: entry.facts.record for entry in read_facts(PublicationFacts, steps)}

    try:
        return ask_ledger(folder, read)
    except LedgerError:
        return None  # the next run reports it; published data does not depend on it
