"""A question is the same where it asks for the same, however it is written, and another one in every other case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bulkpull.model import OfferedDataset, Pull, Window
from bulkpull.snapshot_question import EVERY, Question, question_of, question_of_text, whole_question

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

    assert question_of(replace(CUSTOM, query_text=written)).sha256 == question_of(CUSTOM).sha256


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
    assert question_of(replace(CUSTOM, query_text=ASKED.replace(old, new))).sha256 != question_of(CUSTOM).sha256


@pytest.mark.case("N15")
def test_two_windows_and_two_spans_are_different_questions_and_a_window_has_no_span() -> None:
    whole, january = question_of(WHOLE), question_of(replace(WHOLE, window=JANUARY))
    february = question_of(replace(WHOLE, window=Window(JANUARY.end, datetime(2026, 3, 1, tzinfo=UTC))))

    assert len({whole.sha256, january.sha256, february.sha256}) == 3
    assert (whole.span, whole.window) == ("LAST_MONTH", None)
    assert (january.span, january.window) == (None, ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"))


def test_the_columns_of_a_whole_dataset_change_by_themselves_and_the_choice_of_metrics_does_not() -> None:
    fewer = replace(
        WHOLE, columns=("MpnId",), metrics=(), query_text="SELECT MpnId FROM azureUsage TIMESPAN LAST_MONTH"
    )

    assert question_of(fewer) == question_of(WHOLE)
    assert question_of(replace(WHOLE, metrics_choice="none")) != question_of(WHOLE)


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
    assert (question_of_text(text, WHOLE) == question_of(WHOLE)) == is_same


def test_what_an_earlier_version_published_of_a_whole_dataset_has_a_question() -> None:
    reported = whole_question("AzureUsage", WHOLE.query_text, metrics="amounts", span="LAST_MONTH", window=None)

    assert (
        reported
        == question_of(WHOLE)
        == Question("AzureUsage", "AzureUsage", (EVERY,), ("*amounts",), span="LAST_MONTH")
    )


def test_a_text_that_no_parser_reads_is_its_own_question() -> None:
    odd = replace(CUSTOM, query_text="EXEC everything")

    assert question_of(odd) == Question("mine", "AzureUsage", ("EXEC everything",))
    assert question_of(odd).sha256 != question_of(replace(odd, query_text="EXEC more")).sha256
    assert question_of_text("EXEC everything", CUSTOM) is None
    assert whole_question("AzureUsage", "EXEC everything", metrics="amounts", span=None, window=None) is None
