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
    What goes wrong, and what a client makes of it when it exports all offered datasets, none of them by name.

    Attributes:
        id: Number of the matrix, with a letter for a variant.
        scenario: The service, with its faults armed.
        dataset: Whose result `expected` is; the others are complete, unless `spares_others` is false.
        expected: Its status; `None` when the run ends before there is one.
        exit_codes: What the command may end with.
        reports_left: Reports of the dataset that stay on the service, at most; `None` is not checked.
        reports_created, queries_created: How many of the dataset's are ever made, at most; `None` is not checked.
        max_calls: Requests to API and token endpoint, at most; `None` is not checked.
        reason_words: Words that the dataset's reason (or the sentence that ends the run) has, in any case.
        settings: Client settings of this row, on top of `QUICK`, by their documented names.
        second_run: Faults to arm before the same command runs again; the row then speaks of that second run.
    """

    id: str
    title: str
    scenario: Scenario
    dataset: str = HIT
    expected: Outcome | None = "complete"
    exit_codes: tuple[int, ...] = (0,)
    spares_others: bool = True
    reports_left: int | None = None
    reports_created: int | None = None
    queries_created: int | None = None
    max_calls: int | None = None
    reason_words: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    second_run: tuple[Fault, ...] = ()

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
    """A row whose dataset comes out complete, with its report cleared away."""
    parameters = more.pop("scenario", {})
    return FaultRow(id=row_id, title=title, scenario=small(*faults, **parameters), **({"reports_left": 0} | more))


def fails(row_id: str, title: str, *faults: Fault, **more: Any) -> FaultRow:
    """A row whose dataset fails while the others are published."""
    parameters = more.pop("scenario", {})
    defaults: dict[str, Any] = {"expected": "failed", "exit_codes": (3,)}
    return FaultRow(id=row_id, title=title, scenario=small(*faults, **parameters), **(defaults | more))
