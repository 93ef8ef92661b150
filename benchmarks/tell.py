"""Results and verdicts on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.budgets import Verdict
from benchmarks.figures import figure, format_ratio, format_verdict
from benchmarks.result import OURS, Result, median, ratio


def print_result(result: Result, *, console: Console) -> None:
    """All cases of a result, a table each."""
    for case in result.cases:
        console.print(f"\n[bold]{result.scenario}: {case.name}[/] · {case.title}")
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("", "wall s", "CPU s", "peak MB", "calls", "wire MB", "time against ours", "CPU against ours"):
            table.add_column(name, justify="left" if not name else "right")
        for contender in case.contenders:
            if contender.skipped:
                table.add_row(contender.name, f"skipped: {contender.skipped}")
                continue
            own = contender.name == OURS
            table.add_row(
                contender.name,
                *(
                    figure(median(contender, of), of)
                    for of in ("wall_s", "cpu_s", "peak_bytes", "requests", "wire_bytes")
                ),
                *("" if own else format_ratio(ratio(case, contender.name, of=of)) for of in ("wall_s", "cpu_s")),
            )
        if case.contenders:
            console.print(table)
        if case.lower_bound_s:
            console.print(f"lower bound: {case.lower_bound_s:.2f} s")
        for name, value in case.facts.items():
            console.print(f"{name}: {value:g}")
        if case.verified:
            console.print(f"equal: {case.verified}")


def print_verdicts(verdicts: Sequence[Verdict], *, console: Console) -> None:
    """Each budget with what was measured."""
    table = Table(box=None, pad_edge=False, header_style="bold", title="budgets", title_justify="left")
    for name in ("budget", "bound", "measured", ""):
        table.add_column(name)
    for verdict in verdicts:
        table.add_row(verdict.budget.what, *format_verdict(verdict))
    console.print(table)
