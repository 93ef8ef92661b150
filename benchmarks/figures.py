"""How figures read."""

from __future__ import annotations

from benchmarks.budgets import Verdict
from benchmarks.result import Measure, Ratio

_MB = 1e6


def figure(value: float | None, of: Measure) -> str:
    """A figure in its unit; a dash where there is none."""
    if value is None:
        return "–"
    if of in ("peak_bytes", "wire_bytes"):
        return f"{value / _MB:,.0f}"
    return f"{value:,.0f}" if of == "requests" else f"{value:.2f}"


def format_ratio(value: Ratio | None) -> str:
    """A ratio with its range over the rounds."""
    return "–" if value is None else f"{value.median:.2f} × ({value.low:.2f}–{value.high:.2f})"


def format_verdict(verdict: Verdict) -> tuple[str, str, str]:
    """Bound, measured value and verdict."""
    budget = verdict.budget
    in_mb = budget.of == "peak_bytes" and budget.peer is None
    unit, scale = (" MB", _MB) if in_mb else (" ×" if budget.peer or budget.of == "over lower bound" else "", 1)
    bound = (
        f"≥ {budget.at_least / scale:g}{unit}"
        if budget.at_least is not None
        else f"≤ {(budget.at_most or 0) / scale:g}{unit}"
    )
    if verdict.value is None:
        return bound, "–", "not measured"
    value = (
        f"{verdict.value / scale:.3g}{unit}"
        if abs(verdict.value / scale) < 100
        else f"{verdict.value / scale:,.0f}{unit}"
    )
    return bound, value, f"{'kept' if verdict.is_met else 'missed'} ({verdict.measured})"
