"""`benchmarks/README.md` and its charts, made from the results alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.budgets import judge_all
from benchmarks.chart import chart
from benchmarks.environment import code_digest
from benchmarks.figures import figure, format_ratio, format_verdict
from benchmarks.result import OURS, RESULTS, Case, Measure, Provenance, Ratio, Result, load_results, median, ratio
from benchmarks.scenarios import TITLES

_PAGE = Path(__file__).parent / "README.md"
_COMPARISON = _PAGE.parents[1] / "docs" / "comparison.md"
_FRONT_PAGE = _PAGE.parents[1] / "README.md"
_BEGIN, _END = "<!-- made by `python -m benchmarks page`: begin -->", "<!-- end -->"
_HEADLINES = (
    ("export", "twenty", "a full export of twenty datasets"),
    ("download", "unlimited", "a download over TLS"),
    ("download", "limited", "a download from a host that limits each connection"),
    ("convert", "typed", "gzip of CSV to Parquet, typed"),
    ("convert", "wide", "gzip of CSV to Parquet, wide text"),
    ("nightly", "without news", "a later night without news"),
)
_COLUMNS: dict[Measure, str] = {
    "wall_s": "wall s", "cpu_s": "CPU s", "peak_bytes": "peak MB", "requests": "calls", "wire_bytes": "wire MB",
}  # fmt: skip
_HEAD = """\
# Benchmarks

Is `bulkpull` faster, cheaper and smaller than what one would pick instead, by how much, and did today's change make it
worse? This page is made from `results/*.json` by `python -m benchmarks page`; nobody writes its figures by hand.

```console
$ make bench          # every scenario in small sizes, some minutes; then this page and the budgets
$ make bench-smoke    # whether every scenario and contender still runs: very little data, no figures
$ make bench-full     # the sizes that the budgets speak of; half an hour to an hour
$ .venv/bin/python -m benchmarks download --size full --peer curl
$ .venv/bin/python -m benchmarks export --profile
$ .venv/bin/python -m benchmarks compare BEFORE AFTER     # two results, or two folders of them
$ .venv/bin/python -m benchmarks faults                   # what becomes of rows when things go wrong: faults.md
```

**How to read it.** All contenders of a case do the same work by turns, round by round, on the same machine and
against the same server, each in processes of its own. A ratio is the other's figure over ours in the same round
(median, range): above 1 means that ours needs less. Seconds stand beside the machine that they were made on and mean
nothing elsewhere. *peak MB* adds up the peaks of all processes. Peers live in an environment of their own
(`.build/peers`), set up as their documentation recommends; what the harness does for one that cannot do a step stands
in its row. What is not installed is skipped, and says so. What is installed and fails ends the measurement. A result
that was taken before the code last changed is marked as older than the code.
"""


def write_page() -> Path:
    """Make the page and the charts of all results there are, the full size first where there are both."""
    results = _in_order(load_results())
    charts = RESULTS.parent / "charts"
    charts.mkdir(exist_ok=True)
    for old in charts.glob("*.svg"):
        old.unlink()
    for result in results:
        (charts / _chart_name(result)).write_text(chart(result), "utf-8")
    _PAGE.write_text("\n".join(_lines(results)), "utf-8")
    headlines = list(_headlines(results))
    _replace_table(_COMPARISON, _comparison_table(headlines))
    _replace_table(_FRONT_PAGE, _front_page_table(headlines))
    return _PAGE


def _replace_table(page: Path, lines: Iterable[str]) -> None:
    """Put the lines between the two marks of a page, unless there are none."""
    before, begin, rest = page.read_text("utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    table = "".join(lines)
    if begin and end and table:
        page.write_text(f"{before}{begin}\n{table}{end}{after}", "utf-8")


class _Headline(NamedTuple):
    """One of the few figures that the project's guides show."""

    work: str
    peer: str
    time: Ratio


def _headlines(results: list[Result]) -> Iterator[_Headline]:
    by_name: dict[str, dict[str, Case]] = {}
    for result in reversed(results):  # the full size last, so that it counts
        by_name.setdefault(result.scenario, {}).update({case.name: case for case in result.cases})
    for scenario, name, work in _HEADLINES:
        if case := by_name.get(scenario, {}).get(name):
            for peer in (contender.name for contender in case.contenders if contender.name != OURS):
                if found := ratio(case, peer, of="wall_s"):
                    yield _Headline(work, peer, found)


def _comparison_table(headlines: Sequence[_Headline]) -> Iterator[str]:
    if headlines:
        yield "| | against | their time, ours being 1 | range |\n| --- | --- | --: | --: |\n"
    for work, peer, time in headlines:
        yield f"| {work} | {peer} | {time.median:.1f} × | {time.low:.1f} to {time.high:.1f} |\n"


