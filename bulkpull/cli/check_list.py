"""The results of checks: each as a line once it is there, or all of them as one JSON object."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.table import Table
from rich.text import Text

from bulkpull.checks.result import CheckResult, CheckStatus, exit_code_of
from bulkpull.cli.console import data_console, print_table
from bulkpull.cli.error_output import name_settings_file
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.stdio import print_json
from bulkpull.config.file import variable_of
from bulkpull.formatting import plural

# Signs where the output takes them and where it does not, the word, and its style.
_VERDICTS = {
    CheckStatus.OK: ("✓", "+", "ok", "green"),
    CheckStatus.TROUBLE: ("✗", "x", "problem", "bold red"),
    CheckStatus.UNCHECKED: ("–", "-", "unchecked", "yellow"),
}
# Sign and verdict, then the check's name.
_WIDTHS = (11, 12)


class CheckList:
    """What the checks of one command found; with `--json` nothing is written before `finish`."""

    def __init__(self, common: CommonOptions) -> None:
        self._common = common
        self._console = data_console()
        self._results: list[CheckResult] = []

    def add(self, *results: CheckResult, details: Sequence[str] = ()) -> None:
        """Add results and print them, with `details` of one: some checks have to wait for the network."""
        for result in results:
            fix = name_settings_file(result.fix, self._common.config) if result.fix else None
            self._results.append(replace(result, fix=fix))
            if not self._common.as_json:
                self._print(self._results[-1], details)

    def finish(self, **more: Any) -> int:
        """Print the last line, or the JSON object; returns the exit status of the worst problem."""
        code = exit_code_of(self._results)
        if self._common.as_json:
            checks = [result.as_values() for result in self._results]
            print_json({"version": 1, "healthy": code == 0, "exit_code": code, "checks": checks, **more})
        else:
            problems = sum(result.verdict is CheckStatus.TROUBLE for result in self._results)
            last_line = plural(problems, "problem") if problems else "all checks passed"
            self._console.print(Text(last_line, style="bold"))
        return code

    def _print(self, result: CheckResult, details: Sequence[str]) -> None:
        sign, ascii_sign, word, style = _VERDICTS[result.verdict]
        if not (sys.stdout.encoding or "").casefold().startswith("utf"):
            sign = ascii_sign
        table = Table.grid(padding=(0, 1, 0, 0))
        for width in _WIDTHS:
            table.add_column(width=width, no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row(Text(f"{sign} {word}", style), result.check, Text(result.message))
        if result.fix:
            table.add_row("", Text("fix:", "bold"), Text(result.fix))
        for line in details:
            table.add_row("", "", Text(line))
        print_table(table, self._console)


def setting_lines(values: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that were given, each with where it came from (pure)."""
    lines = []
    for setting in values:
        name, source = setting["name"], setting["origin"]
        if "overridden" in setting:
            source = f"environment variable {variable_of(name)}" if source == "environment" else source
            source = f"{source}, which goes before {setting['overridden']} in the file"
        if source != "default":
            lines.append(f"{name} = {setting['value']} ({source})")
    return lines
