"""Which metrics a full export selects: the amounts that no listed column holds, and neither counts nor totals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpull.catalog import CatalogDataset, MetricKind, load_catalog
from bulkpull.metric_selection import kind_of_metric, select_metrics
from bulkpull.model import OfferedDataset

CATALOG = load_catalog()
# As the live list had them in February 2023 (behaviour 159).
LIVE_AMOUNTS = {
    "CustomersAndTenants": (
        "AvailableSeats", "BilledRevenueUSD", "AzureConsumedRevenueUSD", "CPORRevenue", "CPORPaidSeats",
        "CPORActiveUsers", "AssignedSeats",
    ),
    "SeatsSubscriptionsAndRevenue": (
        "AvailableSeatsEOP", "AvailableSeats", "TotalAssignedSeats", "BilledRevenueUSD", "AzureConsumedRevenueUSD",
        "CPORRevenue", "CPORPaidSeats", "CPORActiveUsers",
    ),
    "AzureUsage": ("ACR_USD",),
    "DynamicsUsage": ("TotalSoldSeats",),
    "ResellerPerformance": ("TotalRevenue",),
    "TeamsUsageMeetingsAndCalls": ("TotalNumberOfMeetings",),
    "CSPRevenueDetails": ("BilledRevenueUSD",),
}  # fmt: skip


def listed(dataset: CatalogDataset) -> OfferedDataset:
    """The dataset as the live list of 2023 has it."""
    columns = tuple(column.name for column in dataset.columns)
    return OfferedDataset(dataset.name, columns, tuple(metric.name for metric in dataset.metrics), dataset.date_ranges)


@pytest.mark.behaviour(159, 162)
@pytest.mark.parametrize("dataset", CATALOG.datasets, ids=lambda dataset: dataset.name)
def test_the_amounts_of_the_live_list_are_selected_in_its_order(dataset: CatalogDataset) -> None:
    choice = select_metrics(listed(dataset), known=dataset, choice="amounts")

    assert choice.selected == LIVE_AMOUNTS.get(dataset.name, ())
    assert sorted((*choice.selected, *choice.left_out)) == sorted(metric.name for metric in dataset.metrics)


@pytest.mark.behaviour(162)
@pytest.mark.parametrize("dataset", CATALOG.datasets, ids=lambda dataset: dataset.name)
def test_the_rule_for_unknown_metrics_finds_the_same_amounts(dataset: CatalogDataset) -> None:
    assert select_metrics(listed(dataset), known=None, choice="amounts").selected == LIVE_AMOUNTS.get(dataset.name, ())


@pytest.mark.behaviour(52, 160)
@pytest.mark.parametrize("dataset", CATALOG.datasets, ids=lambda dataset: dataset.name)
def test_all_are_all_and_none_are_none(dataset: CatalogDataset) -> None:
    names = tuple(metric.name for metric in dataset.metrics)

    assert select_metrics(listed(dataset), known=dataset, choice="all").selected == names
    none = select_metrics(listed(dataset), known=dataset, choice="none")
    assert (none.selected, none.left_out) == ((), names)


@pytest.mark.behaviour(162)
@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("NewRevenue", MetricKind.AMOUNT),
        ("TotalNewRevenue", MetricKind.AMOUNT),
        ("WidgetCount", MetricKind.COUNT),
        ("widgetcount", MetricKind.COUNT),
        ("TotalUnits", MetricKind.TOTAL),
        ("TOTALunits", MetricKind.TOTAL),
        ("units", MetricKind.TOTAL),
        ("TotalOfUnits", MetricKind.AMOUNT),
    ],
)
def test_a_metric_that_the_catalog_does_not_know_is_judged_by_its_name(metric: str, kind: MetricKind) -> None:
    offered = OfferedDataset("BrandNew", ("Month", "Units"), (metric,))

    assert kind_of_metric(metric, offered=offered, known=None) is kind


@pytest.mark.behaviour(162)
def test_a_total_whose_column_is_listed_no_more_is_exported_because_nothing_else_holds_it() -> None:
    office = CATALOG.find("OfficeUsage")
    assert office is not None
    offered = listed(office)
    fewer = OfferedDataset(
        offered.name, tuple(name for name in offered.columns if name != "PaidAvailableUnits"), offered.metrics
    )

    assert select_metrics(offered, known=office, choice="amounts").selected == ()
    assert select_metrics(fewer, known=office, choice="amounts").selected == ("TotalPaidAvailableUnits",)


@pytest.mark.behaviour(60)
def test_what_is_listed_as_a_column_and_as_a_metric_is_selected_once() -> None:
    offered = OfferedDataset("CustomersAndTenants", ("Month", "AvailableSeats"), ("availableseats", "BilledRevenueUSD"))

    choice = select_metrics(offered, known=CATALOG.find("CustomersAndTenants"), choice="all")

    assert (choice.selected, choice.left_out) == (("BilledRevenueUSD",), ())


@pytest.mark.behaviour(68)
@pytest.mark.parametrize("odd", ["Revenue (USD)", "Revenue USD", "Revenue,USD", "Rev[USD]", "Rev\u200bUSD", "Rev'USD"])
@pytest.mark.parametrize("choice", ["amounts", "all"])
def test_a_metric_whose_name_no_query_can_carry_is_left_out_and_told(odd: str, choice: str) -> None:
    offered = OfferedDataset("BrandNew", ("Month",), (odd, "Seats"))

    chosen = select_metrics(offered, known=None, choice=choice)  # type: ignore[arg-type]

    assert (chosen.selected, chosen.left_out, chosen.not_queryable) == (("Seats",), (odd,), (odd,))


NAMES = st.lists(st.text("ABab_ (", min_size=1, max_size=4), max_size=6)


@given(columns=NAMES, metrics=NAMES, choice=st.sampled_from(["amounts", "all", "none"]))
def test_every_listed_metric_is_selected_left_out_or_a_column(
    columns: list[str], metrics: list[str], choice: str
) -> None:
    offered = OfferedDataset("X", tuple(columns), tuple(metrics))

    chosen = select_metrics(offered, known=None, choice=choice)  # type: ignore[arg-type]

    reported = [name.casefold() for name in (*chosen.selected, *chosen.left_out)]
    assert len(reported) == len(set(reported))
    assert set(reported) == {name.casefold() for name in metrics} - {name.casefold() for name in columns}
    assert set(chosen.not_queryable) <= set(chosen.left_out)
