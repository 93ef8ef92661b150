"""The simulator served until Ctrl-C, for trying things out and for other programs' tests."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import anyio
from rich.table import Table

from bulkpull.cli.signals import run_interruptibly
from bulkpull.cli.streams import print_data, print_json
from bulkpull.cli.work.consoles import data_console, error_console
from bulkpull.errors import SettingsError
from bulkpull.simulator import Fault, Scenario, Simulator
from bulkpull.simulator.faults import STORIES

_LATENCY = re.compile(r"(\d+(?:\.\d+)?)(?:\.\.(\d+(?:\.\d+)?))?")


def make_scenario(given: Mapping[str, Any], *, latency: str | None, faults: Sequence[str]) -> Scenario:
    """
    The scenario that the options describe.

    Args:
        given: Parameters of `Scenario` by name.
        latency: `3` or `1..10`, seconds.
        faults: Names of faults, each to strike once.

    Raises:
        SettingsError: The latency cannot be read, or a fault is unknown.
    """
    scenario = Scenario(faults=tuple(Fault(_known(name)) for name in faults))
    if latency is not None:
        scenario = dataclasses.replace(scenario, latency_s=_read_latency(latency))
    return dataclasses.replace(scenario, **given)


def serve(scenario: Scenario, *, port: int, blob_port: int, as_json: bool) -> None:
    """
    Serve until Ctrl-C or SIGTERM, which is how it is meant to end.

    Raises:
        SettingsError: A port cannot be used.
    """
    console = error_console()

    async def serving() -> None:
        async with Simulator(scenario, port=port, blob_port=blob_port) as simulator:
            if as_json:
                print_json({"version": 1, "environment": simulator.environment, "blob_url": simulator.blob_url})
            else:
                lines = [f"export {name}={shlex.quote(value)}" for name, value in simulator.environment.items()]
                print_data("\n".join(lines))
            console.print(f"serving {simulator.api_base_url} until Ctrl-C", soft_wrap=True)
            await anyio.sleep_forever()

    try:
        run_interruptibly(serving, when_asked=lambda: None)
    except OSError as trouble:
        raise SettingsError(
            f"the simulator cannot listen on ports {port} and {blob_port}",
            why=trouble.strerror or str(trouble),
            fix="choose others with --port and --blob-port; 0 takes any",
        ) from None


def show_faults(*, as_json: bool) -> None:
    """Print the faults by name, with their stories."""
    if as_json:
        print_json({"version": 1, "faults": [{"name": name, "story": story} for name, story in STORIES.items()]})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("fault", no_wrap=True)
    table.add_column("story", overflow="fold")
    for name, story in STORIES.items():
        table.add_row(name, story)
    data_console().print(table)


def _known(name: str) -> str:
    if name not in STORIES:
        near = get_close_matches(name, STORIES, n=1)
        hint = f"did you mean {near[0]}?" if near else "`bulkpull simulate --list-faults` shows them"
        raise SettingsError(f"there is no fault {name!r}", fix=hint)
    return name


def _read_latency(text: str) -> tuple[float, float]:
    match = _LATENCY.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"--latency {text!r} cannot be read", fix="seconds as `3`, or as a range: `1..10`")
    shortest = float(match[1])
    longest = float(match[2]) if match[2] else shortest
    if longest < shortest:
        raise SettingsError(f"--latency {text!r} ends before it begins", fix=f"write `{match[2]}..{match[1]}`")
    return shortest, longest
