"""The budgets, and whether the results keep them. `budgets.toml` holds them; it says what each field means."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from benchmarks.result import OURS, Case, Measure, Result, Size, median, ratio

_FILE = Path(__file__).parent / "budgets.toml"


class Budget(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(extra="forbid")

    what: str
    scenario: str
    case: str
    size: Size | None = None
    peer: str | None = None
    of: Measure | Literal["over lower bound"] | None = None
    fact: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    A budget and what was measured.

    Attributes:
        value: In the budget's unit; `None` when it was not measured.
        is_met: `None` when it was not measured.
        measured: Which result it comes from.
    """

    budget: Budget
    value: float | None
    is_met: bool | None
    measured: str


def load_budgets() -> list[Budget]:
    """All of them."""
    with _FILE.open("rb") as file:
        return [Budget.model_validate(item) for item in tomllib.load(file)["budget"]]


def judge_all(results: Sequence[Result]) -> list[Verdict]:
    """Hold the results against every budget; the full size counts where there are both."""
    return [_judge(budget, results) for budget in load_budgets()]


def _judge(budget: Budget, results: Sequence[Result]) -> Verdict:
    fitting = [item for item in results if item.scenario == budget.scenario and budget.size in (None, item.size)]
    for result in sorted(fitting, key=lambda item: item.size):  # full before small
        case = next((entry for entry in result.cases if entry.name == budget.case), None)
        value = _value(budget, case) if case is not None else None
        if value is not None:
            is_met = value >= budget.at_least if budget.at_least is not None else value <= (budget.at_most or 0)
            return Verdict(budget, value, is_met, result.size)
    return Verdict(budget, None, None, "not measured")


def _value(budget: Budget, case: Case) -> float | None:
    if budget.fact is not None:
        return case.facts.get(budget.fact)
    ours = case.contender(OURS)
    if budget.of == "over lower bound":
        wall_s = median(ours, "wall_s") if ours else None
        return wall_s / case.lower_bound_s if wall_s and case.lower_bound_s else None
    if budget.of is None:
        return None
    if budget.peer is None:
        return median(ours, budget.of) if ours else None
    found = ratio(case, budget.peer, of=budget.of)
    if found is None:
        return None
    # A ratio is the peer's figure over ours; a budget with a ceiling speaks of ours over the peer's.
    return found.median if budget.at_least is not None else 1 / found.median
