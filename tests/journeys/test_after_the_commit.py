"""Each step that follows the move of `current.json` fails in turn: the dataset is complete, the next run mends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journeys.kit import export

from bulkpull.errors import LedgerError, NotConnected
from bulkpull.events import Event
from bulkpull.insights.client import InsightsClient
from bulkpull.output.current import Current
from bulkpull.output.ledger import Ledger
from bulkpull.output.ledger_facts import PublicationFacts, StepFacts
from bulkpull.output.store import LocalStore
from bulkpull.simulator import Scenario, Simulator

Strike = Callable[[pytest.MonkeyPatch], None]


def ledger_note(patch: pytest.MonkeyPatch) -> None:
    plain = Ledger.note

    async def note(ledger: Ledger, run_id: str, *, facts: StepFacts, **more: Any) -> None:
        if isinstance(facts, PublicationFacts):
            raise LedgerError("the run ledger cannot be written", why="disk I/O error")
        await plain(ledger, run_id, facts=facts, **more)

    patch.setattr(Ledger, "note", note)


def report_deletion(patch: pytest.MonkeyPatch) -> None:
    async def delete(*_: Any, **__: Any) -> None:
        raise NotConnected("cannot delete the report: no connection")

    patch.setattr(InsightsClient, "delete_report", delete)


def ledger_ending(patch: pytest.MonkeyPatch) -> None:
    async def end_run(*_: Any, **__: Any) -> None:
        raise LedgerError("the run ledger cannot be written", why="disk I/O error")

    patch.setattr(Ledger, "end_run", end_run)


def ledger_pruning(patch: pytest.MonkeyPatch) -> None:
    async def prune(*_: Any, **__: Any) -> int:
        raise LedgerError("the run ledger cannot be written", why="disk I/O error")

    patch.setattr(Ledger, "prune", prune)


@pytest.mark.case("C6")
@pytest.mark.parametrize("strike", [ledger_note, report_deletion, ledger_ending, ledger_pruning])
async def test_a_dataset_stays_complete_whatever_fails_after_its_publication(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strike: Strike
) -> None:
    reported: list[Event] = []
    async with Simulator(Scenario(rows=5, datasets=("Profile",))) as simulator:
        with monkeypatch.context() as patch:
            strike(patch)
            first = await export(simulator, tmp_path, "Profile", listeners=[reported.append])
        published = Current.load(LocalStore(tmp_path)).datasets["Profile"].run_id
        second = await export(simulator, tmp_path, "Profile")

        assert (first.status, first.exit_code, published) == ("complete", 0, first.run_id)
        assert (second.status, second.exit_code) == ("complete", 0)
        assert simulator.service.reports == {}
    undeleted = [note for note in first.datasets[0].notes if "could not be deleted" in note]
    assert undeleted or "cleanup.postponed" in [event.name for event in reported]


@pytest.mark.fault(7)
@pytest.mark.case("C6")
@pytest.mark.parametrize(
    ("strikes", "reports"),
    [((ledger_note, ledger_ending), 1), ((ledger_note,), 2)],
    ids=["the resumed run creates no second report", "another run takes no published data again"],
)
async def test_after_a_publication_without_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strikes: tuple[Strike, ...], reports: int
) -> None:
    async with Simulator(Scenario(rows=5, datasets=("Profile",))) as simulator:
        with monkeypatch.context() as patch:
            for strike in strikes:
                strike(patch)
            first = await export(simulator, tmp_path, "Profile")
        second = await export(simulator, tmp_path, "Profile")

        assert second.status == "complete"
        assert (second.run_id == first.run_id) == (reports == 1)
        assert simulator.service.created_reports == {"Profile": reports}
        assert simulator.service.reports == {}
