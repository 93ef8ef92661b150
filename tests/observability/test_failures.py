"""What a run lost is shown worst first, each reason once."""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bulkpull.conversion.write_table import conversion_disk_error
from bulkpull.errors import AuthError, BulkpullError, DiskTrouble, HeldBack
from bulkpull.observability.failures import failure_groups, group_by_reason
from bulkpull.output.atomic_files import to_disk_error
from bulkpull.output.manifest import DatasetRecord, Manifest, Requests, Tool, status_of
from bulkpull.pipeline.publication.publish_checks import describe_shrink
from bulkpull.platforms import mount_point


def failed(dataset: str, error: BulkpullError | None, **changes: object) -> DatasetRecord:
    given: dict[str, object] = {"status": "failed", "reason": error and f"{dataset}: {error.reason}", "error": error}
    return DatasetRecord.model_validate({"dataset": dataset} | given | changes)


def manifest(*records: DatasetRecord, interrupted: bool = False) -> Manifest:
    return Manifest(
        run_id="20261123T020405Z-0a1b2c",
        status=status_of(list(records)),
        started_at=datetime(2026, 11, 23, 2, 4, 5, tzinfo=UTC),
        finished_at=datetime(2026, 11, 23, 2, 14, 5, tzinfo=UTC),
        tool=Tool(version="0"),
        api_base_url="https://api.contoso.example",
        requests=Requests(),
        datasets=list(records),
        interrupted=interrupted,
    )


def test_credentials_come_first_then_what_hit_most_and_last_what_is_not_offered() -> None:
    held, outage = HeldBack("the report has no rows"), BulkpullError("tried 6 times over 37 s")
    records = [
        failed("TeamsUsageWorkload", None, status="unavailable", named=True, reason="not offered"),
        failed("AzureUsage", held),
        failed("OfficeUsage", outage),
        failed("MSLearn", BulkpullError("tried 6 times over 41 s")),
        failed("Profile", AuthError("the secret has expired", fix="make a new one")),
    ]

    reported = [(loss.datasets, loss.reason) for loss in failure_groups(manifest(*records))]

    assert reported == [
        (["Profile"], "the secret has expired; make a new one"),
        (["OfficeUsage", "MSLearn"], "tried 6 times over 37 s"),
        (["AzureUsage"], held.reason),
        (["TeamsUsageWorkload"], "not offered"),
    ]


def test_what_an_interruption_left_unfinished_is_no_loss() -> None:
    assert failure_groups(manifest(failed("Profile", None), interrupted=True)) == []
    assert [loss.reason for loss in failure_groups(manifest(failed("Profile", None)))] == ["no reason known"]


def test_a_dataset_with_two_reasons_of_one_kind_is_named_once() -> None:
    reasons = [
        ("OfficeUsage", "report r-1 ended early"),
        ("OfficeUsage", "report r-2 ended early"),
        ("Profile", "other"),
    ]

    assert group_by_reason((dataset, reason.replace("r-", "")) for dataset, reason in reasons) == [
        (["OfficeUsage"], "report 1 ended early"),
        (["Profile"], "other"),
    ]


def test_notes_whose_numbers_differ_stand_each_for_itself() -> None:
    notes = [(name, describe_shrink(rows, before=1_000)) for name, rows in (("OfficeUsage", 500), ("Profile", 100))]

    assert len(group_by_reason(notes)) == 1
    assert [datasets for datasets, _ in group_by_reason(notes, may_differ="nothing")] == [["OfficeUsage"], ["Profile"]]


def test_reasons_that_differ_in_their_moments_show_the_earliest_and_the_latest() -> None:
    reasons = [
        ("Profile", "no execution newer than 2026-11-27T17:14:48Z"),
        ("AzureUsage", "no execution newer than 2026-11-27T17:14:35Z"),
        ("OfficeUsage", "no execution newer than 2026-11-27T17:14:40Z; report 7 stays"),
    ]

    assert group_by_reason(reasons, may_differ="moments") == [
        (
            ["Profile", "AzureUsage"],
            "no execution newer than their data of 2026-11-27T17:14:35Z to 2026-11-27T17:14:48Z",
        ),
        (["OfficeUsage"], "no execution newer than 2026-11-27T17:14:40Z; report 7 stays"),
    ]


def test_due_times_that_differ_show_the_time_between_them() -> None:
    due = [("Profile", "is due at 2026-11-27T17:14:48Z"), ("AzureUsage", "is due at 2026-11-27T17:14:35Z")]
    same = [("Profile", "is due at 2026-11-27T17:14:48Z"), ("AzureUsage", "is due at 2026-11-27T17:14:48Z")]

    assert group_by_reason(due, may_differ="moments") == [
        (["Profile", "AzureUsage"], "is due between 2026-11-27T17:14:35Z and 2026-11-27T17:14:48Z")
    ]
    assert group_by_reason(same, may_differ="moments") == [(["Profile", "AzureUsage"], same[0][1])]


def test_reasons_that_differ_in_their_ids_show_the_first_and_how_many_more() -> None:
    ids = [f"0000000{number}-0000-4000-8000-000000000000" for number in range(3)]
    reasons = [(f"D{number}", f"report {ids[number]} of an earlier run answers") for number in range(3)]

    assert group_by_reason(reasons, may_differ="moments") == [
        (["D0", "D1", "D2"], f"report {ids[0]} and 2 more of an earlier run answers")
    ]


@pytest.mark.fault(8)
def test_a_disk_that_is_mounted_read_only_is_not_taken_for_a_missing_permission() -> None:
    trouble = to_disk_error(OSError(errno.EROFS, "Read-only file system"), Path("/out"))

    assert "mounted read-only" in trouble.what
    assert "permission" not in str(trouble)


@pytest.mark.fault(7, 8)
def test_a_disk_that_fills_up_in_a_run_is_one_failure_whatever_each_dataset_was_writing(tmp_path: Path) -> None:
    full, step = f"no space left on the disk of {mount_point(tmp_path)}", "free some space"
    errors = {
        "AzureUsage": to_disk_error(OSError(errno.ENOSPC, "x"), tmp_path / "staging" / "AzureUsage"),
        "OfficeUsage": conversion_disk_error(OSError(errno.EDQUOT, "x"), folder=tmp_path / "staging" / "0a1b"),
        "Profile": DiskTrouble(full, why="1,024 bytes are needed, 4 are free", fix=errors_fix(tmp_path)),
    }

    (group,) = failure_groups(manifest(*(failed(dataset, error) for dataset, error in errors.items())))

    assert group.datasets == list(errors)
    assert group.reason.startswith(f"{full}; {step}")


def errors_fix(folder: Path) -> str:
    return to_disk_error(OSError(errno.ENOSPC, "x"), folder).fix or ""
