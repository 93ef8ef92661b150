"""Windows against services that treat them in their own ways: each row of the truth once, or a refusal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl
import pytest
from journeys.kit import export
from support import FakeClock

from bulkpull.model import Window
from bulkpull.output.manifest import DatasetRecord, Manifest
from bulkpull.simulator import Fault, Scenario, Simulator

MONTHLY, DAILY = "OfficeUsage", "MSLearn"
TIME_OF = {MONTHLY: "Month", DAILY: "CompletionDate"}
ID_OF = {MONTHLY: "CustomerName", DAILY: "UserName"}
HEADER = {
    MONTHLY: (
        "PGAMpnId,CustomerTenantId,CustomerTpid,WorkloadName,Month,PaidAvailableUnits,MonthlyActiveUsers,CustomerName,"
        "CustomerMarket,CustomerSegment,MPNId,PartnerName,PartnerLocation,PartnerAttributionType,"
        "IsDuplicateRowForPGA,IndustryName,VerticalName,EOU"
    ),
    DAILY: (
        "PGAMpnId,UserName,UserId,TrainingName,TrainingType,Products,Roles,CompletionDate,MPNId,PartnerName,Country"
    ),
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(since: str, until: str) -> Window:
    return Window(at(since), at(until))


@dataclass
class Truth:
    """
    The rows of a dataset, each with a name of its own, and a service that serves them in its manner.

    Attributes:
        rows: Time and name of each; `None` for a row without a time.
        form: How times are written.
        span_days: What a report without a window, or one whose window is ignored, takes.
    """

    rows: Sequence[tuple[date | None, str]]
    dataset: str = MONTHLY
    form: str = "%Y-%m-%d"
    inclusive: bool = False
    exclusive_start: bool = False
    ignores: bool = False
    span_days: int = 183
    restated: Callable[[date | None, str, datetime], str] = lambda _, name, __: name

    def __call__(self, start: datetime | None, end: datetime | None, made_at: datetime) -> bytes:
        first = start.date() if start and not self.ignores else (made_at - timedelta(days=self.span_days)).date()
        last = end.date() if end and not self.ignores else made_at.date() + timedelta(days=1)
        if end is not None and not self.ignores and end.time() != end.min.time():
            last += timedelta(days=1)

        def taken(day: date | None) -> bool:
            if day is None:
                return True
            after_start = first < day if self.exclusive_start and start else first <= day
            return after_start and (day <= last if self.inclusive else day < last)

        columns = HEADER[self.dataset].split(",")
        lines = [",".join(columns)]
        for day, name in self.rows:
            if taken(day):
                cells = dict.fromkeys(columns, "")
                cells[ID_OF[self.dataset]] = self.restated(day, name, made_at)
                cells[TIME_OF[self.dataset]] = self.written(day)
                lines.append(",".join(cells.values()))
        return ("\r\n".join(lines) + "\r\n").encode()

    def written(self, day: date | None) -> str:
        if day is None:
            return ""
        text = day.strftime(self.form.replace("%^b", "%b"))
        return text.upper() if "%^b" in self.form else text

    def within(self, asked: Window) -> Counter[str]:
        inside = [name for day, name in self.rows if day and asked.start.date() <= day < asked.end.date()]
        return Counter([*inside, *(name for day, name in self.rows if day is None)])


def of_months(first: str, count: int, *, rows_each: int = 2) -> list[tuple[date | None, str]]:
    rows: list[tuple[date | None, str]] = []
    month = date.fromisoformat(first)
    for _ in range(count):
        rows += [(month, f"{month:%Y-%m}/{number}") for number in range(rows_each)]
        month = (month + timedelta(days=31)).replace(day=1)
    return rows


def of_days(first: str, count: int, *, rows_each: int = 2) -> list[tuple[date | None, str]]:
    days = [date.fromisoformat(first) + timedelta(days=number) for number in range(count)]
    return [(day, f"{day}/{number}") for day in days for number in range(rows_each)]


def names(output: Path, manifest: Manifest) -> Counter[str]:
    (record,) = manifest.datasets
    frame = pl.read_parquet([output / file.path for file in record.files], glob=False)
    return Counter(frame[ID_OF[record.source or record.dataset]].to_list())


async def pull(
    truth: Truth,
    asked: Window,
    output: Path,
    *,
    clock: FakeClock | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
    **scenario: Any,
) -> tuple[Manifest, DatasetRecord, int]:
    """The manifest of an export of the window, its record, and how many reports were created."""
    clock = clock or FakeClock()
    contents = {truth.dataset: truth}
    async with Simulator(Scenario(contents=contents, **scenario), clock=clock) as simulator:
        manifest = await export(simulator, output, truth.dataset, window=asked, clock=clock, **settings)
        return manifest, manifest.datasets[0], simulator.service.created_reports[truth.dataset]


YEAR = window("2025-12-01", "2026-11-01")


@pytest.mark.case("W1", "W2")
@pytest.mark.behaviour(84, 155, 185, 186)
@pytest.mark.parametrize("form", ["%Y-%m-%d", "%^b-%Y", "%b %Y", "%Y-%m", "%Y%m%d", "%Y%m", "%m/%d/%Y", "%d.%m.%Y"])
async def test_an_inclusive_end_doubles_no_month_in_whatever_form_it_is_written(form: str, tmp_path: Path) -> None:
    truth = Truth(of_months("2025-11-01", 13), form=form, inclusive=True)

    manifest, record, _ = await pull(truth, YEAR, tmp_path)

    assert record.status == "complete", record.reason
    assert names(tmp_path, manifest) == truth.within(YEAR)
    assert [part.edge_rows for part in record.parts] == [2] * 11
    assert any("20 rows on the edges of its windows came twice" in note for note in record.notes)
    assert any("window's end, 2026-11-01" in note for note in record.notes)


@pytest.mark.case("W1")
async def test_a_service_that_ignores_windows_is_refused_with_the_first_rows(tmp_path: Path) -> None:
    truth = Truth(of_months("2025-01-01", 23), ignores=True)

    manifest, record, created = await pull(truth, YEAR, tmp_path)

    assert (record.status, manifest.exit_code) == ("failed", 3)
    assert "did not keep to the window" in str(record.reason)
    assert created <= 2
    assert not (tmp_path / "current.json").exists()


@pytest.mark.case("W1")
async def test_one_report_that_holds_the_whole_is_cut_and_no_other_is_asked_for(tmp_path: Path) -> None:
    truth = Truth(of_months("2025-01-01", 23), ignores=True, span_days=700)

    manifest, record, created = await pull(truth, YEAR, tmp_path)

    assert record.status == "complete", record.reason
    assert names(tmp_path, manifest) == truth.within(YEAR)
    assert created <= 2
    assert any("one report had all requested rows" in note for note in record.notes)


@pytest.mark.case("W1")
async def test_a_service_that_rounds_to_months_is_cut_here(tmp_path: Path) -> None:
    asked = window("2026-09-10", "2026-10-05")
    truth = Truth(of_days("2026-08-01", 100), dataset=DAILY)

    def rounded(start: datetime | None, end: datetime | None, made_at: datetime) -> bytes:
        return truth(start, end, made_at)

    clock = FakeClock()
    scenario = Scenario(contents={DAILY: rounded}, windows="rounded")
    async with Simulator(scenario, clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, DAILY, window=asked, clock=clock)

    (record,) = manifest.datasets
    assert record.status == "complete", record.reason
    assert names(tmp_path, manifest) == truth.within(asked)
    assert any("whole months" in note for note in record.notes)


@pytest.mark.case("W1")
async def test_rows_without_a_date_that_come_with_every_window_are_there_once(tmp_path: Path) -> None:
    truth = Truth([*of_months("2025-11-01", 13), (None, "undated/1"), (None, "undated/2")])

    manifest, record, _ = await pull(truth, YEAR, tmp_path)

    assert record.status == "complete", record.reason
    assert names(tmp_path, manifest) == truth.within(YEAR)
    assert any("2 rows without Month" in note for note in record.notes)


@pytest.mark.case("W1")
async def test_rows_without_a_date_are_all_there_once_where_only_some_come_with_every_window(tmp_path: Path) -> None:
    truth = Truth([*of_months("2025-11-01", 13), (None, "undated")])
    of_windows: set[str] = set()

    def with_own_row(start: datetime | None, end: datetime | None, made_at: datetime) -> bytes:
        of_windows.add(own := f"undated of {start}")
        return replace(truth, rows=[*truth.rows, (None, own)])(start, end, made_at)

    clock = FakeClock()
    async with Simulator(Scenario(contents={MONTHLY: with_own_row}), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, MONTHLY, window=YEAR, clock=clock)

    (record,) = manifest.datasets
    assert record.status == "complete", record.reason
    assert len(of_windows) > 1
    assert names(tmp_path, manifest) == truth.within(YEAR) + Counter(of_windows)
    undated = len(of_windows) + 1
    assert f"{undated} rows without Month, which came with several windows: kept, each once" in record.notes


@pytest.mark.case("W1")
async def test_dates_in_two_readings_are_refused(tmp_path: Path) -> None:
    truth = Truth(of_days("2026-09-01", 10), dataset=DAILY, form="%m/%d/%Y")

    manifest, record, _ = await pull(truth, window("2026-09-01", "2026-09-11"), tmp_path)

    assert (record.status, manifest.exit_code) == ("failed", 3)
    assert "does not tell which rows lie within a window" in str(record.reason)


@pytest.mark.case("W2")
async def test_windows_that_do_not_take_their_start_lose_no_day(tmp_path: Path) -> None:
    truth = Truth(of_months("2025-11-01", 13), inclusive=True, exclusive_start=True)

    manifest, record, _ = await pull(truth, window("2025-11-15", "2026-11-01"), tmp_path)

    assert record.status == "complete", record.reason
    assert names(tmp_path, manifest) == truth.within(YEAR)


@pytest.mark.case("W3")
async def test_a_day_restated_between_two_windows_is_there_once_in_its_later_reading(tmp_path: Path) -> None:
    """The newest windows go first: a later reading of an edge may come with the window before it."""
    readings: dict[str, list[str]] = {}

    def restated(day: date | None, name: str, made_at: datetime) -> str:
        if day != date(2026, 5, 1):
            return name
        reported = f"{name} of {made_at:%H:%M:%S.%f}"
        readings.setdefault(name, []).append(reported)
        return reported

    truth = Truth(of_months("2025-11-01", 13), inclusive=True, restated=restated)
    manifest, record, _ = await pull(truth, YEAR, tmp_path, reports_at_once=1, latency_s=(60.0, 60.0))

    assert record.status == "complete", record.reason
    found = names(tmp_path, manifest)
    assert found.total() == truth.within(YEAR).total()
    mays = [name for name in found if name.startswith("2026-05/")]
    assert sorted(mays) == sorted(max(reported) for reported in readings.values())


@pytest.mark.case("W4", "W14", "N11")
@pytest.mark.parametrize("later", ["the same", "another end"])
async def test_one_lost_month_costs_few_reports_on_the_next_run_whatever_its_command(
    later: str, tmp_path: Path
) -> None:
    asked = window("2026-01-01", "2026-10-01")
    truth, clock = Truth(of_months("2025-11-01", 13)), FakeClock()
    lost = at("2026-04-01")

    def losing(start: datetime | None, end: datetime | None, made_at: datetime) -> bytes:
        if clock.elapsed_s < 3_000 and start is not None and start == lost:
            return b"<html>an error page</html>"
        return truth(start, end, made_at)

    async with Simulator(Scenario(contents={MONTHLY: losing}), clock=clock) as simulator:
        first = await export(simulator, tmp_path, MONTHLY, window=asked, clock=clock)
        before = simulator.service.created_reports[MONTHLY]
        clock.advance(3_600)
        again = asked if later == "the same" else window("2026-01-01", "2026-11-01")
        manifest = await export(simulator, tmp_path, MONTHLY, window=again, clock=clock)
        created = simulator.service.created_reports[MONTHLY] - before
        assert simulator.service.reports == {}

    assert "2026-04-01 to 2026-05-01" in str(first.datasets[0].reason)
    assert "8 of 9 windows are kept" in str(first.datasets[0].reason)
    (record,) = manifest.datasets
    assert record.status == "complete", record.reason
    assert names(tmp_path, manifest) == truth.within(again)
    assert created <= (3 if later == "the same" else 4)


@pytest.mark.case("W5")
async def test_many_windows_that_all_fail_create_at_most_ten_reports(tmp_path: Path) -> None:
    asked = window("2025-01-01", "2026-11-01")
    manifest, record, created = await pull(
        Truth(of_months("2025-01-01", 22)), asked, tmp_path, faults=(Fault("execution_fails", times=None),)
    )

    assert (record.status, manifest.exit_code) == ("failed", 3)
    assert created <= 10
    assert "the window 2026-" in str(record.reason)


@pytest.mark.case("W6")
@pytest.mark.behaviour(86)
async def test_a_service_that_makes_one_report_at_a_time_serves_every_window_with_one(tmp_path: Path) -> None:
    """Each report takes longer than a sixteenth of the deadline: all of them together take longer than it."""
    asked = window("2025-05-01", "2026-11-01")
    truth = Truth(of_months("2025-01-01", 22))

    manifest, record, created = await pull(truth, asked, tmp_path, reports_at_once=1, latency_s=(20.0, 20.0))

    assert record.status == "complete", record.reason
    assert created == len(record.parts)
    assert names(tmp_path, manifest) == truth.within(asked)


@pytest.mark.case("W6")
@pytest.mark.behaviour(86)
async def test_a_quota_of_unfinished_reports_is_waited_for(tmp_path: Path) -> None:
    truth = Truth(of_months("2025-01-01", 23))

    manifest, record, created = await pull(truth, YEAR, tmp_path, unfinished_report_quota=3, latency_s=(5.0, 5.0))

    assert record.status == "complete", record.reason
    assert created == len(record.parts) == 11
    assert names(tmp_path, manifest) == truth.within(YEAR)


@pytest.mark.case("W10")
async def test_two_years_of_three_datasets_in_windows_store_three_queries(tmp_path: Path) -> None:
    clock, asked = FakeClock(), window("2024-12-01", "2026-11-01")
    datasets = (MONTHLY, DAILY, "DynamicsUsage")
    async with Simulator(Scenario(rows=12), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, *datasets, window=asked, clock=clock)

        assert simulator.service.created_queries.total() == 3
    assert manifest.status == "complete", [record.reason for record in manifest.datasets]


@pytest.mark.case("W9")
async def test_parts_with_different_forms_become_text_that_the_file_wrote(tmp_path: Path) -> None:
    truth = Truth(of_months("2025-11-01", 13))

    def mixed(start: datetime | None, end: datetime | None, made_at: datetime) -> bytes:
        truth.form = "%Y-%m" if start and start >= at("2026-06-01") else "%^b-%Y"
        return truth(start, end, made_at)

    clock = FakeClock()
    async with Simulator(Scenario(contents={MONTHLY: mixed}), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, MONTHLY, window=YEAR, clock=clock)

    (record,) = manifest.datasets
    assert record.status == "complete", record.reason
    frame = pl.read_parquet([tmp_path / file.path for file in record.files], glob=False)
    assert names(tmp_path, manifest) == truth.within(YEAR)
    assert frame.schema["Month"] == pl.String
    assert {"DEC-2025", "2026-10"} <= set(frame["Month"])


@pytest.mark.case("W16")
async def test_monthly_data_asked_from_the_middle_of_a_month_say_where_its_row_lies(tmp_path: Path) -> None:
    asked = window("2026-01-15", "2026-04-01")
    truth = Truth(of_months("2025-11-01", 13))

    manifest, record, _ = await pull(truth, asked, tmp_path)

    assert names(tmp_path, manifest) == truth.within(asked)
    assert any("on its first day" in note for note in record.notes)


@pytest.mark.case("W16")
async def test_daily_data_asked_from_the_middle_of_a_month_have_no_note_on_months(tmp_path: Path) -> None:
    """The documents call the dataset monthly; only its rows tell."""
    asked = window("2026-01-15", "2026-04-01")
    truth = Truth(of_days("2026-01-01", 100))

    manifest, record, _ = await pull(truth, asked, tmp_path)

    assert names(tmp_path, manifest) == truth.within(asked)
    assert not [note for note in record.notes if "on its first day" in note]


@pytest.mark.case("W16")
async def test_a_window_outside_of_the_data_is_told(tmp_path: Path) -> None:
    _, record, _ = await pull(Truth(of_months("2026-06-01", 5)), window("2026-01-01", "2026-03-01"), tmp_path)

    assert record.status == "complete"
    assert any("no row lies within the window 2026-01-01 to 2026-03-01" in note for note in record.notes)


@pytest.mark.case("W12")
@pytest.mark.behaviour(84)
async def test_a_window_far_beyond_the_history_is_one_report_more(tmp_path: Path) -> None:
    truth = Truth(of_months("2025-01-01", 22))
    asked = window("2000-01-01", "2026-11-01")

    manifest, record, created = await pull(truth, asked, tmp_path)

    assert record.status == "complete", record.reason
    assert created <= 16
    assert names(tmp_path, manifest) == truth.within(asked)


@pytest.mark.case("W12")
async def test_a_window_that_needs_more_reports_than_allowed_is_refused_before_the_first(tmp_path: Path) -> None:
    manifest, record, created = await pull(
        Truth(of_months("2025-01-01", 23)), YEAR, tmp_path, settings={"reports_per_dataset": 10}
    )

    assert (record.status, manifest.exit_code, created) == ("failed", 3, 0)
    assert "its windows need 11 reports, and `reports_per_dataset` allows 10" in str(record.reason)
    assert "--yes" in str(record.reason)


@pytest.mark.case("W5", "W12")
async def test_the_bound_counts_repeats_and_what_has_arrived_is_taken_up(tmp_path: Path) -> None:
    truth, clock = Truth(of_months("2025-01-01", 23)), FakeClock()
    failures = Fault("execution_fails", times=2, skip=5)
    async with Simulator(Scenario(contents={MONTHLY: truth}, faults=(failures,)), clock=clock) as simulator:
        first = await export(simulator, tmp_path, MONTHLY, window=YEAR, clock=clock, reports_per_dataset=12)
        assert simulator.service.created_reports[MONTHLY] == 12
        again = await export(simulator, tmp_path, MONTHLY, window=YEAR, clock=clock, reports_per_dataset=12)

        assert simulator.service.created_reports[MONTHLY] == 13
    assert "reports_per_dataset" in str(first.datasets[0].reason)
    assert again.status == "complete", again.datasets[0].reason
    assert names(tmp_path, again) == truth.within(YEAR)
