"""What the benchmark harness says of its figures; nothing is measured here."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from benchmarks.budgets import judge_all, load_budgets
from benchmarks.chart import chart
from benchmarks.compare import changes
from benchmarks.environment import code_digest
from benchmarks.page import _front_page_table, _Headline, is_outdated, write_page
from benchmarks.result import OURS, Case, Contender, Machine, Provenance, Ratio, Result, Run, ratio
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.common import ContenderFailed, Entry, Options, take_turns
from benchmarks.tables import differences


def result(ours: list[float], curl: list[float], *, calls: int = 3) -> Result:
    contenders = [
        Contender(name=name, runs=[Run(wall_s=wall, cpu_s=wall, requests=calls) for wall in walls])
        for name, walls in ((OURS, ours), ("curl", curl))
    ]
    case = Case(name="unlimited", title="1 GB & more", contenders=contenders, lower_bound_s=0.5)
    machine = Machine(processors=2, model="any", memory_bytes=1, system="Linux")
    return Result(
        scenario="download", size="small", made_at=datetime(2026, 1, 1, tzinfo=UTC), commit="0", machine=machine,
        versions={}, cases=[case],
    )  # fmt: skip


def test_ratios_are_made_within_a_round() -> None:
    """A round in which the machine was slow was slow for everybody."""
    found = ratio(result([1, 10, 2], [2, 20, 6]).cases[0], "curl", of="wall_s")

    assert found is not None
    assert (found.median, found.low, found.high) == (2, 2, 3)


def test_what_lies_within_the_noise_is_no_change() -> None:
    lines = changes([result([1, 1, 1], [2, 2.2, 2.4])], [result([1, 1, 1], [2.1, 2.3, 2.5])])

    assert list(lines) == ["nothing got better or worse beyond the noise"]


@pytest.mark.parametrize(("wall", "word"), [(0.5, "better"), (2.0, "worse")])
def test_what_goes_beyond_the_noise_is_told(wall: float, word: str) -> None:
    before, after = result([1, 1, 1], [2, 2.2, 2.4]), result([wall] * 3, [2, 2.2, 2.4])

    lines = list(changes([before], [after]))

    assert len(lines) == 2
    assert all(line.startswith(f"download unlimited (small): {word}: curl's") for line in lines)


def test_a_call_more_is_told_although_it_takes_no_time() -> None:
    lines = changes([result([1], [1], calls=3)], [result([1], [1], calls=4)])

    assert list(lines) == ["download unlimited (small): worse: 4 API calls, there were 3"]


def test_every_budget_names_a_scenario_and_has_one_bound() -> None:
    for budget in load_budgets():
        assert budget.scenario in SCENARIOS
        assert (budget.at_least is None) != (budget.at_most is None)
        assert (budget.of is None) != (budget.fact is None)


@pytest.mark.parametrize(("curl", "is_met"), [(1.4, True), (1.2, False)])
def test_a_budget_is_met_or_missed(curl: float, *, is_met: bool) -> None:
    verdicts = judge_all([result([1], [curl])])

    speed = next(verdict for verdict in verdicts if verdict.budget.peer == "curl" and verdict.budget.of == "wall_s")
    assert speed.is_met is is_met
    assert speed.value == pytest.approx(curl)


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    before = result([1.5], [2.5])
    (tmp_path / "one.json").write_text(before.model_dump_json(exclude_defaults=True), "utf-8")

    assert Result.load(tmp_path / "one.json") == before


def test_a_chart_is_well_formed_whatever_a_title_holds() -> None:
    svg = ET.fromstring(chart(result([1], [2])))  # noqa: S314 - made here

    assert "2.00 × · 2.00 s" in "".join(svg.itertext())


def test_tables_are_compared_by_value_and_not_by_type(tmp_path: Path) -> None:
    """Peers guess types from the text: a number may come as text, a date as a moment, a text as nothing."""
    ours = {"Id": ["1", "2"], "Amount": ["1.50", None], "Note": [None, "x"]}
    pl.DataFrame(ours, schema_overrides={"Amount": pl.String}).with_columns(
        pl.col("Amount").cast(pl.Decimal(10, 2))
    ).write_parquet(tmp_path / "ours.parquet")
    pl.DataFrame({"note": ["", "x"], "id": [1, 2], "amount": [1.5, None]}).write_parquet(tmp_path / "theirs.parquet")
    pl.DataFrame({"note": ["x", ""], "id": [2, 1], "amount": [None, 1.5]}).write_parquet(tmp_path / "mixed.parquet")
    pl.DataFrame({"note": ["", "y"], "id": [1, 2], "amount": [1.5, None]}).write_parquet(tmp_path / "other.parquet")

    assert differences(tmp_path / "ours.parquet", tmp_path / "theirs.parquet") == []
    assert differences(tmp_path / "ours.parquet", tmp_path / "mixed.parquet", ordered=False) == []
    assert differences(tmp_path / "ours.parquet", tmp_path / "other.parquet") == [
        "1 values of Note, such as 'x' where theirs has 'y'"
    ]


def test_lost_carriage_returns_are_told_as_such(tmp_path: Path) -> None:
    pl.DataFrame({"Note": ["a\r\nb", "c\rd", "e"]}).write_parquet(tmp_path / "ours.parquet")
    pl.DataFrame({"Note": ["a\nb", "c\nd", "e"]}).write_parquet(tmp_path / "theirs.parquet")

    assert differences(tmp_path / "ours.parquet", tmp_path / "theirs.parquet") == [
        "2 values of Note, of which theirs have lost the carriage returns"
    ]


def _fail() -> Run:
    raise ValueError("no such file")


def _do() -> Run:
    return Run(wall_s=1, cpu_s=1)


def test_a_contender_that_is_installed_and_fails_ends_the_measurement() -> None:
    """A row that says `skipped` would hide that the harness itself is broken."""
    entries = [Entry(OURS, _do), Entry("curl", _fail)]

    with pytest.raises(ContenderFailed, match="download: curl failed: ValueError: no such file"):
        take_turns(entries, options=Options("smoke"), case="download")


def test_only_a_contender_that_is_not_installed_is_skipped() -> None:
    entries = [Entry(OURS, _do), Entry("rclone", _fail, missing="it is not installed on this machine")]

    ours, rclone = take_turns(entries, options=Options("smoke"), case="download")

    assert (len(ours.runs), ours.skipped) == (1, None)
    assert (rclone.runs, rclone.skipped) == ([], "it is not installed on this machine")


@pytest.mark.parametrize(("code", "is_old"), [("", True), ("0123456789abcdef", True), (code_digest(), False)])
def test_a_result_of_other_code_than_the_present_one_is_outdated(code: str, *, is_old: bool) -> None:
    assert is_outdated(result([1], [1]).model_copy(update={"code": code})) is is_old


def test_a_case_that_is_measured_alone_leaves_the_others_their_own_commit_machine_and_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole file got the commit of the last case, so that old figures counted as new."""
    monkeypatch.setattr("benchmarks.result.RESULTS", tmp_path)
    old, now = result([1], [1]), result([2], [2])
    limited = now.cases[0].model_copy(update={"name": "limited"})
    later = {"code": code_digest(), "commit": "1", "made_at": datetime(2026, 2, 2, tzinfo=UTC)}
    old.save()

    now.model_copy(update={**later, "cases": [limited]}).completed().save()
    first, second = Result.load(old.path).cases
    partly = Result.load(old.path)

    assert (first.name, second.name) == ("unlimited", "limited")
    assert first.measured == Provenance(made_at=old.made_at, commit="0", machine=old.machine, versions={})
    assert (second.measured, partly.commit, partly.made_at) == (None, "1", later["made_at"])
    assert [is_outdated(partly.provenance_of(case)) for case in (first, second)] == [True, False]

    wholly = partly.model_copy(update={**later, "cases": now.cases}).completed()
    assert [(case.name, case.measured is None) for case in wholly.cases] == [("unlimited", True), ("limited", False)]


