"""
The benchmark harness: `python -m benchmarks SCENARIO`, `compare`, `budgets`, `page`, `faults`.

    python -m benchmarks download --size full --peer curl --rounds 7
    python -m benchmarks all --size small
    python -m benchmarks compare BEFORE AFTER
    python -m benchmarks export --profile
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from subprocess import CalledProcessError
from typing import Annotated

import typer
from filelock import FileLock
from rich.console import Console

from benchmarks.budgets import judge_all
from benchmarks.compare import changes
from benchmarks.environment import BUILD, peers_python
from benchmarks.faults import try_without_faults, write_faults
from benchmarks.page import write_page
from benchmarks.profile import write_profile
from benchmarks.result import load_results
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.common import OURS_ALONE, ContenderFailed, Options, say
from benchmarks.tell import print_result, print_verdicts

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, help=__doc__.split("\n\n")[0])
console = Console(soft_wrap=True)


class SizeName(StrEnum):
    SMALL = "small"
    FULL = "full"


Size = Annotated[str, typer.Option(help="`small`, `full`, or bytes of the main file, such as 3e8.")]
Rounds = Annotated[int | None, typer.Option(min=1, help="How often each contender does the work.")]
Peers = Annotated[list[str] | None, typer.Option("--peer", help="Measure only this one besides ours; repeatable.")]
Cases = Annotated[list[str] | None, typer.Option("--case", help="Measure only this case; repeatable.")]
Profile = Annotated[bool | None, typer.Option(help="Write a flame graph of ours in place of measuring.")]


def _options(size: str, rounds: int | None, peers: list[str] | None, cases: list[str] | None) -> Options:
    named = size if size in ("small", "full") else "small"
    return Options(
        size=named,  # type: ignore[arg-type]  # one of the two
        size_bytes=None if size == named else int(float(size)),
        wanted_rounds=rounds,
        peers=tuple(peers or ()),
        cases=tuple(cases or ()),
    )


def _command(name: str) -> None:
    def run(
        size: Size = "small", rounds: Rounds = None, peer: Peers = None, case: Cases = None, profile: Profile = None
    ) -> None:
        options = _options(size, rounds, peer, case)
        if profile:
            console.print(f"flame graph: {write_profile(name, options)}")
            return
        try:
            measure(name, options)
        except (ContenderFailed, CalledProcessError) as failure:
            console.print(f"{name} was not measured: {failure}")
            raise typer.Exit(1) from None

    app.command(name, help=f"Measure the scenario `{name}`.")(run)


def measure(name: str, options: Options) -> None:
    """Measure a scenario, write down what came of it, and print it."""
    say(f"{name} ({options.size})")
    BUILD.mkdir(parents=True, exist_ok=True)
    with FileLock(BUILD / "lock"):  # two at once would measure each other
        result = SCENARIOS[name](options)
    if not (options.peers or options.size_bytes):
        (result.completed() if options.cases else result).save()
        write_page()
    print_result(result, console=console)


for scenario in SCENARIOS:
    _command(scenario)


@app.command(name="all")
def measure_all(size: Size = "small", rounds: Rounds = None) -> None:
    """Measure every scenario, make the page, and check the budgets."""
    lost = []
    for name in SCENARIOS:
        try:
            measure(name, _options(size, rounds, None, None))
        except Exception as error:  # noqa: BLE001 - the other scenarios are still worth their figures
            lost.append(f"{name} was not measured: {type(error).__name__}: {error}")
            say(lost[-1])
    for sentence in lost:
        console.print(sentence)
    print_verdicts(judge_all(load_results()), console=console)
    if lost:
        raise typer.Exit(1)


@app.command()
def smoke(
    scenarios: Annotated[list[str] | None, typer.Argument(help="Only these.")] = None,
    *,
    own: Annotated[bool, typer.Option("--own", help="Ours alone: no peer is installed or run.")] = False,
) -> None:
    """Run every scenario and every contender once on very little data; no figure is kept."""
    options = Options("smoke", peers=OURS_ALONE if own else ())
    failures, skipped = [], set[str]()
    if not own and peers_python() is None:
        failures.append("the peers could not be installed: with `--own` ours are tried alone")
    BUILD.mkdir(parents=True, exist_ok=True)
    with FileLock(BUILD / "lock"):
        for name in scenarios or SCENARIOS:
            say(f"{name} (smoke)")
            try:
                result = SCENARIOS[name](options)
            except Exception as error:  # noqa: BLE001 - the other scenarios are tried as well
                failures.append(f"{name}: {error}" if str(error) else f"{name}: {error!r}")
            else:
                skipped |= {
                    contender.name for case in result.cases for contender in case.contenders if contender.skipped
                }
        if not scenarios:
            say("faults (smoke)")
            failures += try_without_faults(alone=own)
    if skipped:
        console.print(f"not installed here, so not tried: {', '.join(sorted(skipped))}")
    for failure in failures:
        console.print(f"failed: {failure}")
    if failures:
        raise typer.Exit(1)
    console.print("every contender did its work")


@app.command()
def page() -> None:
    """Make `benchmarks/README.md` and its charts from the results."""
    console.print(str(write_page()))


@app.command()
def compare(before: Path, after: Path) -> None:
    """Say what got better or worse beyond the noise, between two results or two folders of them."""
    for line in changes(load_results(before), load_results(after)):
        console.print(line)


@app.command(name="budgets")
def check_budgets() -> None:
    """Hold the results against `benchmarks/budgets.toml`; ends with 1 when one is missed."""
    verdicts = judge_all(load_results())
    print_verdicts(verdicts, console=console)
    if any(verdict.is_met is False for verdict in verdicts):
        raise typer.Exit(1)


@app.command(name="faults")
def provoke_faults() -> None:
    """Provoke faults on us and on each peer, and make `benchmarks/faults.md` of the outcomes."""
    console.print(str(write_faults()))


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
