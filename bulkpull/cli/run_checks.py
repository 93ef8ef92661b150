"""The checks of `bulkpull doctor` and `bulkpull auth check`: each result as a line once it is there, or all as JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
from pydantic import SecretStr
from rich.table import Table
from rich.text import Text

from bulkpull.checks.credentials import check_credentials, check_proxy
from bulkpull.checks.output_folder import check_output_folder
from bulkpull.checks.result import CheckResult, CheckStatus, exit_code_of, fine, problem_from, unchecked
from bulkpull.checks.service_access import check_service
from bulkpull.checks.versions import check_versions
from bulkpull.cli.console import data_console, print_table
from bulkpull.cli.error_output import name_settings_file
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.service_call import command_settings
from bulkpull.cli.stdio import print_json
from bulkpull.clock import SystemClock
from bulkpull.config.file import differing_value, read_settings_file, variable_of
from bulkpull.config.settings import DEFAULT_FILE, Settings, origins
from bulkpull.errors import SettingsError
from bulkpull.formatting import plural

# Signs where the output takes them and where it does not, the word, and its style.
_SIGNS = {
    CheckStatus.OK: ("✓", "+", "ok", "green"),
    CheckStatus.TROUBLE: ("✗", "x", "problem", "bold red"),
    CheckStatus.UNCHECKED: ("–", "-", "unchecked", "yellow"),
}
# Sign and word, then the check's name.
_WIDTHS = (11, 12)
_DEMO = "demo"
_OTHER_SECRET = "another secret"  # noqa: S105 - words, in place of the secret


def run_checks(common: CommonOptions, *, demo: bool, output: Path | None = None, only_sign_in: bool = False) -> int:
    """
    Run and print the checks; returns the exit status of the worst problem.

    With `only_sign_in` those of the credentials and the service, with the place of each credential.
    """
    results: list[CheckResult] = []
    values: list[dict[str, Any]] = []

    def add(*found: CheckResult, details: Sequence[str] = ()) -> None:
        """Print results at once, since some checks have to wait for the network; with `--json` all at the end."""
        for result in found:
            fix = name_settings_file(result.fix, common.config) if result.fix else None
            results.append(replace(result, fix=fix))
            if not common.as_json:
                _print(results[-1], details)

    async def check(settings: Settings) -> None:
        clock, file = SystemClock(), str(common.config or DEFAULT_FILE)
        came_from = {setting["name"]: setting["origin"] for setting in values}
        credentials, *others = await check_credentials(settings, origins=came_from, config=file)
        places = credentials.facts["credentials"] if only_sign_in else {}
        add(credentials, details=[f"{name}: {place}" for name, place in places.items()])
        add(*others)
        if not only_sign_in:
            add(*await check_output_folder(settings, clock=clock))
        add(check_proxy(settings))
        add(*await check_service(settings, clock=clock, can_sign_in=credentials.exit_code == 0))

    if not only_sign_in:
        add(check_versions())
    rest = () if only_sign_in else ("output", "service")
    try:
        with command_settings(common, demo=demo, output=output) as settings:
            values += describe_settings(settings, config=common.config, demo=demo, given={"output": output})
            if not only_sign_in:
                add(_settings_result(values, config=common.config), details=_setting_lines(values))
            anyio.run(check, settings)
    except SettingsError as error:
        add(problem_from("settings", error), *(unchecked(name, "the settings cannot be used") for name in rest))
    code = exit_code_of(results)
    if common.as_json:
        checks = [result.as_values() for result in results]
        values_shown = {} if only_sign_in else {"settings": values}
        print_json({"version": 1, "healthy": code == 0, "exit_code": code, "checks": checks, **values_shown})
    else:
        problems = sum(result.verdict is CheckStatus.TROUBLE for result in results)
        data_console().print(plural(problems, "problem") if problems else "all checks passed", style="bold")
    return code


def _print(result: CheckResult, details: Sequence[str]) -> None:
    sign, ascii_sign, word, style = _SIGNS[result.verdict]
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
    print_table(table)


def describe_settings(
    settings: Settings, *, config: Path | None, demo: bool, given: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Each setting as `name`, `value` (of a secret that it is set), `origin`, and `overridden`: the file's value."""
    given = {name: value for name, value in given.items() if value is not None}
    came_from: dict[str, str] = dict(origins(config, options=given))
    if demo:
        plain = Settings.load_for_command(config, demo=True, **given)
        came_from |= {name: _DEMO for name in came_from if getattr(settings, name) != getattr(plain, name)}
    file = read_settings_file(config)
    found: list[dict[str, Any]] = []
    for name in Settings.model_fields:
        value = getattr(settings, name)
        found.append({"name": name, "value": _shown(value), "origin": came_from[name]})
        if came_from[name] in ("option", "environment"):
            is_secret = isinstance(value, SecretStr)
            written = differing_value(name, value.get_secret_value() if is_secret else value, file=file)
            if written is not None:
                found[-1]["overridden"] = _OTHER_SECRET if is_secret else str(written)
    return found


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "set"
    if isinstance(value, tuple):
        return [query.name for query in value]
    return str(value) if isinstance(value, Path) else value


def _settings_result(values: Sequence[Mapping[str, Any]], *, config: Path | None) -> CheckResult:
    file = config or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    read = f"settings file {file}" if file else f"no settings file (`bulkpull init` writes ./{DEFAULT_FILE})"
    given = sum(setting["origin"] != "default" for setting in values)
    number = f"{given} of {len(values)} are set" if given else f"all {len(values)} have their defaults"
    message = f"valid; {read}; {number}"
    for origin, words in (("environment", "the environment goes"), ("option", "options go")):
        names = [setting["name"] for setting in values if "overridden" in setting and setting["origin"] == origin]
        message += f"; {words} before the file for {', '.join(names)}" if names else ""
    return fine("settings", message)


def _setting_lines(values: Sequence[Mapping[str, Any]]) -> list[str]:
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