def test_the_page_shows_beside_a_case_what_it_was_measured_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir()
    monkeypatch.setattr("benchmarks.result.RESULTS", tmp_path / "results")
    monkeypatch.setattr("benchmarks.page.RESULTS", tmp_path / "results")
    monkeypatch.setattr("benchmarks.page._PAGE", tmp_path / "README.md")
    monkeypatch.setattr("benchmarks.page.load_results", lambda: [Result.load(tmp_path / "results/download-small.json")])
    monkeypatch.setattr("benchmarks.page._COMPARISON", tmp_path / "comparison.md")
    monkeypatch.setattr("benchmarks.page._FRONT_PAGE", tmp_path / "front.md")
    (tmp_path / "comparison.md").write_text("")
    (tmp_path / "front.md").write_text("")
    result([1], [1]).save()
    limited = result([2], [2]).cases[0].model_copy(update={"name": "limited"})
    now = {"code": code_digest(), "commit": "1", "cases": [limited]}
    result([2], [2]).model_copy(update=now).completed().save()

    page = write_page().read_text("utf-8")

    before, _, of_one = page.partition("**unlimited**")
    assert "measured at commit" not in before.partition("## Download")[2]
    assert "measured at commit 0" in of_one.partition("**limited**")[0]
    assert "measured at commit" not in of_one.partition("**limited**")[2]


def test_the_front_page_names_who_is_quicker_and_who_is_slower() -> None:
    headlines = [
        _Headline("a download", "one", Ratio(median=0.73, low=0.5, high=0.8)),
        _Headline("a download", "other", Ratio(median=1.23, low=1.0, high=1.3)),
    ]

    assert list(_front_page_table(headlines))[-1] == "| a download | one 0.73 × | other 1.23 × |\n"
