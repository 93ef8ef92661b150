"""The credentials, tried step by step; one line each, as `bulkpull doctor` tells them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
from rich.text import Text

from bulkpull.checks.credentials import check_credentials as look_at_credentials
from bulkpull.checks.result import CheckResult, CheckStatus, exit_code_of, problem_from
from bulkpull.checks.service import check_service
from bulkpull.cli.stdio import print_json
from bulkpull.cli.work.consoles import data_console
from bulkpull.cli.work.doctor import print_finding
from bulkpull.cli.work.target import aimed
from bulkpull.clock import SystemClock
from bulkpull.config.settings import DEFAULT_FILE, Settings, origins
from bulkpull.errors import SettingsError


def check_credentials(*, demo: bool, config: Path | None, as_json: bool) -> int:
    """Make every check that can be made and print what was found; returns the exit status of the worst trouble."""
    findings: list[CheckResult] = []
    console = data_console()

    def note(*found: CheckResult) -> None:
        findings.extend(found)
        if not as_json:  # line by line: some checks have to wait for the network
            for finding in found:
                print_finding(finding, console)

    try:
        with aimed(config, demo=demo) as settings:
            came_from: dict[str, str] = dict(origins(config))
            if demo:
                came_from = dict.fromkeys(Settings.model_fields, "the demo")
            anyio.run(_check, settings, came_from, str(config or DEFAULT_FILE), note)
    except SettingsError as error:
        note(problem_from("settings", error))
    code = exit_code_of(findings)
    if as_json:
        told = [finding.as_values() for finding in findings]
        print_json({"version": 1, "healthy": code == 0, "exit_code": code, "checks": told})
    else:
        troubles = sum(finding.verdict is CheckStatus.TROUBLE for finding in findings)
        console.print(Text(f"{troubles} to see to" if troubles else "all is well", style="bold"))
    return code


async def _check(settings: Settings, came_from: dict[str, str], config: str, note: Callable[..., None]) -> None:
    note(*await look_at_credentials(settings, origins=came_from, config=config))
    note(*await check_service(settings, clock=SystemClock()))
