"""The scale of money in Parquet: the smallest that holds every value, the same in all files, and it only grows."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from journeys.kit import ACCOUNT, export, settings_for
from support import FakeClock

import bulkpull
from bulkpull.custom_query import Selection
from bulkpull.events import Events
from bulkpull.model import Window
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.request import create_request
from bulkpull.pipeline.run import Run
from bulkpull.simulator import Fault, Scenario, Simulator

DATASET, AMOUNT = "AzureUsage", "ACR_USD"
FINE = Fault("odd_value", args={"column": AMOUNT, "value": "0.1234567"})


def type_of(record: DatasetRecord) -> str:
    (column,) = (column for column in record.columns if column.name == AMOUNT)
    return column.type


@pytest.mark.fault(88, 89)
async def test_the_scale_grows_with_a_night_that_needs_it_and_never_shrinks(tmp_path: Path) -> None:
    records: list[DatasetRecord] = []
    for faults in ((), (FINE,), ()):
        async with Simulator(Scenario(rows=40, datasets=(DATASET,), faults=faults)) as simulator:
            records += [
                record for record in (await export(simulator, tmp_path, DATASET)).datasets if record.dataset == DATASET
            ]

    assert [record.status for record in records] == ["complete"] * 3, [record.reason for record in records]
    assert [type_of(record) for record in records] == ["Decimal(38, 6)", "Decimal(38, 12)", "Decimal(38, 12)"]
    retyped = records[1].drift.retyped if records[1].drift else []
    assert [text.partition(" (")[0] for text in retyped] == [f"{AMOUNT}: Decimal(38, 6) → Decimal(38, 12)"]
    assert "0.1234567" in retyped[0]
    assert records[2].drift is None
    together = bulkpull.scan(tmp_path, DATASET, runs="all").select(AMOUNT).collect()
    assert together.schema[AMOUNT] == pl.Decimal(38, 12)
    assert Decimal("0.1234567") in together[AMOUNT].to_list()


@pytest.mark.fault(89)
async def test_all_windows_of_a_dataset_have_one_scale(tmp_path: Path) -> None:
    clock = FakeClock()
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
    async with Simulator(Scenario(rows=60, datasets=(DATASET,), faults=(FINE,)), clock=clock) as simulator:
        (record,) = (await export(simulator, tmp_path, DATASET, window=window, clock=clock)).datasets

    assert record.status == "complete", record.reason
    assert len(record.files) > 6
    kinds = {pl.scan_parquet(tmp_path / file.path, glob=False).collect_schema()[AMOUNT] for file in record.files}
    assert kinds == {pl.Decimal(38, 12)}
    assert type_of(record) == "Decimal(38, 12)"


@pytest.mark.fault(89)
async def test_a_growing_snapshot_gives_the_windows_that_it_keeps_the_scale_of_the_new_ones(tmp_path: Path) -> None:
    clock = FakeClock(start=datetime(2026, 5, 20, tzinfo=UTC))
    since, spans = datetime(2026, 1, 1, tzinfo=UTC), {DATASET: ("LAST_MONTH",)}
    selection = Selection(name="history", dataset=DATASET, keep="append")
    records: list[DatasetRecord] = []
    frames: list[pl.DataFrame] = []
    for faults in ((), (FINE,)):
        scenario = Scenario(rows=60, datasets=(DATASET,), faults=faults, date_ranges=spans)
        async with Simulator(scenario, clock=clock) as simulator:
            settings = settings_for(simulator, tmp_path)
            window = Window(since, clock.now())
            request = create_request((), settings=settings, selections=(selection,), window=window, open_ended=True)
            run = Run(request, settings, Events(), account=ACCOUNT, clock=clock)
            records += (await run.export()).datasets
            frames.append(bulkpull.scan(tmp_path, "history").collect())
        clock.advance(86_400)

    assert [record.status for record in records] == ["complete"] * 2, [record.reason for record in records]
    assert [type_of(record) for record in records] == ["Decimal(38, 6)", "Decimal(38, 12)"]
    assert records[1].parts[0].execution_id == records[0].parts[0].execution_id  # it is kept as it was fetched
    assert [frame.schema[AMOUNT] for frame in frames] == [pl.Decimal(38, 6), pl.Decimal(38, 12)]
    assert frames[1].height == frames[0].height
    kept = records[1].files[0].path
    assert pl.read_parquet_metadata(tmp_path / kept)["bulkpull.dataset"] == "history"
    before = frames[0][AMOUNT].to_list()
    assert sum(was != now for was, now in zip(before, frames[1][AMOUNT].to_list(), strict=True)) <= 1


async def test_sums_of_products_of_money_are_exact_in_duckdb(tmp_path: Path) -> None:
    """Of two amounts with 18 digits after the point the product has no room for digits before it."""
    async with Simulator(Scenario(rows=40, datasets=(DATASET,))) as simulator:
        await export(simulator, tmp_path, DATASET)

    frame = bulkpull.scan(tmp_path, DATASET).collect()
    amounts = [value for value in frame[AMOUNT] if value is not None]
    with bulkpull.connect_sql(tmp_path) as connection:
        (found,) = connection.sql(f"SELECT sum({AMOUNT} * {AMOUNT}) FROM {DATASET}").fetchall()[0]  # noqa: S608

    assert found == sum(amount * amount for amount in amounts)
    assert found > 0