def _front_page_table(headlines: Sequence[_Headline]) -> Iterator[str]:
    """Who needs less time than ours, and who needs more: a row for each work."""
    if headlines:
        yield "| | needs less time | needs more time |\n| --- | --- | --- |\n"
    for work in dict.fromkeys(headline.work for headline in headlines):
        peers = [headline for headline in headlines if headline.work == work]
        less = "; ".join(f"{peer} {time.median:.2f} ×" for _, peer, time in peers if time.median < 1)
        more = "; ".join(f"{peer} {time.median:.2f} ×" for _, peer, time in peers if time.median >= 1)
        yield f"| {work} | {less} | {more} |\n"


def _in_order(results: list[Result]) -> list[Result]:
    names = list(TITLES)
    known = [result for result in results if result.scenario in TITLES]
    return sorted(known, key=lambda item: (names.index(item.scenario), item.size))


def _lines(results: list[Result]) -> Iterator[str]:
    yield _HEAD
    yield from _budgets()
    for result in results:
        yield from _scenario(result)
    yield "## When things go wrong\n"
    yield "Speed is half of it: [faults.md](faults.md) shows what becomes of rows, calls and objects.\n"


def _budgets() -> Iterator[str]:
    yield "## Budgets\n\n| budget | bound | measured | |\n| --- | --- | --- | --- |"
    results = load_results()
    outdated = {
        (result.scenario, case.name, result.size)
        for result in results
        for case in result.cases
        if is_outdated(result.provenance_of(case))
    }
    for verdict in sorted(judge_all(results), key=lambda verdict: verdict.is_met is not False):  # what is missed first
        bound, value, word = format_verdict(verdict)
        note = f": {verdict.budget.note}" if verdict.is_met is False and verdict.budget.note else ""
        if (verdict.budget.scenario, verdict.budget.case, verdict.measured) in outdated:
            word += ", older than the code"
        yield f"| {verdict.budget.what} | {bound} | {value} | {word}{note} |"
    yield ""


def _chart_name(result: Result) -> str:
    return f"{result.scenario}-{result.size}.svg"


def is_outdated(measured: Provenance) -> bool:
    """Whether the code that was measured is not the code that is here now."""
    return measured.code != code_digest()


def _scenario(result: Result) -> Iterator[str]:
    yield f"## {TITLES[result.scenario]}, {result.size} size\n"
    yield from _provenance(result, where=f"`{result.scenario}`, {result.size} size")
    yield f"![{TITLES[result.scenario]}](charts/{_chart_name(result)})\n"
    for case in result.cases:
        yield from _case(case)


def _provenance(measured: Provenance, *, where: str) -> Iterator[str]:
    if is_outdated(measured):
        commit = measured.commit
        yield f"**Older than the code**: measured at commit {commit}; the code it measures has changed since.\n"
    machine = measured.machine
    versions = ", ".join(f"{name} {version}" for name, version in measured.versions.items())
    yield (
        f"{where}, {measured.made_at:%Y-%m-%d}, commit {measured.commit};"
        f" {machine.processors} × {machine.model}, {machine.memory_bytes / 1e9:.0f} GB, {machine.system}; {versions}\n"
    )


def _case(case: Case) -> Iterator[str]:
    yield f"**{case.name}**: {case.title}\n"
    if case.measured is not None:
        yield from _provenance(case.measured, where="This case")
    if case.contenders:
        shown = [of for of in _COLUMNS if any(median(item, of) is not None for item in case.contenders)]
        yield f"| | {' | '.join(_COLUMNS[of] for of in shown)} | time against ours | CPU against ours | set up |"
        yield f"| --- |{' --: |' * len(shown)} --: | --: | --- |"
        for contender in case.contenders:
            name = (
                f"**{contender.name}**" if contender.name == OURS else f"{contender.name} {contender.version}".strip()
            )
            if contender.skipped:
                yield f"| {name} |{' |' * len(shown)} | | skipped: {contender.skipped} |"
                continue
            cells = [figure(median(contender, of), of) for of in shown]
            ratios = [
                "" if contender.name == OURS else format_ratio(ratio(case, contender.name, of=of))
                for of in ("wall_s", "cpu_s")
            ]
            yield f"| {name} | {' | '.join([*cells, *ratios])} | {contender.how} |"
        yield ""
    if case.lower_bound_s:
        yield f"Lower bound, the slowest report with its own transfer and conversion: {case.lower_bound_s:.2f} s.\n"
    if case.facts:
        yield "; ".join(f"{name}: {value:,g}" for name, value in case.facts.items()) + ".\n"
    if case.verified:
        yield f"Found equal: {case.verified}.\n"
    for note in case.notes:
        yield f"- {note}"
    if case.notes:
        yield ""
