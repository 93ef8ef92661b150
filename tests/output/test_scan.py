"""Snapshots of one dataset read together: one type a column, every value kept, each row with its run."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from published import lost, publish, write_manifest

import bulkpull
from bulkpull.catalog import ColumnType
from bulkpull.conversion.messages import ColumnPlan
from bulkpull.conversion.type_inference import AMOUNTS, ColumnTyper
from bulkpull.errors import DiskTrouble, SettingsError
from bulkpull.output.manifest import DatasetRecord
from bulkpull.output.scan import common_types

OLD, NEW, NEWEST = "20261121T020000Z-aaaaaa", "20261122T020000Z-bbbbbb", "20261123T020000Z-cccccc"


def published(output: Path, *frames: pl.DataFrame, formats: tuple[str | None, ...] = ()) -> None:
    """One snapshot of Profile a frame, the newest last; `formats` tell how the dates of `C` were written."""
    for run_id, frame, form in zip((OLD, NEW, NEWEST), frames, (*formats, *[None] * 3), strict=False):
        record = publish(output, "Profile", run_id=run_id, frame=frame)
        for column in record.columns:
            column.format = form if column.name == "C" else None
            column.empty = frame[column.name].null_count() == frame.height
        write_manifest(output, record, run_id=run_id)


def together(output: Path, runs: Any = "all") -> pl.DataFrame:
    return bulkpull.scan(output, "profile", runs=runs).collect()


def column(values: list[Any], dtype: Any = None) -> pl.DataFrame:
    return pl.DataFrame({"C": pl.Series(values, dtype=dtype)})


SIX, _, EIGHTEEN = AMOUNTS
NAIVE, AWARE = datetime(2026, 11, 23, 1, 2, 3), datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)  # noqa: DTZ001 - meant


@pytest.mark.fault(89)
@pytest.mark.parametrize(
    ("old", "new", "kind", "values"),
    [
        (column([7]), column(["007"]), pl.String(), ["7", "007"]),
        (column([7]), column([8]), pl.Int64(), [7, 8]),
        (column([date(2026, 11, 23)]), column([NAIVE]), pl.Datetime("us"), [datetime(2026, 11, 23), NAIVE]),  # noqa: DTZ001
        (column([NAIVE]), column([date(2026, 11, 23)]), pl.Datetime("us"), [NAIVE, datetime(2026, 11, 23)]),  # noqa: DTZ001
        (column([7]), column(["1.50"], SIX), SIX, [Decimal(7), Decimal("1.5")]),
        (column(["1.50"], EIGHTEEN), column(["7"], SIX), EIGHTEEN, [Decimal("1.5"), Decimal(7)]),
        (column(["1.50", "100"], EIGHTEEN), column(["x"]), pl.String(), ["1.5", "100", "x"]),
        (column(["1.50", "100"], SIX), column(["x"]), pl.String(), ["1.5", "100", "x"]),
        (column([True]), column(["Y"]), pl.String(), ["true", "Y"]),
        (column([None], pl.Date), column([AWARE]), pl.Datetime("us", "UTC"), [None, AWARE]),
        (column([AWARE]), column([None], pl.Int64), pl.Datetime("us", "UTC"), [AWARE, None]),
    ],
)
def test_a_column_has_the_narrowest_type_that_holds_the_values_of_all_snapshots(
    tmp_path: Path, old: pl.DataFrame, new: pl.DataFrame, kind: pl.DataType, values: list[Any]
) -> None:
    published(tmp_path, old.with_columns(pl.col("C")), new)

    frame = together(tmp_path)

    assert frame.schema["C"] == kind
    assert frame["C"].to_list() == values
    assert frame["_run_id"].to_list() == [OLD] * old.height + [NEW] * new.height


@pytest.mark.fault(89)
def test_dates_that_only_text_holds_together_are_written_as_the_reports_wrote_them(tmp_path: Path) -> None:
    formats = ("%m/%d/%Y %-I:%M:%S %p", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d")
    published(tmp_path, column([NAIVE]), column([AWARE]), column([date(2026, 11, 23)]), formats=formats)

    assert together(tmp_path)["C"].to_list() == ["11/23/2026 1:02:03 AM", "2026-11-23T01:02:03Z", "2026-11-23"]


def test_columns_that_came_and_went_are_null_where_they_are_not(tmp_path: Path) -> None:
    published(tmp_path, pl.DataFrame({"A": ["a"], "B": [1]}), pl.DataFrame({"C": ["c"], "A": ["a2"]}))

    frame = together(tmp_path)

    assert frame.columns == ["_run_id", "C", "A", "B"]
    assert frame.rows() == [(OLD, None, "a", 1), (NEW, "c", "a2", None)]
    assert frame.schema["B"] == pl.Int64()


def test_some_runs_are_read_by_their_ids_or_their_beginnings(tmp_path: Path) -> None:
    published(tmp_path, column([1]), column([2]), column([3]))

    assert together(tmp_path, [NEWEST, OLD])["C"].to_list() == [1, 3]
    assert together(tmp_path, NEW[:8])["C"].to_list() == [2]
    assert bulkpull.scan(tmp_path, "Profile").collect().to_dict(as_series=False) == {"C": [3]}
    with pytest.raises(SettingsError, match=NEW):
        together(tmp_path, ["1999"])


def test_what_is_not_named_like_a_run_or_not_in_the_manifest_is_left_out(tmp_path: Path) -> None:
    published(tmp_path, column([1]))
    folder = tmp_path / "datasets" / "Profile"
    column([9]).write_parquet(folder / f"run={OLD}" / "copy.parquet")
    (folder / "run=by-hand").mkdir()
    column([8]).write_parquet(folder / "run=by-hand" / "part.parquet")

    assert together(tmp_path)["C"].to_list() == [1]


def test_a_snapshot_without_a_manifest_is_read_by_what_its_folder_holds(tmp_path: Path) -> None:
    publish(tmp_path, "Profile", run_id=OLD, frame=column([1]))
    write_manifest(tmp_path, lost("Profile"), run_id=OLD)

    assert together(tmp_path)["C"].to_list() == [1]


def test_nothing_is_loaded_before_it_is_asked_for_and_brackets_are_no_pattern(tmp_path: Path) -> None:
    output = tmp_path / "data [1]*"
    published(output, column([1]), column(["x"]))

    frame = bulkpull.scan(output, "Profile", runs="all")

    assert isinstance(frame, pl.LazyFrame)
    assert frame.filter(pl.col("_run_id") == OLD).select(pl.len()).collect().item() == 1


def test_a_snapshot_that_is_not_whole_any_more_is_told_and_the_others_can_be_read_by_name(tmp_path: Path) -> None:
    published(tmp_path, column([1]), column([2]))
    (tmp_path / f"datasets/Profile/run={OLD}/part-00000.parquet").unlink()

    with pytest.raises(DiskTrouble, match=OLD):
        together(tmp_path)
    assert together(tmp_path, [NEW])["C"].to_list() == [2]


def test_a_column_that_never_had_a_value_has_the_last_type() -> None:
    schemas: list[dict[str, pl.DataType]] = [{"C": pl.Date()}, {"C": pl.Int64()}]

    assert common_types(schemas, empty=[frozenset({"C"}), frozenset({"C"})]) == {"C": pl.Int64()}


@pytest.mark.fault(89)
def test_every_text_of_every_night_comes_back_when_all_nights_are_read_together(tmp_path: Path) -> None:
    nights = (["2026-11-23"], ["11/23/2026 1:02:03 PM"], ["n/a"])
    for run_id, values in zip((OLD, NEW, NEWEST), nights, strict=True):
        reported = ColumnTyper(ColumnPlan("C", ColumnType.DATETIME))
        taken = reported.convert(pl.Series("C", values, pl.String), first_row=1)
        reported.finalize()
        record = publish(tmp_path, "Profile", run_id=run_id, frame=taken.to_frame())
        record.columns[0].format = reported.outcome().format
        write_manifest(tmp_path, DatasetRecord.model_validate(record.model_dump()), run_id=run_id)

    assert together(tmp_path)["C"].to_list() == [value for values in nights for value in values]
