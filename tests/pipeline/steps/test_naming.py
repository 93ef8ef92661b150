"""Names: what a report of ours is called tells whose it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bulkpull.model import OfferedDataset, Pull, Window
from bulkpull.pipeline.steps.naming import (
    parse_report_name,
    pull_fingerprint,
    query_name,
    report_name,
    scheduled_report_name,
)

RUN = "20261123T020405Z-1f2e3d"


def pull(dataset: str = "AzureUsage", text: str = "SELECT A FROM AzureUsage", window: Window | None = None) -> Pull:
    return Pull(dataset, OfferedDataset(dataset, ("A",)), ("A",), text, window=window)


def test_a_report_is_named_after_dataset_mark_run_and_attempt() -> None:
    reported = parse_report_name(report_name(pull(), run_id=RUN, attempt=2))

    assert reported is not None
    assert (reported.dataset, reported.fingerprint, reported.run_id, reported.attempt) == (
        "AzureUsage",
        pull_fingerprint(pull()),
        RUN,
        2,
    )
    assert reported.created_at == datetime(2026, 11, 23, 2, 4, 5, tzinfo=UTC)


def test_a_standing_report_belongs_to_no_run() -> None:
    reported = parse_report_name(scheduled_report_name(pull("big-azure_1")))

    assert reported is not None
    assert (reported.dataset, reported.run_id, reported.created_at) == ("big-azure_1", None, None)


@pytest.mark.behaviour(80, 92)
@pytest.mark.parametrize(
    "name", ["", "Monthly report", "bulkpull", "bulkpull_AzureUsage_x_1", f"my_{RUN}_1", "bulkpull AzureUsage 1"]
)
def test_what_bears_another_name_is_somebody_elses(name: str) -> None:
    assert parse_report_name(name) is None


@pytest.mark.behaviour(60, 70)
def test_the_mark_follows_dataset_query_and_window_and_nothing_else() -> None:
    january = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))

    assert pull_fingerprint(pull()) == pull_fingerprint(pull(text="select  a\nfrom azureusage"))
    assert (
        len(
            {
                pull_fingerprint(pull()),
                pull_fingerprint(pull(window=january)),
                pull_fingerprint(pull(text="SELECT B FROM AzureUsage")),
            }
        )
        == 3
    )


@pytest.mark.behaviour(71)
def test_a_querys_name_has_letters_digits_and_blanks_only() -> None:
    assert query_name(pull("big-azure_1")).replace(" ", "").isalnum()
