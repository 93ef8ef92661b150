"""
What a measurement leaves: one schema for every scenario, one file per scenario and size in `benchmarks/results/`.

Absolute figures stand beside the machine that they were made on and mean nothing elsewhere. What can be compared are
the ratios of runs of one round, which are made by turns on the same machine within seconds.
"""

from __future__ import annotations

import statistics
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

OURS = "bulkpull"
RESULTS = Path(__file__).parent / "results"

Size = Literal["smoke", "small", "full"]
"""`smoke` is only to see that everything still runs: its figures mean nothing and are not kept."""
Measure = Literal["wall_s", "cpu_s", "peak_bytes", "requests", "wire_bytes"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Machine(_Model):
    """What absolute figures were made on."""

    processors: int
    model: str
    memory_bytes: int
    system: str


class Run(_Model):
    """
    What one run of one contender cost.

    Attributes:
        wall_s: From its start to its end.
        cpu_s: User and system time of all its processes.
        peak_bytes: The peaks of resident memory of all its processes, added up.
        requests: Calls of the API, without those for a token; `None` where there is no API.
        wire_bytes: Bytes of bodies that a server sent; `None` where nothing is sent.
        rows: Rows that came out.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int | None = None
    requests: int | None = None
    wire_bytes: int | None = None
    rows: int | None = None


class Contender(_Model):
    """
    One way to do the work.

    Attributes:
        how: How it is set up, and what the harness does for it.
        runs: One per round.
        skipped: Why it was not measured, if it was not.
    """

    name: str
    version: str = ""
    how: str = ""
    runs: list[Run] = Field(default_factory=list)
    skipped: str | None = None


class Provenance(_Model):
    """
    When, where and of what code something was measured.

    Attributes:
        code: The digest of the code that was measured (`environment.code_digest`); empty where it is not known.
    """

    made_at: datetime
    commit: str
    code: str = ""
    machine: Machine
    versions: dict[str, str]


class Case(_Model):
    """
    One piece of work and all who did it.

    Attributes:
        name: Unique within the scenario.
        title: What the work is, with its size.
        lower_bound_s: What no client could beat: the slowest report and its own transfer and conversion.
        facts: Further figures of ours, by name with unit.
        verified: What was compared between the outcomes, and found equal.
        notes: What a reader has to know.
        measured: Where it was not measured with the rest of its result.
    """

    name: str
    title: str
    contenders: list[Contender]
    lower_bound_s: float | None = None
    facts: dict[str, float] = Field(default_factory=dict)
    verified: str = ""
    notes: list[str] = Field(default_factory=list)
    measured: Provenance | None = None

    def contender(self, name: str) -> Contender | None:
        """The contender of that name, if it was measured."""
        return next((item for item in self.contenders if item.name == name and item.runs), None)


class Result(Provenance):
    """One scenario; its own provenance is that of the cases without one."""

    schema_version: Literal[1] = 1
    scenario: str
    size: Size
    cases: list[Case]

    def provenance_of(self, case: Case) -> Provenance:
        """When, where and of what code a case was measured."""
        own = {name: getattr(self, name) for name in Provenance.model_fields}
        return case.measured or Provenance(**own)

    @property
    def path(self) -> Path:
        """Where it lies."""
        return RESULTS / f"{self.scenario}-{self.size}.json"

    def save(self) -> None:
        """Write it down, in place of the one before."""
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(self.model_dump_json(indent=1, exclude_defaults=True) + "\n", "utf-8")

    def completed(self) -> Result:
        """With the cases that were measured before, each with its own provenance, where these are only some of them."""
        if not self.path.exists():
            return self
        before = Result.load(self.path)
        kept = {case.name: case.model_copy(update={"measured": before.provenance_of(case)}) for case in before.cases}
        return self.model_copy(update={"cases": list((kept | {case.name: case for case in self.cases}).values())})

    @classmethod
    def load(cls, path: Path) -> Result:
        """Read one."""
        return cls.model_validate_json(path.read_text("utf-8"))


class Ratio(_Model):
    """Another's figure divided by ours, round by round: above 1 where ours is smaller."""

    median: float
    low: float
    high: float


def ratio(case: Case, other: str, *, of: Measure, ours: str = OURS) -> Ratio | None:
    """The other's figure against ours; `None` where one of them has none."""
    theirs, own = case.contender(other), case.contender(ours)
    if theirs is None or own is None:
        return None
    pairs = zip(theirs.runs, own.runs, strict=False)
    values = [(getattr(one, of), getattr(two, of)) for one, two in pairs]
    ratios = sorted(one / two for one, two in values if one is not None and two)
    return Ratio(median=statistics.median(ratios), low=ratios[0], high=ratios[-1]) if ratios else None


def median(contender: Contender, of: Measure) -> float | None:
    """The median over its runs."""
    values = [getattr(run, of) for run in contender.runs if getattr(run, of) is not None]
    return statistics.median(values) if values else None


def load_results(folder: Path = RESULTS) -> list[Result]:
    """All results in a folder, or the one that a path names."""
    files = sorted(folder.glob("*.json")) if folder.is_dir() else [folder]
    return [Result.load(file) for file in files]
