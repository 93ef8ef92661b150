"""What every scenario shares: options, taking turns, and the result around the cases."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.environment import code_digest, commit, machine, own_versions, peer_versions, peers_python
from benchmarks.measure import Cost
from benchmarks.result import OURS, Case, Contender, Result, Run, Size

PROGRAM = str(Path(sys.executable).parent / "bulkpull")
"""The installed command, beside the interpreter that measures."""
_ROUNDS: dict[Size, int] = {"smoke": 1, "small": 3, "full": 5}
OURS_ALONE = ("none",)
"""The `peers` of options that measure no peer at all."""


class ContenderFailed(Exception):
    """A contender that is installed did not do its work: the whole measurement has failed."""


@dataclass(frozen=True, slots=True)
class Options:
    """
    How a scenario is to be measured.

    Attributes:
        size_bytes: Of the work's main file, in place of what `size` says.
        wanted_rounds: In place of what `size` says.
        peers: Only these besides ours; all without.
        cases: Only these; all without.
    """

    size: Size = "small"
    size_bytes: int | None = None
    wanted_rounds: int | None = None
    peers: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()

    @property
    def rounds(self) -> int:
        """How often each contender does the work."""
        return self.wanted_rounds or _ROUNDS[self.size]

    def in_rounds(self, *, small: int) -> Options:
        """The same with another number of rounds in small size, unless one is wanted."""
        return replace(self, wanted_rounds=self.wanted_rounds or (small if self.size == "small" else None))

    def wants_case(self, name: str) -> bool:
        """Whether the case is to be measured."""
        return not self.cases or name in self.cases

    def wants(self, name: str) -> bool:
        """Whether the contender is to be measured."""
        return name == OURS or not self.peers or name in self.peers

    def of_size(self, *, smoke: int, small: int, full: int) -> int:
        """Bytes of a file."""
        return self.size_bytes or {"smoke": smoke, "small": small, "full": full}[self.size]

    @property
    def peers_python(self) -> str | None:
        """The interpreter of the peers' environment; `None` when it cannot be made or no peer is measured."""
        return None if self.peers == OURS_ALONE else peers_python()

    @property
    def peer_versions(self) -> dict[str, str]:
        """Versions of what the peers' environment holds, by package; empty when no peer is measured."""
        return {} if self.peers == OURS_ALONE else peer_versions()


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A contender that is about to be measured.

    Attributes:
        work: Does the work once.
        missing: Why it cannot, if so.
    """

    name: str
    work: Callable[[], Run]
    version: str = ""
    how: str = ""
    missing: str | None = None


def take_turns(entries: Sequence[Entry], *, options: Options, case: str) -> list[Contender]:
    """
    Let all do the work, one after another, round by round.

    By turns, so that whatever else the machine does meets every one of them. Only what is not installed is skipped.

    Raises:
        ContenderFailed: One that is installed failed, ours or another.
    """
    contenders = [
        Contender(name=entry.name, version=entry.version, how=entry.how, skipped=entry.missing)
        for entry in entries
        if options.wants(entry.name)
    ]
    works = {entry.name: entry.work for entry in entries}
    for number in range(options.rounds):
        for contender in contenders:
            if contender.skipped:
                continue
            say(f"{case}: {contender.name}, round {number + 1} of {options.rounds}")
            try:
                contender.runs.append(works[contender.name]())
            except Exception as error:
                raise ContenderFailed(f"{case}: {contender.name} failed: {type(error).__name__}: {error}") from error
    return contenders


def run_of(cost: Cost, **more: int | None) -> Run:
    """What a process cost, as a run."""
    return Run(wall_s=cost.wall_s, cpu_s=cost.cpu_s, peak_bytes=cost.peak_bytes, **more)


def result_of(scenario: str, cases: Sequence[Case], *, options: Options, versions: Mapping[str, str]) -> Result:
    """The cases with all that a reader has to know about them."""
    return Result(
        scenario=scenario,
        size=options.size,
        made_at=datetime.now(UTC).replace(microsecond=0),
        commit=commit(),
        code=code_digest(),
        machine=machine(),
        versions={**own_versions(), **versions},
        cases=list(cases),
    )


def say(what: str) -> None:
    """Tell on standard error what is going on."""
    print(f"  {what}", file=sys.stderr, flush=True)
