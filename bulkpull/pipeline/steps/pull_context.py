"""What the steps of one pull share: its folders, its ledger entries, the times of its steps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bulkpull._version import __version__
from bulkpull.clock import iso_utc
from bulkpull.conversion.messages import ColumnPlan, WindowBounds
from bulkpull.errors import Step
from bulkpull.event_types import PullStepped
from bulkpull.model import Execution, Pull
from bulkpull.output.ledger_facts import PullFacts
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.earlier_work import PARTS
from bulkpull.pipeline.steps.naming import pull_fingerprint
from bulkpull.pipeline.steps.step_times import StepTimer
from bulkpull.query import normalise
from bulkpull.snapshot_question import Question
from bulkpull.window_bounds import window_texts


@dataclass(slots=True)
class PullContext:
    """
    One pull within a run.

    Attributes:
        question: The question of the whole snapshot; the pull may be a part of it.
        columns: The columns of the file, in the order of the query.
        bounds: The edges that its window shares with others of the same dataset.
        timer: Its own, so that parallel windows share nothing that changes.
    """

    pull: Pull
    run: RunContext
    question: Question
    columns: Sequence[ColumnPlan]
    bounds: WindowBounds | None
    timer: StepTimer = field(init=False)

    def __post_init__(self) -> None:
        self.timer = StepTimer(self.run.clock)

    @property
    def fingerprint(self) -> str:
        """Names the pull in the ledger, in folders and in names on the service."""
        return pull_fingerprint(self.pull)

    @property
    def folder(self) -> Path:
        if self.pull.window is not None:
            return self.kept_folder
        return self.run.folder.staging / self.pull.dataset / self.fingerprint

    @property
    def kept_folder(self) -> Path:
        """The folder for kept windows, and for downloads that a temporary error interrupted."""
        return self.run.folder.private / PARTS / self.pull.dataset / self.fingerprint

    @property
    def part(self) -> str | None:
        """Which of several windows of its dataset it is, by its first day."""
        window = self.pull.window
        if window is None or self.question.window == window_texts(window):
            return None
        return f"{window.start:%Y-%m-%d}"

    @contextmanager
    def step(self, step: Step) -> Iterator[None]:
        """Announce a step, and count the time of the block for it."""
        self.run.events.emit(PullStepped(step=step.value, part=self.part))
        with self.timer.during(step):
            yield

    async def note(self, facts: PullFacts) -> None:
        """Write the outcome of a step into the ledger, before the next one begins."""
        facts = replace(facts, mark=self.fingerprint, question_sha256=self.question.sha256)
        await self.run.note(self.pull.dataset, facts)

    def lineage(self, execution: Execution) -> Mapping[str, str]:
        """The origin of the data, for the metadata of each Parquet file (contract, section 5)."""
        generated_at, (start, end) = execution.generated_at, self.question.window or ("", "")
        return {
            "bulkpull.version": __version__,
            "bulkpull.dataset": self.pull.dataset,
            "bulkpull.source": self.pull.reads,
            "bulkpull.run_id": self.run.run_id,
            "bulkpull.execution_id": execution.execution_id,
            "bulkpull.query_sha256": hashlib.sha256(normalise(self.pull.query_text).encode()).hexdigest(),
            "bulkpull.question": json.dumps(self.question.as_dict(), sort_keys=True),
            "bulkpull.question_sha256": self.question.sha256,
            "bulkpull.timespan": self.question.span or "",
            "bulkpull.window_start": start,
            "bulkpull.window_end": end,
            "bulkpull.generated_at": iso_utc(generated_at) if generated_at else "",
        } | ({"bulkpull.unbelieved_at": iso_utc(execution.unbelieved_at)} if execution.unbelieved_at else {})
