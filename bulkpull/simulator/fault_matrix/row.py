"""A row of the fault matrix, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bulkpull.simulator.faults import Fault
from bulkpull.simulator.scenario import Scenario

HIT = "OfficeUsage"
"""The dataset that a row's fault strikes, unless it says otherwise."""

BYSTANDERS = ("Profile", "MSLearn")
"""The datasets that go on as if nothing were wrong."""

QUICK: Mapping[str, Any] = {"poll_initial_seconds": 0.05, "poll_max_seconds": 0.2, "report_timeout_seconds": 30}
"""Client settings that let a row run in real time; a row's own come on top."""

Outcome = Literal["complete", "failed", "unavailable", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """
    What goes wrong, and how an export of all offered datasets should end. The tests expect more of each row.

    Attributes:
        id: Number of the matrix, with a letter for a variant.
        expected: The status of the dataset `HIT`; `None` when the run ends before there is one.
        exit_codes: What the command may end with.
        settings: Client settings of this row, on top of `QUICK`, by their documented names.
    """

    id: str
    title: str
    scenario: Scenario
    expected: Outcome | None = "complete"
    exit_codes: tuple[int, ...] = (0,)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """The row of the matrix."""
        return int(self.id.rstrip("abcdefghijklmnopqrstuvwxyz"))


def small(*faults: Fault, **parameters: Any) -> Scenario:
    """A service with three datasets of a few hundred rows, and these faults."""
    defaults: dict[str, Any] = {"datasets": (HIT, *BYSTANDERS), "rows": 300}
    return Scenario(faults=faults, **(defaults | parameters))


def here(name: str, *, endpoint: str | None = None, times: int | None = 1, skip: int = 0, **args: Any) -> Fault:
    """A fault that strikes the dataset of the matrix only."""
    return Fault(name, dataset=HIT, endpoint=endpoint, times=times, skip=skip, args=args)


def survives(row_id: str, title: str, *faults: Fault, **more: Any) -> FaultRow:
    """A row whose dataset comes out complete."""
    parameters = more.pop("scenario", {})
    return FaultRow(id=row_id, title=title, scenario=small(*faults, **parameters), **more)


def fails(row_id: str, title: str, *faults: Fault, **more: Any) -> FaultRow:
    """A row whose dataset fails while the others are published."""
    return survives(row_id, title, *faults, **({"expected": "failed", "exit_codes": (3,)} | more))
