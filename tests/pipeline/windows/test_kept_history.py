"""A history of windows: its columns have one type in all of them, or it stays as it is published."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bulkpull.catalog import ColumnType
from bulkpull.conversion.messages import ConversionResult, ConvertedColumn, Misfit
from bulkpull.errors import HeldBack
from bulkpull.model import DownloadedFile, Execution, OfferedDataset, Pull, Window
from bulkpull.pipeline.steps.converted_pull import ConvertedPull
from bulkpull.pipeline.windows.kept_history import with_common_columns


def part(month: int, kind: str, *, empty: bool = False, misfit: Misfit | None = None) -> ConvertedPull:
    window = Window(datetime(2026, month, 1, tzinfo=UTC), datetime(2026, month + 1, 1, tzinfo=UTC))
    offered = OfferedDataset("AzureUsage", ("Seats",))
    pull = Pull("AzureUsage", offered, ("Seats",), "SELECT Seats FROM AzureUsage", window=window)
    column = ConvertedColumn("Seats", kind, ColumnType.INT, empty=empty, misfit=misfit)
    table = ConversionResult((), 1, (column,), 10, ())
    return ConvertedPull(pull, None, Execution("e", "r", "Completed"), DownloadedFile(Path("report"), 10), table)


def test_a_history_is_held_back_when_a_column_with_published_values_became_text() -> None:
    parts = [part(1, "Int64"), part(2, "String", misfit=Misfit(7, "12 seats"))]

    with pytest.raises(HeldBack) as held:
        with_common_columns(parts, dataset="Usage")

    assert "Usage: Seats became text, and a published history cannot follow" in held.value.reason
    assert "'12 seats' in the window 2026-02-01 to 2026-03-01" in held.value.reason
    assert "--as" in held.value.reason


def test_a_column_without_values_follows_the_others_to_text() -> None:
    common = with_common_columns([part(1, "Int64", empty=True), part(2, "String")], dataset="Usage")

    assert [column.type for window in common for column in window.table.columns] == ["String", "String"]
