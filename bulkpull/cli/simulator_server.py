"""The simulator served until Ctrl-C: what the options describe, and the faults that it knows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import anyio

from bulkpull import platforms
from bulkpull.cli.console import new_table, print_message, print_table
from bulkpull.cli.signals import run_interruptibly
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.config.file import variable_of
from bulkpull.errors import SettingsError
from bulkpull.simulator import FAULT_TABLE, STORIES, Fault, FaultRow, Scenario, Simulator
from bulkpull.simulator.fault_matrix import HIT, QUICK
from bulkpull.suggestions import did_you_mean

_LATENCY = re.compile(r"(\d+(?:\.\d+)?)(?:\.\.(\d+(?:\.\d+)?))?")
_ROWS = {row.id: row for row in FAULT_TABLE}


@dataclass(frozen=True, slots=True)
class Staging:
    """What to serve, how to set a client to see it within seconds, and what is expected, in sentences."""

    scenario: Scenario
    settings: Mapping[str, Any]
    expectations: Sequence[str]


def stage(given: Mapping[str, Any], *, latency: str | None, faults: Sequence[str]) -> Staging:
    """Build what the options describe; `given` parameters beat what a row of the fault matrix brings."""
    parameters: dict[str, Any] = {}
    armed: list[Fault] = []
    settings: dict[str, Any] = {}
    expectations: list[str] = []
    for name in faults:
        if row := _ROWS.get(name):
            parameters |= _changed_parameters(row.scenario)
            armed += row.scenario.faults
            settings |= {**QUICK, **row.settings}
            expectations.append(_expectation(row))
        elif name in STORIES:
            armed.append(Fault(name))
        else:
            hint = did_you_mean(name, [*STORIES, *_ROWS])
            raise SettingsError(
                f"--fault {name}: unknown fault id or name",
                fix=f"{hint + ' ' if hint else ''}`bulkpull simulate --list-faults` shows them",
            )
    if window_s := given.get("one_off_window_s"):  # the client would wait for an hour
        settings["one_off_quota_window_seconds"] = window_s
    if latency is not None:
        parameters["latency_s"] = _read_latency(latency)
    return Staging(Scenario(**{**parameters, **given, "faults": tuple(armed)}), settings, expectations)


def serve(staging: Staging, *, port: int, blob_port: int, as_json: bool) -> None:
    """Serve until Ctrl-C or SIGTERM, which is how it is meant to end."""

    async def serving() -> None:
        async with Simulator(staging.scenario, port=port, blob_port=blob_port) as simulator:
            own = {variable_of(name): str(value) for name, value in staging.settings.items()}
            environment = simulator.environment | own
            if as_json:
                print_json({"version": 1, "environment": environment, "blob_url": simulator.blob_url})
            else:
                print_data("\n".join(map(platforms.current().set_variable, environment, environment.values())))
            for sentence in staging.expectations:
                print_message(sentence)
            print_message(f"serving {simulator.api_base_url} until Ctrl-C")
            await anyio.sleep_forever()

    try:
        run_interruptibly(serving, when_asked=lambda: None)
    except* OSError as trouble:
        refused = trouble.exceptions[0]
        raise SettingsError(
            f"the simulator cannot listen on ports {port} and {blob_port}",
            why=getattr(refused, "strerror", None) or str(refused),
            fix="choose others with --port and --blob-port; 0 chooses any",
        ) from None


def show_faults(*, as_json: bool) -> None:
    if as_json:
        rows = [{"id": row.id, "title": row.title, "expected": row.expected} for row in FAULT_TABLE]
        faults = [{"name": name, "story": story} for name, story in STORIES.items()]
        print_json({"version": 1, "matrix": rows, "faults": faults})
    else:
        matrix = ((row.id, row.title) for row in FAULT_TABLE)
        print_table(new_table(("fault", "story"), [*matrix, *STORIES.items()], fold=["story"]))


def _changed_parameters(scenario: Scenario) -> dict[str, Any]:
    """The parameters in which a scenario differs from the friendly one, faults apart."""
    plain = Scenario()
    names = [parameter.name for parameter in fields(Scenario) if parameter.name != "faults"]
    return {name: getattr(scenario, name) for name in names if getattr(scenario, name) != getattr(plain, name)}


def _expectation(row: FaultRow) -> str:
    codes = " or ".join(str(code) for code in row.exit_codes)
    result = f"{HIT} {row.expected}, " if row.expected else ""
    offered = row.scenario.datasets
    only = f"; of the twenty only {', '.join(sorted(offered))} are offered" if offered is not None else ""
    return f"fault {row.id}: {row.title}; expected of `bulkpull export`: {result}exit status {codes}{only}"


def _read_latency(text: str) -> tuple[float, float]:
    match = _LATENCY.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"--latency {text!r} cannot be read", fix="seconds as `3`, or as a range: `1..10`")
    shortest = float(match[1])
    longest = float(match[2]) if match[2] else shortest
    if longest < shortest:
        raise SettingsError(f"--latency {text!r} has an end before its start", fix=f"write `{match[2]}..{match[1]}`")
    return shortest, longest
