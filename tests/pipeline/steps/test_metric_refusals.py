"""Refused metrics: what counts as a refusal, what is asked for instead, and how long it is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from bulkpull.config.settings import Settings
from bulkpull.custom_query import Selection
from bulkpull.errors import (
    AccessDenied,
    BulkpullError,
    ExecutionFailed,
    ExecutionOverdue,
    QuotaExceeded,
    RequestRejected,
    ServiceTrouble,
)
from bulkpull.metric_selection import MetricsChoice
from bulkpull.model import OfferedDataset, Pull
from bulkpull.output.ledger import NotedFacts, StepEntry, read_facts
from bulkpull.output.ledger_facts import RefusedMetricsFacts
from bulkpull.pipeline.plan import make_plan
from bulkpull.pipeline.request import ExportRequest, PlanInputs, ServiceOffer
from bulkpull.pipeline.steps.metric_refusals import (
    RETRY_AFTER,
    MetricRefusal,
    drop_metrics,
    may_be_due_to_metrics,
    metric_refusal,
    recent_refusals,
)
from bulkpull.query import parse

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
OFFERED = OfferedDataset(
    "AzureUsage", ("MPNId", "Month"), ("SubscriptionCount", "ACR_USD", "CustomerCount"), ("LAST_MONTH",)
)
SEATS = OfferedDataset("SeatsSubscriptionsAndRevenue", ("Month",), ("AvailableSeats", "BilledRevenueUSD"))


def plan(
    *offered: OfferedDataset,
    refusals: Sequence[MetricRefusal] = (),
    selections: Sequence[Selection] = (),
    metrics: MetricsChoice = "amounts",
) -> list[Pull]:
    names = () if selections else tuple(item.name for item in offered)
    request = ExportRequest(names, selections=tuple(selections), only_selections=bool(selections))
    settings = Settings(metrics=metrics)
    return list(make_plan(PlanInputs(request, ServiceOffer(offered), settings, refusals=tuple(refusals))).pulls)


def step(pull: Pull, *, age: timedelta, metrics: list[str] | None = None) -> NotedFacts[RefusedMetricsFacts]:
    refusal = metric_refusal(pull, RequestRejected("refused", why="400 Incorrect column name"), at=NOW)
    facts = RefusedMetricsFacts(tuple(metrics or refusal.facts.metrics), refusal.facts.reason)
    return NotedFacts(pull.dataset, NOW - age, facts)


@pytest.mark.case("C51")
@pytest.mark.behaviour(42, 68, 73)
@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (RequestRejected("no", why="400 Incorrect column name"), True),
        (RequestRejected("no", why="400 whatever"), True),
        (ExecutionFailed("failed", why="its status is Failed: metric ACR_USD is not supported"), True),
        (ExecutionFailed("failed", why="its status is Failed"), False),
        (ExecutionOverdue("overdue", why="its query is too long"), False),
        (QuotaExceeded("no", kind="queries", limit=100, why="400 Number of queries exceeded"), False),
        (AccessDenied("no", why="403"), False),
        (ServiceTrouble("no", why="500 metric"), False),
    ],
)
def test_a_refusal_in_whatever_words_may_be_due_to_the_metrics(error: BulkpullError, is_one: bool) -> None:
    (pull,) = plan(OFFERED)

    assert may_be_due_to_metrics(error, pull) is is_one
    assert not may_be_due_to_metrics(error, drop_metrics(pull))


def test_metrics_that_a_query_of_the_user_names_are_never_dropped() -> None:
    selection = Selection(name="acr", dataset="AzureUsage", select="Month, ACR_USD")
    (pull,) = plan(OFFERED, selections=[selection])

    assert pull.metrics == ("ACR_USD",)
    assert not may_be_due_to_metrics(RequestRejected("no", why="400"), pull)


@pytest.mark.parametrize("where", [None, "Month > '2026-01-01'"])
def test_the_query_without_metrics_names_every_column_and_is_else_the_same(where: str | None) -> None:
    selection = Selection(name="azure", dataset="AzureUsage", where=where, order_by="Month ASC")
    for pull in (*plan(OFFERED), *plan(OFFERED, selections=[selection])):
        less = drop_metrics(pull)

        assert less.columns == OFFERED.columns
        assert [name.text for name in parse(less.query_text).names] == list(OFFERED.columns)
        assert less.query_text == pull.query_text.replace(", ACR_USD", "")
        assert (less.metrics, less.metrics_left_out) == ((), OFFERED.metrics)


def test_a_refusal_is_remembered_for_a_week_and_then_tried_again() -> None:
    (asked,) = plan(OFFERED)

    for age, is_remembered in ((timedelta(), True), (RETRY_AFTER - timedelta(minutes=1), True), (RETRY_AFTER, False)):
        refusals = recent_refusals([step(asked, age=age)], now=NOW)
        (pull,) = plan(OFFERED, refusals=refusals)
        assert (pull.metrics == ()) is is_remembered
        assert bool(pull.notes) is is_remembered


def test_the_note_names_the_metrics_the_reason_and_the_day_of_the_next_try() -> None:
    (asked,) = plan(SEATS)
    (pull,) = plan(SEATS, refusals=recent_refusals([step(asked, age=timedelta(days=3))], now=NOW))

    (note,) = pull.notes
    assert "AvailableSeats, BilledRevenueUSD" in note
    assert "400 Incorrect column name" in note
    assert "2026-11-20" in note
    assert "2026-11-27" in note


def test_only_the_refused_set_of_the_refused_dataset_is_left_out() -> None:
    azure, seats = plan(OFFERED, SEATS)
    other_set = step(azure, age=timedelta(), metrics=["ACR_USD", "CustomerCount"])
    refusals = recent_refusals([other_set, step(seats, age=timedelta())], now=NOW)

    again, without = plan(OFFERED, SEATS, refusals=refusals)

    assert again.metrics == ("ACR_USD",)
    assert without.metrics == ()
    everything, _ = plan(OFFERED, SEATS, refusals=refusals, metrics="all")
    assert everything.metrics == OFFERED.metrics


@pytest.mark.parametrize("facts", [{}, {"metrics": None, "reason": "x"}, {"metrics": ["ACR_USD"]}])
def test_what_another_version_wrote_into_the_ledger_is_no_refusal(facts: dict[str, object]) -> None:
    steps = [StepEntry("AzureUsage", "metrics_refused", NOW, facts)]

    assert read_facts(RefusedMetricsFacts, steps) == []
