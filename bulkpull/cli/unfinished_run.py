"""The newest run of an output folder that did not come to its end, and the command that continues it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bulkpull.cli.invocation import Invocation
from bulkpull.clock import iso_utc
from bulkpull.errors import LedgerError
from bulkpull.formatting import plural
from bulkpull.output.ledger import Ledger, RunEntry, published_datasets
from bulkpull.output.run_history import ask_ledger, is_being_written
from bulkpull.pipeline.open_run import INTERRUPTED, SUBMITTED, is_unfinished, is_young

_HOW_IT_ENDED = {INTERRUPTED: "was interrupted", SUBMITTED: "has submitted its reports and not collected them"}


@dataclass(frozen=True, slots=True)
class UnfinishedRun:
    """A run that did not come to its end, with the number of unfinished datasets; `resume` continues it."""

    run: RunEntry
    datasets: int
    resume: str | None

    @property
    def active_at(self) -> datetime:
        """When it ended, or is last known to have worked."""
        return self.run.ended_at or self.run.active_at or self.run.started_at

    def describe(self) -> str:
        """It in one sentence, with the next step."""
        how = _HOW_IT_ENDED.get(self.run.status or "", "was killed")
        command = self.run.command
        step = f"`{self.resume}` continues it" if self.resume else f"the next {command} replaces it"
        size = f"{plural(self.datasets, 'dataset')} unfinished" if self.datasets else "before it began a dataset"
        return f"the {command} run {self.run.run_id} {how} at {iso_utc(self.active_at)}, {size}: {step}"

    def as_values(self) -> dict[str, Any]:
        """It as JSON values."""
        return {
            "run_id": self.run.run_id,
            "command": self.run.command,
            "status": self.run.status or "unfinished",
            "active_at": iso_utc(self.active_at),
            "datasets_unfinished": self.datasets,
            "resume": self.resume,
        }


def find_unfinished_run(folder: Path, *, config: Path | None, now: datetime) -> UnfinishedRun | None:
    """
    The newest run that may be resumed, or the newest run of all where it did not come to its end; reads only.

    There is none while a run is writing to the folder, and none that a damaged ledger could tell.
    """

    async def ask(ledger: Ledger) -> tuple[RunEntry, int] | None:
        for place, run in enumerate(await ledger.runs()):
            if is_unfinished(run) and (place == 0 or is_young(run, now=now)):
                steps = await ledger.steps(run.run_id)
                begun = {step.dataset for step in steps} - published_datasets(steps)
                counts = run.summary or {}
                return run, counts.get("unfinished") or counts.get(SUBMITTED) or len(begun)
        return None

    found = None
    with suppress(LedgerError):
        found = ask_ledger(folder, ask)
    if found is None or is_being_written(folder):
        return None
    run, datasets = found
    resume = Invocation(output=folder, config=config).resume(run.run_id) if is_young(run, now=now) else None
    return UnfinishedRun(run, datasets, resume)
