"""What got better or worse between two results, beyond what the rounds of each differ among themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.result import OURS, Case, Measure, Ratio, Result, median, ratio

_RATIOS: dict[Measure, str] = {"wall_s": "time", "cpu_s": "processor time", "peak_bytes": "memory"}
# Counts repeat exactly, so any change of them is one.
_COUNTS: dict[Measure, str] = {"requests": "API calls"}


def changes(before: Sequence[Result], after: Sequence[Result]) -> Iterator[str]:
    """
    One line for each figure that moved; ratios to the same peer, so that the machine's day does not count.

    A ratio moved when its ranges over the rounds do not overlap.
    """
    earlier = {(result.scenario, result.size): result for result in before}
    moved = False
    for result in after:
        old = earlier.get((result.scenario, result.size))
        for case in result.cases:
            match = next((item for item in old.cases if item.name == case.name), None) if old else None
            if match is None:
                continue
            for line in _case_changes(match, case):
                moved = True
                yield f"{result.scenario} {case.name} ({result.size}): {line}"
    if not moved:
        yield "nothing got better or worse beyond the noise"


def _case_changes(before: Case, after: Case) -> Iterator[str]:
    peers = [contender.name for contender in after.contenders if contender.name != OURS]
    for of, word in _RATIOS.items():
        for peer in peers:
            one, two = ratio(before, peer, of=of), ratio(after, peer, of=of)
            if one is not None and two is not None and (direction := _direction(one, two)):
                yield f"{direction}: {peer}'s {word} is {_described(two)} ours, it was {_described(one)}"
    own, other = before.contender(OURS), after.contender(OURS)
    for of, word in _COUNTS.items():
        counts = [median(item, of) if item else None for item in (own, other)]
        if None not in counts and counts[0] != counts[1]:
            yield f"{'worse' if counts[1] > counts[0] else 'better'}: {counts[1]:g} {word}, there were {counts[0]:g}"  # type: ignore[operator]  # neither is None


def _direction(before: Ratio, after: Ratio) -> str | None:
    if after.low > before.high:
        return "better"
    return "worse" if after.high < before.low else None


def _described(value: Ratio) -> str:
    return f"{value.median:.2f} × ({value.low:.2f} to {value.high:.2f})"
