"""The command that `runs verify` hands out asks the question that the snapshot answers, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from bulkpull.output.current import CurrentSnapshot
from bulkpull.output.verify import export_words

START, END = "2025-03-01T00:00:00Z", "2025-06-01T00:00:00Z"


def snapshot(
    *, query: str = "SELECT Month FROM AzureUsage", span: str | None = None, **question: Any
) -> CurrentSnapshot:
    known = {"name": "AzureUsage", "source": "AzureUsage", "columns": ["*"], "metrics": ["*amounts"], "span": span}
    return CurrentSnapshot(run_id="run", rows=1, files=[], question=known | question, query=query, timespan=span)


@pytest.mark.case("W11")
@pytest.mark.parametrize(
    ("current", "words"),
    [
        (snapshot(span="LAST_MONTH"), ["--timespan", "LAST_MONTH"]),
        (snapshot(window=[START, END]), ["--since", "2025-03-01", "--until", "2025-06-01"]),
        (snapshot(window=[START, "2025-06-01T12:30:00Z"]), ["--since", "2025-03-01"]),
        (snapshot(span="LAST_MONTH", metrics=["*all"]), ["--metrics", "all", "--timespan", "LAST_MONTH"]),
        (snapshot(), []),
    ],
)
def test_a_dataset_is_exported_over_the_same_time(current: CurrentSnapshot, words: list[str]) -> None:
    assert export_words("AzureUsage", current) == ["export", "AzureUsage", *words]


@pytest.mark.case("W11")
def test_a_custom_query_is_exported_under_its_name_with_the_same_shape() -> None:
    current = snapshot(
        query="SELECT Month, ACR_USD FROM AzureUsage WHERE ACR_USD > 20000 ORDER BY Month LIMIT 9 TIMESPAN LAST_MONTH",
        columns=["month", "acr_usd"],
        metrics=["acr_usd"],
        span="LAST_MONTH",
    )

    assert export_words("big", current) == [
        *("export", "AzureUsage", "--as", "big", "--select", "Month, ACR_USD", "--where", "ACR_USD > 20000"),
        *("--order-by", "Month", "--limit", "9", "--timespan", "LAST_MONTH"),
    ]


@pytest.mark.case("W11")
def test_a_history_goes_on_from_where_it_began() -> None:
    current = snapshot(window=[START, "now"])

    assert export_words("history", current) == ["export", "AzureUsage", "--as", "history", "--since", "2025-03-01"]


@pytest.mark.case("W11")
def test_a_query_of_the_settings_is_named() -> None:
    current = snapshot(columns=["month"], window=[START, "now"])

    assert export_words("history", current, queries=["History"]) == ["export", "history", "--since", "2025-03-01"]


@pytest.mark.case("W11")
def test_a_snapshot_of_an_earlier_version_keeps_its_span() -> None:
    current = CurrentSnapshot.model_validate(
        {"run_id": "run", "rows": 1, "files": [], "window": {"start": START, "end": END}}
    )

    assert export_words("AzureUsage", current) == [
        *("export", "AzureUsage", "--since", "2025-03-01", "--until", "2025-06-01")
    ]
