"""The facts of the ledger: what a step writes is what a later run reads, also of an earlier version."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bulkpull.catalog import ColumnType
from bulkpull.conversion.messages import (
    ColumnPlan,
    ConversionResult,
    ConvertedColumn,
    Misfit,
    TableFile,
    WindowBounds,
    WindowRows,
)
from bulkpull.model import DownloadedFile
from bulkpull.output import ledger_facts
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.ledger_facts import (
    ConversionFacts,
    DownloadFacts,
    ExecutionFacts,
    InWindowsFacts,
    MissedFacts,
    PollFormFacts,
    PublicationFacts,
    RefusedMetricsFacts,
    ReportFacts,
    ScheduledReportFacts,
    SplitFacts,
    StepFacts,
    UnchangedFacts,
)
from bulkpull.output.manifest import DatasetRecord, PartRecord

KINDS: list[type[StepFacts]] = [
    kind for kind in vars(ledger_facts).values() if isinstance(kind, type) and "step" in vars(kind)
]
STORED = json.loads(Path(__file__).with_name("ledger_facts.json").read_text(encoding="utf-8"))
"""Facts as version 0.1 wrote them, by step."""

TEXT = some.text(max_size=20)
MOMENT = some.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=some.just(UTC)).map(  # noqa: DTZ001 - `timezones` makes them aware
    lambda moment: moment.replace(microsecond=0)
)
COUNT = some.integers(0, 10**12)
TEXT_IF_ANY, MOMENT_IF_ANY = some.none() | TEXT, some.none() | MOMENT
FILE = some.builds(Path, some.sampled_from(["/a/b.parquet", "x.csv.gz", "/ä/ö"]))
MISFIT = some.none() | some.builds(Misfit, COUNT, TEXT)
TYPE = some.sampled_from(ColumnType)
BOUNDS = some.none() | some.builds(
    WindowBounds, TEXT, MOMENT, MOMENT, form=TEXT_IF_ANY, skip_undated=some.lists(COUNT, max_size=2).map(tuple)
)
TABLE = some.builds(
    ConversionResult,
    files=some.lists(some.builds(TableFile, FILE, COUNT, COUNT, TEXT), max_size=2).map(tuple),
    columns=some.lists(some.builds(ConvertedColumn, TEXT, TEXT, TYPE, misfit=MISFIT), max_size=2).map(tuple),
    extra_columns=some.lists(TEXT, max_size=2).map(tuple),
    window=some.none() | some.builds(WindowRows, first_unread=MISFIT, earliest=MOMENT_IF_ANY, latest=MOMENT_IF_ANY),
)
RECORD = some.builds(
    DatasetRecord,
    dataset=TEXT,
    status=some.sampled_from(["complete", "skipped", "failed"]),
    rows=COUNT,
    generated_at=MOMENT_IF_ANY,
    due_at=MOMENT_IF_ANY,
    notes=some.lists(TEXT, max_size=2),
    parts=some.lists(some.builds(PartRecord, start=MOMENT, end=MOMENT, generated_at=MOMENT_IF_ANY), max_size=2),
)
FACTS = some.one_of(
    some.builds(ReportFacts, TEXT, TEXT, TEXT, MOMENT_IF_ANY, mark=TEXT_IF_ANY, question_sha256=TEXT_IF_ANY),
    some.builds(ExecutionFacts, TEXT, TEXT, MOMENT_IF_ANY, some.booleans(), MOMENT_IF_ANY, mark=TEXT_IF_ANY),
    some.builds(DownloadFacts, TEXT, COUNT, mark=TEXT_IF_ANY),
    some.builds(
        ConversionFacts,
        generated_at=MOMENT_IF_ANY,
        stored=some.builds(DownloadedFile, FILE, COUNT, md5=TEXT_IF_ANY),
        table=TABLE,
        columns=some.lists(some.builds(ColumnPlan, TEXT, TYPE), max_size=2).map(tuple),
        bounds=BOUNDS,
        unbelieved_at=MOMENT_IF_ANY,
        name=TEXT_IF_ANY,
    ),
    some.builds(PublicationFacts, RECORD),
    some.builds(SplitFacts, TEXT, MOMENT_IF_ANY, MOMENT_IF_ANY),
    some.builds(
        ScheduledReportFacts,
        TEXT,
        TEXT_IF_ANY,
        lead_h=some.none() | some.floats(0, 24),
        own=some.none() | some.booleans(),
    ),
    some.builds(InWindowsFacts, TEXT, MOMENT, MOMENT, TEXT),
    some.builds(InWindowsFacts, TEXT, failed=some.just(True)),
    some.builds(MissedFacts, TEXT, MOMENT_IF_ANY),
    some.builds(UnchangedFacts, TEXT_IF_ANY, MOMENT_IF_ANY, TEXT_IF_ANY),
    some.builds(RefusedMetricsFacts, some.lists(TEXT, max_size=3).map(tuple), TEXT),
    some.builds(PollFormFacts, TEXT),
)


@given(facts=FACTS)
def test_what_a_step_writes_is_what_is_read(facts: StepFacts) -> None:
    assert type(facts).read(json.loads(json.dumps(facts.as_json()))) == facts


@given(facts=FACTS, name=TEXT)
def test_what_a_later_version_adds_is_ignored(facts: StepFacts, name: str) -> None:
    known = {field.name for field in fields(facts)}

    assert type(facts).read(facts.as_json() | ({} if name in known else {name: 1})) == facts


@pytest.mark.parametrize("kind", KINDS, ids=[kind.step for kind in KINDS])
def test_what_version_0_1_wrote_is_read_and_written_alike(kind: type[StepFacts]) -> None:
    for stored in STORED[kind.step]:
        facts = kind.read(stored)

        assert facts is not None
        assert facts.as_json() == stored


def test_there_is_one_class_for_each_step() -> None:
    assert sorted(kind.step for kind in KINDS) == sorted(STORED)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (ReportFacts, {}),
        (ReportFacts, {"report_id": None}),
        (PublicationFacts, {"record": {"dataset": "Profile"}}),
        (UnchangedFacts, {"execution_id": "e", "generated_at": "soon"}),
        (ConversionFacts, {"execution_id": "e"}),
        (RefusedMetricsFacts, {"metrics": "ACR_USD", "reason": "x"}),
    ],
)
def test_what_another_version_wrote_otherwise_is_left_out(kind: type[StepFacts], values: dict[str, Any]) -> None:
    assert kind.read(values) is None


def test_an_odd_moment_of_the_service_costs_no_more_than_itself() -> None:
    facts = ExecutionFacts.read({"report_id": "r", "execution_id": "e", "generated_at": "soon"})

    assert facts == ExecutionFacts("r", "e")


async def test_moments_are_kept_to_the_second_in_utc(tmp_path: Path) -> None:
    at = datetime(2026, 11, 23, 2, 0, 0, 999_999, tzinfo=UTC)
    async with opened_ledger(tmp_path) as ledger:
        await ledger.begin_run("run", request={}, at=at)
        await ledger.note("run", dataset="Profile", facts=ReportFacts("r", created_at=at), at=at)
        (noted,) = await ledger.noted(ReportFacts, since=at)
        later = await ledger.noted(ReportFacts, since=at + timedelta(seconds=1))
        (step,) = await ledger.steps("run")

    second = at.replace(microsecond=0)
    assert (noted.at, noted.facts.created_at) == (second, second)
    assert step.facts["created_at"] == "2026-11-23T02:00:00Z"
    assert later == []
    assert replace(noted.facts, created_at=None) == ReportFacts("r")
