"""A selection becomes a pull under its own name, or a message says why not, before anything is created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bulkpull.config.settings import Settings
from bulkpull.custom_query import Selection
from bulkpull.errors import QueryError, SettingsError
from bulkpull.model import OfferedDataset, Window
from bulkpull.pipeline.plan import Plan, make_plan
from bulkpull.pipeline.request import ExportRequest, PlanInputs, ServiceOffer, create_request

AZURE = OfferedDataset(
    "AzureUsage",
    ("SubscriptionId", "Month", "UsageQuantity"),
    metrics=("TotalACR",),
    date_ranges=("LAST_MONTH", "LAST_6_MONTHS", "LIFETIME"),
)
PROFILE = OfferedDataset("Profile", ("MpnId", "City"))


def plan(
    *selections: Selection,
    on_offer: tuple[OfferedDataset, ...] = (AZURE, PROFILE),
    only_selections: bool = True,
    window: Window | None = None,
    system_texts: Mapping[str, str] | None = None,
    **settings: Any,
) -> Plan:
    request = ExportRequest(selections=selections, only_selections=only_selections, window=window)
    offer = ServiceOffer(on_offer, system_texts or {})
    return make_plan(PlanInputs(request, offer, Settings(**settings)))


def of_azure(**parts: Any) -> Selection:
    return Selection(**({"name": "mine", "dataset": "AzureUsage"} | parts))


def test_a_selection_is_pulled_under_its_name_with_the_columns_asked_for_in_that_order() -> None:
    (pull,) = plan(of_azure(select="month, SUBSCRIPTIONID", where="UsageQuantity > 5")).pulls

    assert (pull.dataset, pull.source, pull.reads) == ("mine", "AzureUsage", "AzureUsage")
    assert pull.columns == ("Month", "SubscriptionId")
    assert pull.query_text == (
        "SELECT Month, SubscriptionId FROM AzureUsage WHERE UsageQuantity > 5 TIMESPAN LAST_6_MONTHS"
    )
    assert (pull.timespan, pull.wider_timespan, pull.indivisible, pull.notes) == (
        "LAST_6_MONTHS",
        "LIFETIME",
        False,
        (),
    )


def test_without_a_choice_of_columns_all_that_are_listed_today_are_taken_and_the_amounts() -> None:
    (pull,) = plan(of_azure()).pulls

    assert pull.columns == (*AZURE.columns, "TotalACR")  # the catalog calls it an amount
    assert pull.metrics_chosen
    assert not pull.indivisible


@pytest.mark.parametrize(
    ("of_selection", "of_run", "chosen"),
    [(None, None, "LAST_6_MONTHS"), (None, "widest", "LIFETIME"), ("last_month", "widest", "LAST_MONTH")],
)
def test_the_time_span_of_a_selection_beats_that_of_the_run(
    of_selection: str | None, of_run: str | None, chosen: str
) -> None:
    (pull,) = plan(of_azure(timespan=of_selection), timespan=of_run).pulls

    assert pull.timespan == chosen


@pytest.mark.behaviour(61)
def test_a_whole_query_is_sent_as_it_was_written_but_for_spelling() -> None:
    (pull,) = plan(Selection(name="mine", query="select month\nfrom azureusage"), timespan="widest").pulls

    assert (pull.query_text, pull.timespan) == ("SELECT Month FROM AzureUsage", None)


@pytest.mark.behaviour(63, 64)
@pytest.mark.parametrize(
    "parts", [{"select": "Month, TotalACR"}, {"distinct": True}, {"order_by": "Month"}, {"limit": 3}]
)
def test_rows_that_depend_on_each_other_are_not_asked_for_in_pieces(parts: dict[str, Any]) -> None:
    (pull,) = plan(of_azure(**parts)).pulls

    assert pull.indivisible
    assert pull.notes
    assert pull.metrics == ("TotalACR",)  # named, or with every column


@pytest.mark.case("W16")
@pytest.mark.behaviour(84)
def test_a_time_span_beside_a_window_is_told_to_be_unused() -> None:
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))

    (pull,) = plan(of_azure(), window=window, timespan="LAST_MONTH").pulls

    assert "TIMESPAN LAST_6_MONTHS" in pull.query_text  # where a window is ignored, a short span would hide that
    assert pull.notes == ("the time span LAST_MONTH is not used, because --since and --until take its place",)


def test_a_window_applies_where_rows_can_be_held_against_it_and_is_refused_by_name_elsewhere() -> None:
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    without_time = Selection(name="timeless", dataset="AzureUsage", select="SubscriptionId")

    made = plan(of_azure(), Selection(name="other", dataset="Profile"), without_time, window=window)

    assert [(pull.dataset, pull.window) for pull in made.pulls] == [(of_azure().name, window)]
    assert [(item.dataset, item.failed) for item in made.unavailable] == [("other", True), ("timeless", True)]
    assert "no time axis" in made.unavailable[0].reason
    assert "Month is not selected" in made.unavailable[1].reason


@pytest.mark.behaviour(49)
def test_the_services_spelling_of_the_dataset_is_used() -> None:
    listed = replace(AZURE, name="CloudProductsResellerPerformance")

    (pull,) = plan(Selection(name="mine", dataset="ResellerPerformance", select="Month"), on_offer=(listed,)).pulls

    assert pull.source == "ResellerPerformance"
    assert "FROM CloudProductsResellerPerformance" in pull.query_text


@pytest.mark.behaviour(27)
def test_a_selection_of_a_dataset_that_is_not_listed_counts_as_named() -> None:
    made = plan(Selection(name="mine", dataset="EMSUsage"))

    (missing,) = made.unavailable
    assert (missing.dataset, missing.named, missing.failed) == ("mine", True, False)
    assert missing.reason.startswith("mine: the service does not list EMSUsage for this account")


def test_a_selection_that_is_wrong_harms_nothing_else() -> None:
    made = plan(of_azure(select="Mont"), Selection(name="good", dataset="Profile"), only_selections=False)

    assert [pull.dataset for pull in made.pulls] == ["AzureUsage", "Profile", "good"]
    (failed,) = [item for item in made.unavailable if item.failed]
    assert failed.reason == "mine: AzureUsage has no column Mont; did you mean Month?"


@pytest.mark.parametrize(
    ("selection", "place"),
    [
        (of_azure(select="Month, SubscriptonId"), "SubscriptonId"),
        (of_azure(where="UsageQuantity = 'many'"), "'many'"),
        (of_azure(timespan="LAST_3_MONTHS"), "LAST_3_MONTHS"),
        (Selection(name="mine", query="SELECT Month\nFROM AzureUsage\nORDER BY Mont"), "Mont"),
    ],
)
def test_where_nothing_else_is_wanted_the_place_of_the_fault_is_told(selection: Selection, place: str) -> None:
    with pytest.raises(QueryError) as caught:
        plan(selection)

    error = caught.value
    assert error.text[error.at : error.at + error.length].startswith(place)


def test_a_dataset_that_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean AzureUsage"):
        plan(Selection(name="mine", dataset="AzureUsge"))


def test_a_name_that_the_service_gives_to_a_dataset_is_refused() -> None:
    new = OfferedDataset("BrandNew", ("Month",))

    with pytest.raises(SettingsError, match="lists a dataset named brandnew"):
        plan(Selection(name="brandnew", dataset="AzureUsage"), on_offer=(AZURE, new))


@pytest.mark.behaviour(76)
def test_a_system_query_is_pulled_with_the_text_that_the_service_keeps() -> None:
    system = Selection(name="mine", system_query="q-1")

    (pull,) = plan(system, system_texts={"q-1": "SELECT SubscriptionId,Month\nFROM AzureUsage TIMESPAN LIFETIME"}).pulls

    assert (pull.columns, pull.timespan) == (("SubscriptionId", "Month"), "LIFETIME")


@pytest.mark.behaviour(76)
@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (
            {"q-1": "SELECT Month,Gone,SubscriptionID2 FROM AzureUsage"},
            "names Gone, SubscriptionID2, which the service",
        ),
        ({"q-1": "SELEC Month FROM AzureUsage"}, "the text of system query q-1"),
        ({}, "stores no query with the id q-1"),
    ],
)
def test_a_system_query_that_fell_behind_is_told(texts: dict[str, str], expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        plan(Selection(name="mine", system_query="q-1"), system_texts=texts)


QUERIES = (of_azure(name="big"), of_azure(name="small"))


@pytest.mark.parametrize(
    ("names", "datasets", "selections", "only"),
    [
        ((), (), ["big", "small"], False),
        (("Big",), (), ["big"], True),
        (("Profile",), ("Profile",), [], False),
        (("Profile", "small"), ("Profile",), ["small"], False),
        (("small", "SMALL"), (), ["small"], True),
    ],
)
def test_names_are_those_of_datasets_and_of_queries_alike(
    names: tuple[str, ...], datasets: tuple[str, ...], selections: list[str], only: bool
) -> None:
    request = create_request(names, settings=Settings(queries=QUERIES))

    assert request.datasets == datasets
    assert [selection.name for selection in request.selections] == selections
    assert request.only_selections == only


def test_a_misspelled_query_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean small"):
        make_plan(PlanInputs(ExportRequest(("smal",)), ServiceOffer((AZURE,)), Settings(queries=QUERIES)))


@pytest.mark.parametrize(
    "other",
    [
        ExportRequest(),
        ExportRequest(selections=(of_azure(),)),
        ExportRequest(selections=(of_azure(where="Month = '2026-01-01'"),), only_selections=True),
        ExportRequest(selections=(of_azure(name="another"),), only_selections=True),
    ],
)
def test_an_interrupted_run_is_carried_on_only_by_the_same_selection(other: ExportRequest) -> None:
    settings = Settings()
    request = ExportRequest(selections=(of_azure(),), only_selections=True)

    assert request.as_key(settings) != other.as_key(settings)
    assert request.as_key(settings) == replace(request).as_key(settings)
