"""The requested data are the same however a query is written, and others where anything else differs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bulkpull.model import OfferedDataset, Pull, Window
from bulkpull.requested_data import EVERY, RequestedData, data_requested_by, requested_data, requested_dataset

AZURE = OfferedDataset("azureUsage", ("MpnId", "Month"), metrics=("ACR",))
WHOLE = Pull(
    "AzureUsage",
    AZURE,
    ("MpnId", "Month", "ACR"),
    "SELECT MpnId, Month, ACR FROM azureUsage TIMESPAN LAST_MONTH",
    timespan="LAST_MONTH",
    metrics=("ACR",),
    metrics_choice="amounts",
)
ASKED = "SELECT MpnId, ACR FROM azureUsage WHERE Month='2026-01' AND MpnId != '7' ORDER BY Month LIMIT 5"
CUSTOM = replace(WHOLE, dataset="mine", source="AzureUsage", metrics_choice=None, query_text=ASKED)
JANUARY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


def test_a_custom_query_is_compared_as_parsed() -> None:
    written = (
        "select  mpnid,\n acr from AZUREUSAGE where MpnId != '7' and Month = '2026-01' order by MONTH desc limit 5;"
    )

    assert requested_data(replace(CUSTOM, query_text=written)).sha256 == requested_data(CUSTOM).sha256


@pytest.mark.case("N4")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT 5", "LIMIT 6"),
        ("ORDER BY Month", "ORDER BY Month ASC"),
        ("2026-01", "2026-02"),
        ("MpnId, ACR", "ACR, MpnId"),
        ("SELECT", "SELECT DISTINCT"),
        (" AND MpnId != '7'", ""),
        ("LIMIT 5", "LIMIT 5 TIMESPAN TODAY"),
    ],
)
def test_whatever_changes_the_rows_makes_another_question(old: str, new: str) -> None:
    assert requested_data(replace(CUSTOM, query_text=ASKED.replace(old, new))).sha256 != requested_data(CUSTOM).sha256


@pytest.mark.case("N15")
def test_two_windows_and_two_spans_are_different_questions_and_a_window_has_no_span() -> None:
    whole, january = requested_data(WHOLE), requested_data(replace(WHOLE, window=JANUARY))
    february = requested_data(replace(WHOLE, window=Window(JANUARY.end, datetime(2026, 3, 1, tzinfo=UTC))))

    assert len({whole.sha256, january.sha256, february.sha256}) == 3
    assert (whole.span, whole.window) == ("LAST_MONTH", None)
    assert (january.span, january.window) == (None, ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"))


def test_the_columns_of_a_whole_dataset_change_by_themselves_and_the_choice_of_metrics_does_not() -> None:
    fewer = replace(
        WHOLE, columns=("MpnId",), metrics=(), query_text="SELECT MpnId FROM azureUsage TIMESPAN LAST_MONTH"
    )

    assert requested_data(fewer) == requested_data(WHOLE)
    assert requested_data(replace(WHOLE, metrics_choice="none")) != requested_data(WHOLE)


@pytest.mark.case("N10")
@pytest.mark.parametrize(
    ("text", "is_same"),
    [
        ("select MpnId from AzureUsage timespan last_month", True),
        ("SELECT MpnId FROM OfficeUsage TIMESPAN LAST_MONTH", False),
        ("SELECT MpnId FROM AzureUsage WHERE Month='2026-01' TIMESPAN LAST_MONTH", False),
        ("SELECT MpnId FROM AzureUsage LIMIT 5 TIMESPAN LAST_MONTH", False),
        ("SELECT MpnId FROM AzureUsage", False),
    ],
)
def test_the_text_of_a_report_is_held_against_the_question(text: str, is_same: bool) -> None:
    assert (data_requested_by(text, WHOLE) == requested_data(WHOLE)) == is_same


def test_what_an_earlier_version_published_of_a_whole_dataset_has_a_question() -> None:
    reported = requested_dataset("AzureUsage", WHOLE.query_text, metrics="amounts", span="LAST_MONTH", window=None)

    assert (
        reported
        == requested_data(WHOLE)
        == RequestedData("AzureUsage", "AzureUsage", (EVERY,), ("*amounts",), span="LAST_MONTH")
    )


def test_a_text_that_no_parser_reads_is_its_own_question() -> None:
    odd = replace(CUSTOM, query_text="EXEC everything")

    assert requested_data(odd) == RequestedData("mine", "AzureUsage", ("EXEC everything",))
    assert requested_data(odd).sha256 != requested_data(replace(odd, query_text="EXEC more")).sha256
    assert data_requested_by("EXEC everything", CUSTOM) is None
    assert requested_dataset("AzureUsage", "EXEC everything", metrics="amounts", span=None, window=None) is None
