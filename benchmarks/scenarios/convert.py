"""
The conversion, with all of its checks, beside DuckDB, pyarrow and bare polars, which check less.

    typed    17 columns as in the Azure usage report, a fifth of them numbers, dates or flags
    wide     80 columns with names of 100 letters, all text
    long     10 GB (full size only, one round): ours, for the memory
    at once  1, 2, 4 and 8 conversions of the typed file side by side (full size only), beside as many of bare polars

All convert the same gzip of a CSV, each in processes of its own, whose start counts as processor time and memory only.
The file is made once and kept in `.build`.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl

from benchmarks.columns import COLUMNS
from benchmarks.environment import BUILD
from benchmarks.measure import cost_of
from benchmarks.reports import make_report
from benchmarks.result import OURS, Case, Result, Run
from benchmarks.scenarios.common import OURS_ALONE, Entry, Options, result_of, run_of, take_turns
from benchmarks.tables import differences

NAME, TITLE = "convert", "Conversion"
_PEERS = {
    "duckdb": "COPY (SELECT * FROM read_csv(…)) TO … (FORMAT parquet, COMPRESSION zstd), as its documentation says",
    "duckdb-ignoring-errors": "the same with `ignore_errors = true`",
    "polars": "scan_csv(…).sink_parquet(…), bare, streaming, zstd and row groups as ours",
    "polars-same-types": "the same, told the types that ours finds: dates, decimals, identifiers as text",
    "pyarrow": "csv.open_csv in batches of 8 MiB into a ParquetWriter with zstd",
}
_AT_ONCE = (1, 2, 4, 8)
_HERE = Path(__file__).parents[1]


def measure(options: Options) -> Result:
    """Measure all cases."""
    typed = options.of_size(smoke=3_000_000, small=300_000_000, full=1_200_000_000)
    wide = options.of_size(smoke=3_000_000, small=60_000_000, full=600_000_000)
    cases = []
    if options.wants_case("typed"):
        cases.append(_case("typed", typed, wide=False, options=options))
    if options.wants_case("wide"):
        cases.append(_case("wide", wide, wide=True, options=options))
    if options.wants_case("long") and (options.size == "full" or "long" in options.cases):
        once = Options(options.size, options.size_bytes, 1, peers=OURS_ALONE)
        cases.append(_case("long", 10_000_000_000, wide=False, options=once))
    for at_once in _AT_ONCE:
        name = f"{at_once} at once"
        if options.wants_case(name) and (options.size == "full" or name in options.cases):
            size = options.of_size(smoke=3_000_000, small=60_000_000, full=300_000_000)
            cases.append(_side_by_side(name, size, at_once=at_once, options=replace(options, wanted_rounds=2)))
    return result_of(NAME, cases, options=options, versions={})


def _side_by_side(name: str, size_bytes: int, *, at_once: int, options: Options) -> Case:
    source = _source(size_bytes, wide=False)
    python, kept = options.peers_python, dict[str, Path]()
    ours = _work(OURS, source, kept=kept, python=sys.executable, at_once=at_once)
    entries = [
        Entry(OURS, ours, how="children of one parent"),
        Entry("polars", _work("polars", source, kept=kept, python=python or "", at_once=at_once),
              version=options.peer_versions.get("polars", ""), how="as many processes, started before the clock",
              missing=None if python else "it could not be installed"),
    ]  # fmt: skip
    contenders = take_turns(entries, options=options, case=name)
    for path in kept.values():
        shutil.rmtree(path)
    title = f"17 typed columns, {size_bytes / 1e6:,.0f} MB of CSV, {at_once} conversions side by side"
    return Case(name=name, title=title, contenders=contenders)


def _source(size_bytes: int, *, wide: bool) -> Path:
    source = BUILD / f"{'wide' if wide else 'usage'}-{size_bytes}.csv.gz"
    BUILD.mkdir(parents=True, exist_ok=True)
    make_report(source, size_bytes=size_bytes, wide=wide)
    return source


def _case(name: str, size_bytes: int, *, wide: bool, options: Options) -> Case:
    source = _source(size_bytes, wide=wide)
    kept: dict[str, Path] = {}
    python, versions = options.peers_python, options.peer_versions
    how = "in its child process: encoding, header, fields of every row, a round trip of every value"
    entries = [Entry(OURS, _work(OURS, source, wide=wide, kept=kept, python=sys.executable), how=how)]
    entries += [
        Entry(peer, _work(peer, source, wide=wide, kept=kept, python=python or ""),
              version=versions.get(peer.partition("-")[0], ""), how=how,
              missing=None if python else "it could not be installed")
        for peer, how in _PEERS.items()
    ]  # fmt: skip
    contenders = take_turns(entries, options=options, case=name)
    rows = contenders[0].runs[-1].rows
    reported = f"{rows:,} rows, {source.stat().st_size / 1e6:.0f} MB of gzip, {size_bytes / 1e6:,.0f} MB of CSV"
    case = Case(name=name, title=f"{'80 columns, all text' if wide else '17 typed columns'}: {reported}",
                contenders=contenders, verified=_verify(kept))  # fmt: skip
    for name_, path in kept.items():
        case.facts[f"Parquet MB of {name_}"] = round(sum(item.stat().st_size for item in path.iterdir()) / 1e6, 1)
        shutil.rmtree(path)
    return case


def _work(
    name: str, source: Path, *, wide: bool = False, kept: dict[str, Path], python: str, at_once: int = 0
) -> Callable[[], Run]:
    script = ["-m", "benchmarks.ours_convert"] if name == OURS else [str(_HERE / "peers" / "convert.py"), name]
    target = BUILD / f"converted-{name}"

    def work() -> Run:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        words = [python, *script, str(source), str(target), *["--wide"] * wide]
        words += ["--at-once", str(at_once)] if at_once else []
        cost = cost_of(words, output=BUILD / "said", by_share=at_once > 0)
        kept[name] = target
        return run_of(cost).model_copy(update=json.loads(cost.output))

    return work


def _verify(kept: dict[str, Path]) -> str:
    """Compare every value with ours; the sentence that says so."""
    ours = kept[OURS] / "*.parquet"
    peers = [name for name in kept if name != OURS]
    for name in peers:
        found = differences(ours, kept[name] / "*.parquet")
        assert not found, f"{name} and ours differ: {found}"
    identifiers = [column.name for column in COLUMNS if column.identifier]
    lost = [name for name in peers if _lost_zeros(kept[name], identifiers)]
    words = f"rows and values against {', '.join(peers)}" if peers else "rows"
    return words + (f"; {' and '.join(lost)} made numbers of identifiers, without their leading zeros" if lost else "")


def _lost_zeros(folder: Path, names: list[str]) -> bool:
    schema = pl.scan_parquet(folder / "*.parquet").collect_schema()
    return any(name in schema and schema[name].is_numeric() for name in names)
