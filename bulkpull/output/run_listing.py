"""Lists the runs of an output folder from its ledger and manifests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import anyio

from bulkpull.errors import LedgerError
from bulkpull.output.layout import Layout
from bulkpull.output.ledger import Ledger, opened_ledger, read_facts
from bulkpull.output.ledger_facts import PublicationFacts
from bulkpull.output.manifest import DatasetRecord
from bulkpull.output.run_history import run_ids
from bulkpull.output.store import LocalStore

T = TypeVar("T")


def ask_ledger(folder: Path, question: Callable[[Ledger], Awaitable[T]]) -> T | None:
    """
    Put `question` to the ledger of an output folder; `None` when there is none. Nothing is created or changed.

    Raises:
        LedgerError: It cannot be read.
    """
    layout = Layout(folder)
    if not layout.ledger.is_file():
        return None

    async def ask() -> T:
        async with opened_ledger(layout.private, read_only=True) as ledger:
            return await question(ledger)

    return anyio.run(ask)


def known_runs(folder: Path) -> list[str]:
    """The ids of all runs that the ledger or a folder in `runs/` knows, newest first."""
    known = set(run_ids(LocalStore(folder)))
    with suppress(LedgerError):
        known.update(run.run_id for run in ask_ledger(folder, Ledger.runs) or ())
    return sorted(known, reverse=True)


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
