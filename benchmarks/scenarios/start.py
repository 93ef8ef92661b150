"""
How long it takes until the program says something, beside command-line tools of the same kind.

    start    `--help` and `--version` of the installed commands; `import` of the packages
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.environment import BUILD
from benchmarks.measure import Cost, cost_of
from benchmarks.result import OURS, Case, Result, Run
from benchmarks.scenarios.common import PROGRAM, Entry, Options, result_of, run_of, take_turns

NAME, TITLE = "start", "Start"
_ROUNDS = 5
_WARM = "a first start of each, which fills caches, is not counted"


def measure(options: Options) -> Result:
    """Measure all cases."""
    options = options.in_rounds(small=_ROUNDS)
    theirs = Path(options.peers_python or "/").parent
    versions = options.peer_versions
    words = {"--version": {"awscli": "aws", "dlt": "dlt"}, "--help": {"dlt": "dlt"}}
    cases = []
    for word, commands in words.items():
        entries = [_entry(OURS, [PROGRAM, word])]
        entries += [
            _entry(name, [str(theirs / command), word], version=versions.get(name))
            for name, command in commands.items()
        ]
        cases.append(_case(word.lstrip("-"), f"`COMMAND {word}`", entries, options=options))
    entries = [_entry(OURS, [sys.executable, "-c", "import bulkpull"])]
    entries += [
        _entry(name, [str(theirs / "python"), "-c", f"import {name.replace('-', '_')}"], version=versions.get(name))
        for name in ("dlt", "airbyte-cdk")
    ]
    cases.append(_case("import", "`import PACKAGE`", entries, options=options))
    return result_of(NAME, [case for case in cases if case], options=options, versions={})


def _case(name: str, title: str, entries: Sequence[Entry], *, options: Options) -> Case | None:
    if not options.wants_case(name):
        return None
    return Case(name=name, title=title, contenders=take_turns(entries, options=options, case=name), notes=[_WARM])


def _entry(name: str, command: list[str], *, version: str | None = "") -> Entry:
    started: list[Cost] = []

    def work() -> Run:
        BUILD.mkdir(parents=True, exist_ok=True)
        if not started:
            started.append(cost_of(command, output=BUILD / "said"))
        return run_of(cost_of(command, output=BUILD / "said"))

    missing = None if version is not None else "it could not be installed"
    return Entry(name, work, version=version or "", missing=missing)
