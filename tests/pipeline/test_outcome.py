"""The manifest record of a dataset follows from its outcome alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from bulkpull.errors import AccessDenied, AuthError, DiskTrouble, RunOverdue, Unchanged
from bulkpull.model import OfferedDataset, Pull
from bulkpull.output.manifest import DatasetRecord, PublishedFile
from bulkpull.pipeline.outcome import (
    DatasetOutcome,
    ExportOutcome,
    RunResults,
    ServiceIds,
    UndeletedReport,
    dataset_record,
    finish_records,
)
from bulkpull.pipeline.request import ExportRequest

PULL = Pull(
    "Profile",
    OfferedDataset("Profile", columns=("Id",)),
    ("Id",),
    "SELECT Id FROM Profile",
    notes=("planned",),
)
FILE = PublishedFile(path="datasets/Profile/run=1/part-00000.parquet", rows=3, bytes=9, sha256="0" * 64)
ORDERED = ExportOutcome(PULL, ids=ServiceIds("q-1", "r-1", "e-1"), notes=("fetched",))
PUBLISHED = replace(ORDERED, files=(FILE,))
CURRENT = DatasetRecord(
    dataset="Profile",
    status="complete",
    rows=3,
    files=[FILE],
    report_id="r-0",
    generated_at=datetime(2026, 11, 22, 2, tzinfo=UTC),
)


def test_an_interrupted_dataset_keeps_its_ids_and_notes_and_says_how_to_carry_on() -> None:
    records, status = finish_records([dataset_record(DatasetOutcome(PULL, notes=("begun",), export=ORDERED))])

    (record,) = records
    assert (record.status, record.report_id, record.execution_id, status) == ("failed", "r-1", "e-1", "failed")
    assert record.notes == ["planned", "begun", "fetched"]
    assert record.reason is not None
    assert "run the same command again" in record.reason


def test_a_skipped_dataset_describes_the_snapshot_that_stays_current() -> None:
    same = DatasetOutcome(PULL, export=ORDERED, current=CURRENT, error=Unchanged("the data are already published"))
    created = replace(same, error=None, skipped="submitted as report r-1", is_submitted=True)

    skipped, submitted = dataset_record(same), dataset_record(created)

    assert (skipped.status, skipped.rows, skipped.report_id) == ("skipped", 3, "r-0")
    assert (submitted.status, submitted.rows, submitted.report_id) == ("skipped", 3, "r-1")
    assert skipped.generated_at == CURRENT.generated_at


def test_data_that_are_published_already_are_dated_by_the_execution_that_brought_them_again() -> None:
    made_at = datetime(2026, 11, 23, tzinfo=UTC)
    same = DatasetOutcome(PULL, current=CURRENT, generated_at=made_at, error=Unchanged("the same"))

    assert dataset_record(same).generated_at == datetime(2026, 11, 23, tzinfo=UTC)


def test_an_error_after_the_publication_is_a_note() -> None:
    error = ExceptionGroup("windows", [DiskTrouble("the disk is full")])

    record = dataset_record(DatasetOutcome(PULL, export=PUBLISHED, error=error))

    assert (record.status, record.reason, record.error) == ("complete", None, None)
    assert record.notes[-1].startswith("published; what went wrong afterwards: the disk is full")


def test_an_error_names_its_dataset_once() -> None:
    own, general = DiskTrouble("Profile: no space"), DiskTrouble("no space")

    reasons = [dataset_record(DatasetOutcome(PULL, error=error)).reason for error in (own, general, ValueError("x"))]

    assert reasons[0] == reasons[1]
    assert str(reasons[0]).startswith("Profile: no space")
    assert str(reasons[2]).startswith("Profile: an unexpected error (ValueError)")


def test_where_everything_is_refused_the_role_is_missing() -> None:
    refused = dataset_record(DatasetOutcome(PULL, error=AccessDenied("refused")))
    other = dataset_record(DatasetOutcome(PULL, export=PUBLISHED))

    (alone,), status = finish_records([refused])
    (beside, _), _ = finish_records([refused, other])

    assert (alone.status, status) == ("failed", "failed")
    assert isinstance(alone.error, AuthError)
    assert beside.status == refused.status == "unavailable"


def test_a_run_past_its_time_limit_fails_what_is_pending_and_nothing_else() -> None:
    results = RunResults()
    results.put(DatasetOutcome(PULL, export=ORDERED))
    results.put(DatasetOutcome(replace(PULL, dataset="Other"), export=PUBLISHED))

    results.end_overdue(limit_s=60.0, request=ExportRequest())

    assert isinstance(results.record("Profile").error, RunOverdue)
    assert results.record("Other").status == "complete"
    assert results.is_to_be_resumed


def test_a_report_that_could_not_be_deleted_is_noted_where_it_belongs() -> None:
    results = RunResults()
    results.put(DatasetOutcome(PULL, export=PUBLISHED))
    results.undeleted += [UndeletedReport("Profile", "report r-1 stays"), UndeletedReport(None, "report r-2 stays")]

    (record,), _ = results.finish()

    assert record.notes[-1] == "report r-1 stays"
    assert results.notes == ["report r-2 stays"]


def test_a_record_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        CURRENT.rows = 4
