"""What the steps of one pull share: its folders, its ledger entries, the times of its steps."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path

from bulkpull._version import __version__
from bulkpull.clock import iso_utc
from bulkpull.conversion.messages import ColumnPlan, WindowBounds
from bulkpull.errors import Step
from bulkpull.event_types import PullStepped
from bulkpull.model import Execution, Pull
from bulkpull.output.ledger_facts import PullFacts
from bulkpull.output.manifest import Seconds
from bulkpull.pipeline.context import RunContext
from bulkpull.pipeline.earlier_work import PARTS
from bulkpull.pipeline.steps.naming import pull_fingerprint
from bulkpull.query import normalise
from bulkpull.requested_data import RequestedData
from bulkpull.window_bounds import window_texts

# The timed steps in the order of a pull, each with its name in the manifest.
_NAMES = {Step.SUBMIT: "submit", Step.POLL: "wait", Step.DOWNLOAD: "download", Step.CONVERT: "convert"}


@dataclass(frozen=True, slots=True)
class StepSpan:
    """The time in which a pull took a step, seconds of the monotonic clock."""

    step: Step
    began_s: float
    ended_s: float


@dataclass(slots=True)
class PullContext:
    """
    One pull within a run.

    Attributes:
        requested: The data of the whole snapshot; the pull may be a part of it.
        columns: The columns of the file, in the order of the query.
        bounds: The edges that its window shares with others of the same dataset.
        spans: Its own, so that parallel windows share nothing that changes; events do not name the window.
    """

    pull: Pull
    run: RunContext
    requested: RequestedData
    columns: Sequence[ColumnPlan]
    bounds: WindowBounds | None
    spans: list[StepSpan] = field(default_factory=list)

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
        if window is None or self.requested.window == window_texts(window):
            return None
        return f"{window.start:%Y-%m-%d}"

    @contextmanager
    def step(self, step: Step) -> Iterator[None]:
        """Announce a step, and record the time of the block for it, also where it fails."""
        self.run.events.emit(PullStepped(step=step.value, part=self.part))
        began_s = self.run.clock.monotonic()
        try:
            yield
        finally:
            self.spans.append(StepSpan(step, began_s, self.run.clock.monotonic()))

    async def note(self, facts: PullFacts) -> None:
        """Write the outcome of a step into the ledger, before the next one begins."""
        facts = replace(facts, mark=self.fingerprint, question_sha256=self.requested.sha256)
        await self.run.note(self.pull.dataset, facts)

    def lineage(self, execution: Execution) -> Mapping[str, str]:
        """The origin of the data, for the metadata of each Parquet file (contract, section 5)."""
        generated_at, (start, end) = execution.generated_at, self.requested.window or ("", "")
        return {
            "bulkpull.version": __version__,
            "bulkpull.dataset": self.pull.dataset,
            "bulkpull.source": self.pull.reads,
            "bulkpull.run_id": self.run.run_id,
            "bulkpull.execution_id": execution.execution_id,
            "bulkpull.query_sha256": hashlib.sha256(normalise(self.pull.query_text).encode()).hexdigest(),
            "bulkpull.question": json.dumps(self.requested.as_dict(), sort_keys=True),
            "bulkpull.question_sha256": self.requested.sha256,
            "bulkpull.timespan": self.requested.span or "",
            "bulkpull.window_start": start,
            "bulkpull.window_end": end,
            "bulkpull.generated_at": iso_utc(generated_at) if generated_at else "",
        } | ({"bulkpull.unbelieved_at": iso_utc(execution.unbelieved_at)} if execution.unbelieved_at else {})


def elapsed_seconds(spans: Iterable[StepSpan]) -> Seconds:
    """
    Elapsed time by step, not the sum over windows (pure).

    While windows are at different steps, the time counts for the earliest of these steps only. So the four numbers
    together never exceed the time that has passed.
    """
    changes: list[tuple[float, Step, int]] = []
    for span in spans:
        changes += ((span.began_s, span.step, 1), (span.ended_s, span.step, -1))
    elapsed_s, active, since_s = dict.fromkeys(_NAMES, 0.0), Counter[Step](), 0.0
    for at_s, step, change in sorted(changes, key=itemgetter(0)):
        earliest = next((name for name in _NAMES if active[name]), None)
        if earliest is not None:
            elapsed_s[earliest] += at_s - since_s
        active[step] += change
        since_s = at_s
    return Seconds(**{_NAMES[step]: round(passed_s, 3) for step, passed_s in elapsed_s.items()})
