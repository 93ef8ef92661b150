"""Plan: what is wanted and what is listed decide what is pulled, and the reason is given for what is not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bulkpull.catalog import load_catalog
from bulkpull.config.settings import Settings
from bulkpull.errors import SettingsError
from bulkpull.model import OfferedDataset, Window
from bulkpull.pipeline.plan import Plan, make_plan
from bulkpull.pipeline.plan_names import check_names
from bulkpull.pipeline.request import ExportRequest, PlanInputs, ServiceOffer
from bulkpull.timespans import choose_timespan

RANGES = ("LAST_MONTH", "LAST_3_MONTHS", "LAST_6_MONTHS", "LAST_1_YEAR", "LIFETIME")
CATALOG = load_catalog()


def offered(name: str, *columns: str, ranges: tuple[str, ...] = RANGES) -> OfferedDataset:
    return OfferedDataset(name, columns or ("MpnId", "Month"), date_ranges=ranges)


def plan(
    *names: str,
    on_offer: list[OfferedDataset],
    window: Window | None = None,
    everything: bool = False,
    **settings: Any,
) -> Plan:
    request = ExportRequest(names, window=window, everything=everything)
    return make_plan(PlanInputs(request, ServiceOffer(tuple(on_offer)), Settings(**settings)))


ALL_TWENTY = [offered(dataset.name) for dataset in CATALOG.standard]


def test_without_names_the_twenty_are_pulled() -> None:
    made = plan(on_offer=[*ALL_TWENTY, offered("CLASSurfacePropensity")])

    assert len(made.pulls) == 20
    assert made.unavailable == ()


@pytest.mark.behaviour(57)
def test_everything_includes_what_appeared_without_notice() -> None:
    made = plan(on_offer=[*ALL_TWENTY, offered("CLASSurfacePropensity"), offered("BrandNewDataset")], everything=True)

    assert {"CLASSurfacePropensity", "BrandNewDataset"} < {pull.dataset for pull in made.pulls}
    assert len(made.pulls) == 22


@pytest.mark.behaviour(27, 58)
@pytest.mark.fault(22)
@pytest.mark.parametrize("named", [True, False])
def test_a_dataset_that_is_not_listed_is_unavailable_and_the_nearest_are_told(named: bool) -> None:
    on_offer = [item for item in ALL_TWENTY if item.name != "TeamsUsageWorkload"]

    made = plan(*(["TeamsUsageWorkload"] if named else []), on_offer=on_offer)

    (missing,) = made.unavailable
    assert (missing.dataset, missing.named, missing.failed) == ("TeamsUsageWorkload", named, False)
    assert "TeamsUsage" in missing.reason.split("nearest on offer")[1]


@pytest.mark.behaviour(48, 49, 34)
@pytest.mark.parametrize(
    ("asked", "listed", "dataset"),
    [
        ("azureusage", "AzureUsage", "AzureUsage"),
        (" Profil ", "Profile", "Profile"),
        ("ResellerPerformance", "CloudProductsResellerPerformance", "ResellerPerformance"),
        ("CompetencyPerformanceRequirement", "CompetencyPeformanceRequirement", "CompetencyPeformanceRequirement"),
    ],
)
def test_any_spelling_leads_to_the_canonical_name_and_the_query_uses_the_services(
    asked: str, listed: str, dataset: str
) -> None:
    (pull,) = plan(asked, on_offer=[offered(listed)]).pulls

    assert pull.dataset == dataset
    assert f"FROM {listed}" in pull.query_text


def test_a_misspelled_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(SettingsError, match="did you mean AzureUsage"):
        plan("AzureUsge", on_offer=ALL_TWENTY)
    with pytest.raises(SettingsError, match="did you mean AzureUsage"):
        check_names(["AzureUsge"])


def test_the_same_dataset_under_two_spellings_is_pulled_once() -> None:
    assert len(plan("Profile", "profil", "PROFILE", on_offer=[offered("Profile")]).pulls) == 1


@pytest.mark.behaviour(53)
def test_a_dataset_without_selectable_columns_is_unavailable() -> None:
    made = plan("Profile", on_offer=[OfferedDataset("Profile", ())])

    assert made.pulls == ()
    assert "selectable columns" in made.unavailable[0].reason


@pytest.mark.behaviour(59, 63, 64)
def test_the_query_names_every_column_and_nothing_else() -> None:
    offered = OfferedDataset("OfficeUsage", ("CustomerTpid", "Month"), date_ranges=("LAST_MONTH", "LAST_3_MONTHS"))

    (pull,) = plan("OfficeUsage", on_offer=[offered], timespan="LAST_MONTH").pulls

    assert pull.query_text == "SELECT CustomerTpid, Month FROM OfficeUsage TIMESPAN LAST_MONTH"


@pytest.mark.behaviour(54, 55)
@pytest.mark.fault(23)
def test_the_columns_are_those_listed_today_spelled_as_listed() -> None:
    (pull,) = plan(
        "TeamsUsageWorkload", on_offer=[offered("TeamsUsageWorkload", "AllUpPartiticipants", "NewOne")]
    ).pulls

    assert pull.columns == ("AllUpPartiticipants", "NewOne")


def test_a_column_listed_twice_in_two_cases_is_asked_for_once() -> None:
    (pull,) = plan("Profile", on_offer=[offered("Profile", "MpnId", "City", "MPNID")]).pulls

    assert pull.columns == ("MpnId", "City")


ODD_NAMES = ["a,b", "x FROM y", "q'", "drop;", "Has Azure", "Share (%)", "Rev[USD]", "a\u200bb", "<b>"]


@pytest.mark.behaviour(56)
@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_column_that_a_query_cannot_carry_is_left_out_and_told_and_the_dataset_is_exported(name: str) -> None:
    made = plan("Profile", on_offer=[offered("Profile", "MpnId", name, "City")])

    (pull,) = made.pulls
    assert pull.columns == ("MpnId", "City")
    assert pull.columns_left_out == (name,)
    assert "is left out: its name cannot stand in a query" in pull.notes[0]
    assert made.unavailable == ()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_dataset_without_any_column_that_a_query_can_carry_fails_alone(name: str) -> None:
    made = plan("Profile", "OfficeUsage", on_offer=[offered("Profile", name), offered("OfficeUsage")])

    assert [pull.dataset for pull in made.pulls] == ["OfficeUsage"]
    assert made.unavailable[0].failed


@pytest.mark.parametrize("name", ["../../etc", "a/b", ".", "C:x", "x" * 200])
def test_a_dataset_name_that_is_no_safe_folder_is_never_pulled_and_costs_no_other(name: str) -> None:
    made = plan(on_offer=[offered(name), offered("Profile")], everything=True)

    assert [pull.dataset for pull in made.pulls] == ["Profile"]
    assert "which is left out" in made.notes[0]


@pytest.mark.behaviour(159, 160)
def test_the_query_selects_all_columns_and_then_the_amounts_in_the_listed_order() -> None:
    on_offer = OfferedDataset(
        "AzureUsage",
        ("Month", "MPNId"),
        ("SubscriptionCount", "ACR_USD", "CustomerCount", "NewRevenue"),
        ("LAST_MONTH",),
    )

    (pull,) = plan("AzureUsage", on_offer=[on_offer]).pulls

    assert pull.query_text == "SELECT Month, MPNId, ACR_USD, NewRevenue FROM AzureUsage TIMESPAN LAST_MONTH"
    assert pull.columns == ("Month", "MPNId", "ACR_USD", "NewRevenue")
    assert (pull.metrics, pull.metrics_left_out) == (("ACR_USD", "NewRevenue"), ("SubscriptionCount", "CustomerCount"))
    assert not pull.indivisible


@pytest.mark.behaviour(160)
@pytest.mark.parametrize(
    ("choice", "selected"), [("amounts", ("ACR_USD",)), ("all", ("UserCount", "ACR_USD")), ("none", ())]
)
def test_the_setting_metrics_decides_what_comes_after_the_columns(choice: str, selected: tuple[str, ...]) -> None:
    on_offer = OfferedDataset("AzureUsage", ("Month",), ("UserCount", "ACR_USD"))

    (pull,) = plan("AzureUsage", on_offer=[on_offer], metrics=choice).pulls

    assert pull.metrics == selected
    assert pull.columns == ("Month", *selected)
    assert f" {', '.join(pull.columns)} FROM " in pull.query_text


def test_a_time_span_that_nobody_knows_is_a_slip_and_the_offered_ones_are_told() -> None:
    with pytest.raises(SettingsError, match="no dataset offers the time span LAST_WEEK") as refused:
        plan("Profile", on_offer=ALL_TWENTY, timespan="LAST_WEEK")

    assert all(name in (refused.value.fix or "") for name in RANGES)


@pytest.mark.behaviour(51, 61, 62)
@pytest.mark.parametrize(
    ("ranges", "asked", "chosen", "wider"),
    [
        (RANGES, None, "LAST_6_MONTHS", "LIFETIME"),
        (RANGES, "widest", "LIFETIME", None),
        (RANGES, "LAST_MONTH", "LAST_MONTH", "LIFETIME"),
        (("LAST_MONTH", "LAST_3_MONTHS"), None, "LAST_3_MONTHS", None),
        (("LAST_30_DAYS", "LAST_180_DAYS", "LAST_365_DAYS"), None, "LAST_180_DAYS", "LAST_365_DAYS"),
        (("last_month",), "LAST_MONTH", "last_month", None),
        ((), None, None, None),
        ((), "LAST_MONTH", None, None),
        (("LIFETIME",), None, None, None),
        (("LIFETIME", "LAST_MONTH"), None, "LAST_MONTH", "LIFETIME"),
        (("SOMETHING_NEW",), None, None, None),
    ],
)
def test_timespan(ranges: tuple[str, ...], asked: str | None, chosen: str | None, wider: str | None) -> None:
    assert choose_timespan(ranges, asked=asked, default="LAST_6_MONTHS") == (chosen, wider)


@pytest.mark.behaviour(62)
def test_a_timespan_that_is_not_offered_fails_its_dataset_and_tells_the_choices() -> None:
    made = plan(
        "Profile", "OfficeUsage", on_offer=[offered("Profile", ranges=()), offered("OfficeUsage")], timespan="TODAY"
    )

    assert [pull.dataset for pull in made.pulls] == ["Profile"]
    assert made.unavailable[0].failed
    assert "LAST_3_MONTHS" in made.unavailable[0].reason


@pytest.mark.behaviour(84)
def test_a_time_span_beside_a_window_counts_where_the_window_cannot_and_is_told_where_it_does_not() -> None:
    """It was dropped without a word, also for datasets that were exported whole."""
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    on_offer = [offered("OfficeUsage"), offered("AzureUsage", "MpnId")]  # without its time column

    made = plan(on_offer=on_offer, window=window, timespan="LAST_MONTH")

    whole, cut = sorted(made.pulls, key=lambda pull: pull.dataset)
    assert (whole.window, whole.timespan) == (None, "LAST_MONTH")
    assert "without the window" in whole.notes[-1]
    assert cut.window == window
    assert cut.notes == ("the time span LAST_MONTH is not used, because --since and --until take its place",)


def test_a_window_applies_only_where_the_dataset_has_a_time_axis() -> None:
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))

    made = plan(
        "Profile", "OfficeUsage", on_offer=[offered("Profile", ranges=()), offered("OfficeUsage")], window=window
    )

    assert {pull.dataset: pull.window for pull in made.pulls} == {"OfficeUsage": window}
    (refused,) = made.unavailable
    assert (refused.dataset, refused.named, refused.failed) == ("Profile", True, True)
