"""The ground: the catalog, the redactor, errors that survive pickling, events that name their dataset."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpull import errors
from bulkpull.catalog import ColumnType, MetricKind, load_catalog
from bulkpull.errors import BulkpullError, QuotaExceeded, SettingsError
from bulkpull.event_types import EVENTS, CallRetried, QuotaReached, RunFinished, restore_event
from bulkpull.events import Event, Events, Level, about
from bulkpull.redact import printable, redact, register_secret


def test_the_catalog_knows_the_twenty_and_marks_the_others() -> None:
    catalog = load_catalog()

    assert len(catalog.standard) == 20
    assert {dataset.name for dataset in catalog.datasets if dataset.extra} >= {
        "BusinessApplicationsRevenue", "BusinessApplicationsUsage", "CLASSurfacePropensity",
        "CPORM365Usage", "CSPDirectPartnerEligibility", "CSPRevenueDetails",
    }  # fmt: skip


@pytest.mark.behaviour(48, 55)
def test_the_services_own_misspellings_are_kept() -> None:
    catalog = load_catalog()
    found = catalog.find("CompetencyPerformanceRequirement")

    assert found is not None
    assert found.name == "CompetencyPeformanceRequirement"
    teams = catalog.find("TeamsUsageWorkload")
    assert teams is not None
    assert teams.column("allupPARTITICIPANTS") is not None


@pytest.mark.behaviour(152)
@pytest.mark.parametrize("name", ["MpnId", "DUNSNumber", "CustomerTpid", "ProductPartNumber"])
def test_identifiers_are_marked_and_text(name: str) -> None:
    dataset = load_catalog().find("CustomersAndTenants")
    assert dataset is not None
    column = dataset.column(name)

    assert column is not None
    assert (column.identifier, column.type) == (True, ColumnType.STRING)


@pytest.mark.behaviour(159, 162)
def test_the_amounts_of_the_live_list_are_metrics_and_no_columns() -> None:
    dataset = load_catalog().find("CustomersAndTenants")
    assert dataset is not None
    amounts = [metric.name for metric in dataset.metrics if metric.kind is MetricKind.AMOUNT]

    assert amounts == [
        "AvailableSeats", "BilledRevenueUSD", "AzureConsumedRevenueUSD", "CPORRevenue", "CPORPaidSeats",
        "CPORActiveUsers", "AssignedSeats",
    ]  # fmt: skip
    assert not set(amounts) & {column.name for column in dataset.columns}


@pytest.mark.behaviour(159)
def test_money_is_decimal_and_seats_are_whole_numbers() -> None:
    kinds = {
        metric.name: metric.type
        for dataset in load_catalog().datasets
        for metric in dataset.metrics
        if metric.kind is MetricKind.AMOUNT
    }

    money = {name for name in kinds if "Revenue" in name or "ACR" in name}
    assert {"BilledRevenueUSD", "ACR_USD", "TotalRevenue"} <= money
    assert {kinds[name] for name in money} == {ColumnType.DECIMAL}
    assert {kinds[name] for name in kinds.keys() - money} == {ColumnType.INT}


@pytest.mark.behaviour(162)
@pytest.mark.parametrize(
    ("dataset", "name", "kind"),
    [
        ("OfficeUsage", "TotalPaidAvailableUnits", MetricKind.TOTAL),
        ("officeusage", "customercount", MetricKind.COUNT),
        ("AzureUsage", "acr_usd", MetricKind.AMOUNT),
    ],
)
def test_a_metric_is_found_in_any_case_with_its_kind(dataset: str, name: str, kind: MetricKind) -> None:
    found = load_catalog().find(dataset)
    assert found is not None
    metric = found.metric(name)

    assert metric is not None
    assert metric.kind is kind


@pytest.mark.behaviour(54, 168)
@pytest.mark.parametrize("name", ["PartnerLocation", "PartnerLocationID", "ProductPartNumber", "BilledRevenueUSD"])
def test_names_of_every_list_and_document_stay_known(name: str) -> None:
    dataset = load_catalog().find("CustomersAndTenants")
    assert dataset is not None

    assert dataset.column(name.upper()) is not None
    assert name in load_catalog().column_names


@pytest.mark.behaviour(164, 165)
def test_two_years_are_offered_for_four_datasets_and_lifetime_for_snapshots() -> None:
    listed = [dataset for dataset in load_catalog().datasets if "LAST_2_YEARS" in dataset.date_ranges]

    four = ["CustomersAndTenants", "SeatsSubscriptionsAndRevenue", "AzureUsage", "CSPRevenueDetails"]
    assert [dataset.name for dataset in listed if not dataset.extra or dataset.name in four] == four
    profile = load_catalog().find("Profile")
    assert profile is not None
    assert (profile.snapshot, profile.date_ranges) == (True, ("LIFETIME",))


@pytest.mark.behaviour(142)
@pytest.mark.parametrize(
    ("dataset", "days"),
    [("Profile", 1), ("DynamicsUsage", 3), ("AzureUsage", 4), ("CustomersAndTenants", 5), ("CLASAzurePropensity", 7)],
)
def test_refresh_intervals(dataset: str, days: int) -> None:
    found = load_catalog().find(dataset)

    assert found is not None
    assert found.refresh_days == days


@pytest.mark.behaviour(135)
@pytest.mark.parametrize(
    "text",
    [
        "https://a.blob.core.windows.net/c/b?sv=1&se=2&sig=CANARY%2Bx",
        "https%3A%2F%2Fa%3Fsig%3DCANARY",
        "Authorization: Bearer CANARY.canary.CANARY",
        '{"access_token": "CANARY", "refresh_token":"CANARY"}',
        "client_secret=CANARY&grant_type=password&password=CANARY",
        "token eyJ0eXAiOiJKV1QiLCJhbGciOi.CANARY.CANARY",
    ],
)
def test_what_carries_a_secret_is_emptied_by_its_name(text: str) -> None:
    assert "CANARY" not in redact(text)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_registered_secret_is_removed_wherever_it_stands(before: str, after: str) -> None:
    register_secret("canary-5fK9/+=")

    assert "canary-5fK9" not in redact(f"{before}canary-5fK9/+={after}")
    assert "canary-5fK9" not in redact(f"{before}canary-5fK9%2F%2B%3D{after}")


def test_text_without_secrets_stays_as_it_is() -> None:
    text = "signature of the contract; sign=up; passwordless; AzureUsage: 12 rows"

    assert redact(text) == text


def test_what_the_service_says_cannot_move_the_cursor_or_break_a_line() -> None:
    assert printable("a\x1b[31mred\x07\nline\u202eevil") == r"a\x1b[31mred\x07 line\u202eevil"
    assert len(printable("x" * 10_000)) == 2_000


EVERY_ERROR = [
    kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, BulkpullError) and not name.startswith("_")
]


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.__name__)
def test_every_error_crosses_a_process_border_unchanged(kind: type[BulkpullError]) -> None:
    extra: dict[str, Any] = {"kind": "one_off", "limit": 5} if kind is QuotaExceeded else {}
    error = kind("what", why="why", fix="fix", **extra)

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert type(copy) is kind
    assert (str(copy), vars(copy)) == ("what: why; fix", vars(error))


def test_the_tree_in_the_docstring_shows_every_error() -> None:
    assert errors.__doc__ is not None
    assert [kind.__name__ for kind in EVERY_ERROR if kind.__name__ not in errors.__doc__] == []


def test_an_error_never_carries_a_secret() -> None:
    error = SettingsError("got https://x/?sig=CANARY", why="Bearer CANARYCANARY", fix="password=CANARY")

    assert "CANARY" not in str(error) + repr(error) + repr(vars(error))


def test_an_event_names_the_dataset_it_was_emitted_about() -> None:
    reported: list[Event] = []
    events = Events(reported.append)

    with about("Profile"):
        events.emit(CallRetried(endpoint="token", attempt=1, reason="HTTP 503"))
    events.emit(RunFinished(run_id="r", status="complete", datasets={}))

    assert [(event.name, event.dataset, event.level) for event in reported] == [
        ("call.retried", "Profile", Level.WARNING),
        ("run.finished", None, Level.INFO),
    ]


@pytest.mark.behaviour(154)
def test_a_flag_in_words_that_no_boolean_gives_back_is_declared_as_text() -> None:
    seats = load_catalog().find("SeatsSubscriptionsAndRevenue")
    assert seats is not None

    renews, repeats = seats.column("IsAutoRenew"), seats.column("IsDuplicateRowForPGA")

    assert renews is not None
    assert (renews.type, renews.parquet_type) == (ColumnType.BOOL, ColumnType.STRING)
    assert repeats is not None
    assert repeats.parquet_type is ColumnType.BOOL


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_restored_from_the_facts_that_it_tells(name: str) -> None:
    event = restore_event(name, {}, dataset="Profile")

    assert (event.name, event.dataset, type(event)) == (name, "Profile", EVENTS[name])
    assert restore_event(name, event.facts, dataset="Profile", level=event.level) == event


def test_an_event_is_a_value_that_never_changes() -> None:
    waited, other = QuotaReached(wait_s=2.0, limit=5), QuotaReached(wait_s=3.0, limit=5)

    assert waited == replace(other, wait_s=2.0) == copy.copy(waited) == pickle.loads(pickle.dumps(waited))  # noqa: S301 - our own
    assert len({waited, other, replace(other, wait_s=2.0)}) == 2
    with pytest.raises(FrozenInstanceError):
        waited.limit = 6  # type: ignore[misc]  # what is tested
    with pytest.raises(FrozenInstanceError):
        del waited.limit
    with pytest.raises(TypeError, match="lacks 'wait_s'"):
        QuotaReached(limit=5)  # type: ignore[call-arg]  # the same
    with pytest.raises(TypeError, match="has no 'colour'"):
        QuotaReached(wait_s=2.0, limit=5, colour="red")  # type: ignore[call-arg]  # the same


@pytest.mark.parametrize("name", EVENTS)
def test_the_facts_of_an_event_can_be_written_as_json_by_a_listener(name: str) -> None:
    types = {str(item.type).removesuffix(" | None") for item in fields(EVENTS[name]) if item.name != "level"}

    assert types <= {"str", "int", "float", "bool", "Mapping[str, int]", "Sequence[str]"}


def test_a_logged_fact_of_another_kind_is_empty_and_an_unknown_event_keeps_all() -> None:
    damaged = restore_event("quota.reached", {"wait_s": "soon", "limit": 5, "colour": "red"})
    unknown = restore_event("quota.dreamt", {"wait_s": "soon"})

    assert damaged == QuotaReached(wait_s=0.0, limit=5, dataset=None)
    assert (unknown.name, unknown.facts) == ("quota.dreamt", {"wait_s": "soon"})
