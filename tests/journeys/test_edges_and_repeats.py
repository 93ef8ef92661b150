"""Window edges, damaged files, unchanged data, queries of others: what one change to the code would undo (C44)."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from journeys.kit import ACCOUNT, assert_holds_what_the_csv_said, export, rows_of_csv, settings_for
from support import FakeClock

from bulkpull.events import Events
from bulkpull.model import Window
from bulkpull.output.current import Current
from bulkpull.output.store import LocalStore
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import Fault, Scenario, Simulator, service
from bulkpull.simulator.query_months import months_of_span

DATASET = "OfficeUsage"


@pytest.mark.case("C44")
@pytest.mark.behaviour(84)
async def test_a_row_on_the_edge_of_two_windows_that_came_with_the_earlier_one_alone_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody documents the edges: a service may take what lies at the end of a window, and not at its start."""
    window = Window(datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC))
    clock = FakeClock()

    def after_the_start(table: Any, _: Any, window: Any, *, now: Any, **__: Any) -> tuple[date, ...]:
        start, end = window
        reach = months_of_span(table, "LIFETIME", now=now) or ()
        return tuple(month for month in reach if start.date() < month <= end.date())

    def days_after_the_start(start: Any, end: Any, **_: Any) -> tuple[date, date]:
        return start.date() + timedelta(days=1), end.date()

    async with Simulator(Scenario(rows=90), clock=clock) as simulator:
        whole = rows_of_csv(await simulator.csv(DATASET, window=(window.start, window.end)))[1]
        monkeypatch.setattr(service, "months_between", after_the_start)
        monkeypatch.setattr(service, "days_between", days_after_the_start)
        manifest = await export(simulator, tmp_path, DATASET, window=window, clock=clock)

    (record,) = manifest.datasets
    frame = pl.read_parquet([tmp_path / file.path for file in record.files], glob=False)
    cells = Counter(tuple(None if cell is None else str(cell) for cell in row) for row in frame.rows())
    assert record.status == "complete"
    assert len(record.parts) > 1
    assert cells == Counter(map(tuple, whole))
    assert not any("came twice" in note for note in record.notes)


@pytest.mark.case("C44")
@pytest.mark.fault(76)
async def test_a_gzip_that_turns_out_damaged_in_unpacking_is_fetched_once_more(tmp_path: Path) -> None:
    fault = Fault("cut_gzip", times=1, args={"keep": 0.6})
    clock = FakeClock()
    async with Simulator(Scenario(datasets=(DATASET,), rows=500, faults=(fault,)), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, DATASET, clock=clock)
        content = await simulator.csv(DATASET)
        fetches = [call for call in simulator.calls if call.endpoint == "blob"]

        assert manifest.datasets[0].status == "complete", manifest.datasets[0].reason
        assert_holds_what_the_csv_said(tmp_path, manifest, DATASET, content)
        assert len(fetches) == 2
        assert simulator.service.created_reports[DATASET] == 1


@pytest.mark.case("C44")
@pytest.mark.behaviour(142)
async def test_the_same_data_from_a_new_execution_make_no_new_snapshot(tmp_path: Path) -> None:
    """Without an MD5 from the storage host only the content tells."""
    clock = FakeClock()
    async with Simulator(Scenario(datasets=(DATASET,), rows=12, content_md5=False), clock=clock) as simulator:
        settings = settings_for(simulator, tmp_path)
        snapshots, statuses = [], []
        for _ in range(3):
            request = ExportRequest((DATASET,), nightly=True)
            manifest = await Run(request, settings, Events(), clock=clock, account=ACCOUNT).export()
            statuses.append(manifest.datasets[0].status)
            snapshots.append(Current.load(LocalStore(tmp_path)).datasets[DATASET].run_id)
            clock.advance(timedelta(days=1).total_seconds())
        fetches = [call for call in simulator.calls if call.endpoint == "blob"]

    assert len(fetches) == 3
    assert snapshots == [snapshots[0]] * 3
    assert statuses == ["complete", "skipped", "skipped"]
    assert len(list((tmp_path / "datasets" / DATASET).iterdir())) == 1


@pytest.mark.case("C44")
@pytest.mark.behaviour(80)
async def test_a_query_of_somebody_else_is_neither_used_nor_deleted_though_it_says_the_same(tmp_path: Path) -> None:
    clock = FakeClock()
    async with Simulator(Scenario(datasets=(DATASET,), rows=12), clock=clock) as simulator:
        text = (await export(simulator, tmp_path / "before", DATASET, clock=clock)).datasets[0].query
        assert text is not None
        shelf = simulator.service.query_store
        for query in [query for query in shelf.stored.values() if not query.is_system]:
            shelf.delete(query.query_id)
        theirs = shelf.keep(name="Contoso usage", text=text, description=None)

        record = (await export(simulator, tmp_path / "out", DATASET, clock=clock)).datasets[0]

        assert record.status == "complete"
        assert record.query == text
        assert record.query_id != theirs.query_id
        assert theirs.query_id in shelf.stored


@pytest.mark.case("C15")
@pytest.mark.fault(15)
@pytest.mark.parametrize("attempts", [1, 3, 6])
async def test_a_token_endpoint_that_is_down_costs_as_many_calls_as_one_call_has_tries(
    tmp_path: Path, attempts: int
) -> None:
    """Twenty datasets and every kind of call ask for a token: one layer repeats, and all share its outcome."""
    clock = FakeClock()
    down = Fault("http_status", endpoint="token", times=None, args={"status": 503})
    async with Simulator(Scenario(rows=5, faults=(down,)), clock=clock) as simulator:
        manifest = await export(simulator, tmp_path, clock=clock, request_attempts=attempts)
        calls = Counter(call.endpoint for call in simulator.calls)

    assert calls == {"token": attempts}
    assert manifest.exit_code != 0
