"""The doctor's report: the checks as lines or as JSON, and the settings with where each came from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulkpull.checks.credentials import check_proxy, check_secret_files
from bulkpull.checks.output_folder import check_output_folder
from bulkpull.checks.result import CheckResult, CheckStatus, exit_code_of, fine, problem_from, unchecked
from bulkpull.checks.service import check_service
from bulkpull.checks.versions import check_versions
from bulkpull.cli.stdio import print_json
from bulkpull.cli.work.consoles import data_console, print_table
from bulkpull.cli.work.target import aimed
from bulkpull.clock import SystemClock
from bulkpull.config.settings import DEFAULT_FILE, Settings, origins
from bulkpull.errors import SettingsError

_SIGNS = {CheckStatus.OK: "✓", CheckStatus.TROUBLE: "✗", CheckStatus.UNCHECKED: "–"}
_PLAIN_SIGNS = {CheckStatus.OK: "+", CheckStatus.TROUBLE: "x", CheckStatus.UNCHECKED: "-"}
_STYLES = {CheckStatus.OK: "green", CheckStatus.TROUBLE: "bold red", CheckStatus.UNCHECKED: "yellow"}
# Sign and verdict, then the check's name.
_WIDTHS = (11, 11)
_DEMO = "demo"


def run_doctor(*, demo: bool, output: Path | None, config: Path | None, as_json: bool) -> int:
    """Make every check that can be made and print what was found; returns the exit status of the worst trouble."""
    findings: list[CheckResult] = []
    values: list[dict[str, Any]] = []
    console = data_console()

    def note(*found: CheckResult) -> None:
        findings.extend(found)
        if not as_json:  # line by line: some checks have to wait for the network
            for finding in found:
                print_finding(finding, console, values=values)

    note(check_versions())
    try:
        with aimed(config, demo=demo, output=output) as settings:
            values += describe_settings(settings, config=config, demo=demo, options={"output": output})
            note(_tell_settings(values, config=config))
            came_from = {each["name"]: each["origin"] for each in values}
            anyio.run(_check, settings, came_from, str(config or DEFAULT_FILE), note)
    except SettingsError as error:
        without = "the settings cannot be used"
        note(problem_from("settings", error), unchecked("output", without), unchecked("service", without))
    code = exit_code_of(findings)
    if as_json:
        told = [finding.as_values() for finding in findings]
        print_json({"version": 1, "healthy": code == 0, "exit_code": code, "checks": told, "settings": values})
    else:
        troubles = sum(finding.verdict is CheckStatus.TROUBLE for finding in findings)
        console.print(Text(f"{troubles} to see to" if troubles else "all is well", style="bold"))
    return code


async def _check(settings: Settings, came_from: Mapping[str, str], config: str, note: Callable[..., None]) -> None:
    clock = SystemClock()
    note(await check_secret_files(settings, origins=came_from, config=config))
    note(*await check_output_folder(settings, clock=clock))
    note(check_proxy(settings))
    note(*await check_service(settings, clock=clock))


def describe_settings(
    settings: Settings, *, config: Path | None, demo: bool, options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Each setting as `name`, `value` and `origin`; of a secret only whether it is set."""
    given = {name: value for name, value in options.items() if value is not None}
    came_from: dict[str, str] = dict(origins(config, options=given))
    if demo:
        plain = Settings.load(config, demo=True, **given)
        came_from |= {name: _DEMO for name in came_from if getattr(settings, name) != getattr(plain, name)}
    return [
        {"name": name, "value": _shown(getattr(settings, name)), "origin": came_from[name]}
        for name in Settings.model_fields
    ]


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "set"
    if isinstance(value, tuple):
        return [selection.name for selection in value]
    return str(value) if isinstance(value, Path) else value


def _tell_settings(values: Sequence[Mapping[str, Any]], *, config: Path | None) -> CheckResult:
    file = config or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    read = f"settings file {file}" if file else f"no settings file (`bulkpull init` writes ./{DEFAULT_FILE})"
    given = sum(each["origin"] != "default" for each in values)
    told = f"{given} of {len(values)} are set" if given else f"all {len(values)} have their defaults"
    return fine("settings", f"valid; {read}; {told}")


def print_finding(finding: CheckResult, console: Console, *, values: Sequence[Mapping[str, Any]] = ()) -> None:
    """Write one finding as a line, its next step below; under `settings` those that were given (`values`)."""
    carries_signs = (sys.stdout.encoding or "").casefold().startswith("utf")
    sign = (_SIGNS if carries_signs else _PLAIN_SIGNS)[finding.verdict]
    table = Table.grid(padding=(0, 1, 0, 0))
    for width in _WIDTHS:
        table.add_column(width=width, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(
        Text(f"{sign} {finding.verdict.value}", _STYLES[finding.verdict]), finding.check, Text(finding.message)
    )
    if finding.fix:
        table.add_row("", Text("fix:", "bold"), Text(finding.fix))
    if finding.check == "settings":
        for each in values:
            if each["origin"] != "default":
                table.add_row("", "", Text(f"{each['name']} = {each['value']} ({each['origin']})"))
    print_table(table, console)
