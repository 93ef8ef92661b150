"""
How long it takes until the program says something, beside command-line tools of the same kind.

    start    `--help` and `--version` of the installed commands; `import` of the packages
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.environment import BUILD, peer_versions, peers_python
from benchmarks.measure import cost_of
from benchmarks.result import OURS, Case, Result, Run
from benchmarks.scenarios.common import Entry, Options, result_of, run_of, take_turns

NAME, TITLE = "start", "Start"
# One start is short, so each round makes several and takes the best of them.
_STARTS = 5
_COMMANDS = {"awscli": "aws", "dlt": "dlt", "airbyte-cdk": "airbyte-cdk"}
_MODULES = {"dlt": "dlt", "airbyte-cdk": "airbyte_cdk", "duckdb": "duckdb", "polars": "polars"}


def measure(options: Options) -> Result:
    """Measure all cases."""
    own, theirs = Path(sys.executable).parent, Path(peers_python() or "/").parent
    versions = peer_versions()
    cases = []
    for words in ("--version", "--help"):
        # awscli pages its help through another program; `help` of a topic is what it offers.
        peers = _COMMANDS if words == "--version" else {name: _COMMANDS[name] for name in ("dlt", "airbyte-cdk")}
        entries = [_entry(OURS, [str(own / "bulkpull"), words])]
        entries += [
            _entry(name, [str(theirs / command), words], version=versions.get(name)) for name, command in peers.items()
        ]
        cases.append(_case(words.lstrip("-"), f"`COMMAND {words}`", entries, options=options))
    entries = [_entry(OURS, [sys.executable, "-c", "import bulkpull"])]
    entries += [
        _entry(name, [str(theirs / "python"), "-c", f"import {module}"], version=versions.get(name))
        for name, module in _MODULES.items()
    ]
    cases.append(_case("import", "`import PACKAGE`", entries, options=options))
    return result_of(NAME, [case for case in cases if case], options=options, versions={})


def _case(name: str, title: str, entries: Sequence[Entry], *, options: Options) -> Case | None:
    if not options.wants_case(name):
        return None
    return Case(
        name=name,
        title=title,
        contenders=take_turns(entries, options=options, case=name),
        notes=[f"each figure is the best of {_STARTS} starts, after one that is not counted"],
    )


def _entry(name: str, command: list[str], *, version: str | None = "") -> Entry:
    def work() -> Run:
        BUILD.mkdir(parents=True, exist_ok=True)
        costs = [cost_of(command, output=BUILD / "said") for _ in range(1 + _STARTS)]
        return run_of(min(costs[1:], key=lambda cost: cost.wall_s))

    missing = None if version is not None else "it could not be installed"
    return Entry(name, work, version=version or "", missing=missing)
