"""Moments of manifest and `current.json`: aware datetimes in the program, the contract's spelling on the disk."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.manifest import DatasetRecord, Manifest, PartRecord

EARLIER = Path(__file__).parent.parent / "journeys" / "earlier_folder"
"""A folder as version 0.1 left it."""
AT = "2026-11-23T02:00:00Z"
ZONES = some.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = some.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=ZONES)  # noqa: DTZ001 - `timezones` makes them aware


def moments_of(value: Any, path: str = "") -> dict[str, str]:
    """The moments in a JSON value, by where they stand."""
    if isinstance(value, dict):
        return {name: at for key, inner in value.items() for name, at in moments_of(inner, f"{path}.{key}").items()}
    if isinstance(value, list):
        return {
            name: at for number, inner in enumerate(value) for name, at in moments_of(inner, f"{path}.{number}").items()
        }
    return {path: value} if isinstance(value, str) and value[:2] == "20" and value.endswith("Z") else {}


@pytest.mark.parametrize("file", sorted((EARLIER / "runs").glob("*/manifest.json")), ids=lambda file: file.parent.name)
def test_a_manifest_of_version_0_1_is_written_again_with_the_very_same_moments(file: Path) -> None:
    stored = json.loads(file.read_text(encoding="utf-8"))

    manifest = Manifest.model_validate(stored)

    assert manifest.started_at.tzinfo is UTC
    assert moments_of(manifest.as_dict()) == moments_of(stored) != {}


def test_the_pointer_of_version_0_1_is_written_again_with_the_very_same_moments() -> None:
    stored = json.loads((EARLIER / "current.json").read_text(encoding="utf-8"))

    assert moments_of(Current.model_validate(stored).model_dump(mode="json")) == moments_of(stored) != {}


@given(at=MOMENTS)
def test_a_moment_is_written_in_utc_by_whole_seconds_and_read_as_it_was_in_memory(at: datetime) -> None:
    part = PartRecord(start=at, end=at, generated_at=at)
    record = DatasetRecord(dataset="Profile", status="complete", generated_at=at, due_at=at, parts=[part])
    written = record.model_dump(mode="json")

    assert written["generated_at"] == f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert DatasetRecord.model_validate(written) == record
    assert record.generated_at == at.replace(microsecond=0)


@pytest.mark.parametrize("odd", ["", "soon", "2026-11-23", "2026-11-23T02:00:00", {}, None])
def test_an_odd_moment_that_only_informs_costs_no_more_than_itself(odd: object) -> None:
    """A file that a person has edited stays readable."""
    record = DatasetRecord.model_validate({"dataset": "Profile", "status": "complete", "rows": 3, "generated_at": odd})
    snapshot = CurrentSnapshot.model_validate({"run_id": "r", "rows": 3, "files": [], "published_at": odd})

    assert (record.rows, snapshot.rows, snapshot.published_at) == (3, 3, None)
    assert record.generated_at is None


def test_a_pointer_without_a_moment_is_read() -> None:
    assert Current.model_validate({"version": 1, "updated_at": "", "datasets": {}}).updated_at is None
    assert Current.model_validate({"updated_at": AT}).model_dump(mode="json")["updated_at"] == AT
