"""A query is held against what is offered before anything is sent: dataset, names, values, time span."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from offers import CATALOG, LISTED, LIVE, OFFERED, SYSTEM_QUERIES

from bulkpull.catalog import CatalogColumn, ColumnType
from bulkpull.errors import QueryError
from bulkpull.model import OfferedDataset
from bulkpull.query import CheckedQuery, Operator, check_query
from bulkpull.query.value_checks import check_value


def check(text: str, *more: OfferedDataset) -> CheckedQuery:
    return check_query(text, offered=(*more, *OFFERED), catalog=CATALOG)


def refused(text: str, *more: OfferedDataset) -> QueryError:
    with pytest.raises(QueryError) as caught:
        check(text, *more)
    return caught.value


@pytest.mark.behaviour(49, 60)
def test_names_are_sent_as_the_service_spells_them() -> None:
    listed = replace(OFFERED[0], name="CloudProductsResellerPerformance", columns=("ResellerName", "Month"))

    checked = check("select resellername from RESELLERPERFORMANCE order by month asc timespan last_month", listed)

    expected = "SELECT ResellerName FROM CloudProductsResellerPerformance ORDER BY Month ASC TIMESPAN LAST_MONTH"
    assert checked.text == expected
    assert (checked.columns, checked.warnings) == (("ResellerName",), ())


@pytest.mark.behaviour(59)
@pytest.mark.parametrize("text", LISTED)
def test_the_documents_samples_pass(text: str) -> None:
    assert check(text).text.startswith("SELECT")


@pytest.mark.behaviour(76)
def test_of_the_system_queries_only_the_one_that_drifted_is_refused() -> None:
    fates = {}
    for dataset, text in SYSTEM_QUERIES.items():
        try:
            check(text)
        except QueryError as error:
            fates[dataset] = error.reason

    assert list(fates) == ["DynamicsUsage"]
    assert "no column PartnerLocationID: " in fates["DynamicsUsage"]
    assert "did you mean PartnerLocation?" in fates["DynamicsUsage"]


@pytest.mark.behaviour(62, 73)
@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("SELECT MpnId FROM AzureUsge", "AzureUsge", "did you mean AzureUsage?"),
        ("SELECT SubscriptionId, TotlACR FROM AzureUsage", "TotlACR", "did you mean TotalACR?"),
        ("SELECT Month FROM AzureUsage WHERE CustomerMarkt = 'x'", "CustomerMarkt", "did you mean CustomerMarket?"),
        ("SELECT Month FROM AzureUsage ORDER BY Mont", "Mont", "did you mean Month?"),
        ("SELECT Month FROM AzureUsage TIMESPAN LAST_2_MONTHS", "LAST_2_MONTHS", "it offers LAST_MONTH, LAST_3"),
        ("SELECT Month FROM AzureUsage TIMESPAN TODAY", "TODAY", "it offers LAST_MONTH"),
        ("SELECT MpnId FROM Profile TIMESPAN LIFETIME", "LIFETIME", "leave TIMESPAN out"),
        ("SELECT Month, MONTH FROM AzureUsage", "MONTH", "selected twice"),
    ],
)
def test_what_is_not_there_is_pointed_at_with_what_is(text: str, place: str, expected: str) -> None:
    error = refused(text)

    assert text[error.at : error.at + error.length] == place
    assert expected in error.reason


@pytest.mark.behaviour(27)
def test_a_dataset_that_is_known_and_not_listed_is_told_apart_from_a_slip() -> None:
    with pytest.raises(QueryError, match="does not list Profile for this account"):
        check_query("SELECT MpnId FROM Profil", offered=OFFERED[:2], catalog=CATALOG)


@pytest.mark.behaviour(54)
def test_a_documented_column_that_is_not_listed_today_is_told_as_such() -> None:
    error = refused("SELECT Month FROM AzureUsage", OfferedDataset("AzureUsage", ("SubscriptionId",)))

    assert "it is documented" in error.reason


@pytest.mark.behaviour(54, 56)
def test_live_names_with_blanks_and_commas_pass() -> None:
    listed = OfferedDataset("CLASD365Propensity", ("Segment", "D365_AX Customer, No BC/Finance"))

    checked = check("SELECT d365_ax customer, no bc/finance, segment FROM CLASD365Propensity", listed)

    assert checked.columns == ("D365_AX Customer, No BC/Finance", "Segment")


@pytest.mark.behaviour(66, 67)
@pytest.mark.parametrize(
    ("dataset", "condition", "expected"),
    [
        ("CustomersAndTenants", "IsDuplicateRowForPGA = 'False'", "write 0"),
        ("CustomersAndTenants", "IsDuplicateRowForPGA IN ('0', 'Yes')", "write 1"),
        ("AzureUsage", "UsageQuantity > many", "the column holds numbers"),
        ("AzureUsage", "UsageQuantity IN (1, '2', '3,5')", "the column holds numbers"),
        ("AzureUsage", "TotalACR > '20 000'", "the column holds numbers"),
        ("AzureUsage", "Month = 'last'", "the column holds months"),
        ("AzureUsage", "FirstUseDate >= '2026-02-30'", "the column holds dates"),
        ("AzureUsage", "FirstUseDate >= 'yesterday'", "write a day as '2026-01-31'"),
    ],
)
def test_a_value_that_no_row_can_have_is_refused(dataset: str, condition: str, expected: str) -> None:
    """The service would answer 200 and an empty file, and an empty file looks like an answer."""
    text = f"SELECT MpnId FROM {dataset} WHERE {condition}"  # noqa: S608 - not SQL

    error = refused(text)

    assert "matches no row" in error.what
    assert expected in error.reason
    assert text[error.at :].strip("(').0, ") != ""


@pytest.mark.behaviour(67)
def test_a_value_that_leaves_out_no_row_is_refused_as_well() -> None:
    error = refused("SELECT MpnId FROM CustomersAndTenants WHERE IsDuplicateRowForPGA != 'Maybe'")

    assert error.what == "IsDuplicateRowForPGA != 'Maybe' leaves out no row"


@pytest.mark.behaviour(66, 152)
@pytest.mark.parametrize(
    ("condition", "sent"),
    [
        ("MpnId = 0012", "MpnId = '0012'"),
        ("CustomerTpid NOT IN (007, 1)", "CustomerTpid NOT IN ('007', '1')"),
        ("Month = 20261101", "Month = '20261101'"),
        ("AvailableSeats > 10", "AvailableSeats > 10"),
        ("IsDuplicateRowForPGA = 0", "IsDuplicateRowForPGA = 0"),
    ],
)
def test_identifiers_are_sent_as_text_whatever_they_look_like(condition: str, sent: str) -> None:
    text = check(f"SELECT MpnId FROM CustomersAndTenants WHERE {condition}").text  # noqa: S608 - not SQL

    assert text.endswith(f"WHERE {sent}")


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        *[(ColumnType.INT, value) for value in ("0", "-3", "100000", " 7 ")],
        *[(ColumnType.DECIMAL, value) for value in ("20000", "0.5", "-1.25", "1e6")],
        *[(ColumnType.MONTH, value) for value in ("2026-11-01", "2026-11", "202611", "November 2026", "Nov-26")],
        *[
            (ColumnType.DATE, value)
            for value in ("2026-11-23", "20261123", "11/23/2026", "23.11.2026", "2026-11-23T00:00:00Z", "23 Nov 2026")
        ],
        (ColumnType.DATETIME, "2026-11-23 12:30:00"),
        (ColumnType.GUID, "868368DA-957d-4959-8992-3c12dc7e6260"),
        (ColumnType.STRING, "007"),
    ],
)
def test_usual_forms_of_a_value_pass_without_a_word(type_: ColumnType, value: str) -> None:
    assert check_value(value, column=CatalogColumn("x", type_), operator=Operator.EQUAL) is None


@pytest.mark.behaviour(154)
@pytest.mark.parametrize("type_", [ColumnType.BOOL, ColumnType.INT])
def test_a_flag_holds_only_its_documented_words_whatever_its_type(type_: ColumnType) -> None:
    column = CatalogColumn("x", type_, values=("0", "1"))

    doubt = check_value("5", column=column, operator=Operator.EQUAL)

    assert check_value("1", column=column, operator=Operator.EQUAL) is None
    assert doubt is not None
    assert doubt.is_fatal


@pytest.mark.parametrize("type_", ColumnType)
def test_numbers_and_flags_are_compared_as_they_are_and_everything_else_as_text(type_: ColumnType) -> None:
    numbers_and_flags = {ColumnType.INT, ColumnType.DECIMAL, ColumnType.NUMBER, ColumnType.BOOL}

    assert type_.is_text is (type_ not in numbers_and_flags)


def test_what_is_not_known_is_sent_as_it_was_written() -> None:
    offered = OfferedDataset("Other", ("Code",))

    assert check("SELECT Code FROM Other WHERE Code = 007", offered).text == "SELECT Code FROM Other WHERE Code = 007"


@given(st.text(), st.sampled_from(ColumnType), st.sampled_from(Operator))
def test_any_value_is_judged(value: str, type_: ColumnType, operator: Operator) -> None:
    doubt = check_value(value, column=CatalogColumn("x", type_, values=("0", "1")), operator=operator)

    assert doubt is None or doubt.why


@pytest.mark.behaviour(63, 64, 65)
def test_what_changes_the_rows_is_told() -> None:
    text = "SELECT DISTINCT CustomerMarket, TotalACR FROM AzureUsage ORDER BY CustomerMarket LIMIT 5"

    warnings = check(text).warnings

    assert [warning.split(":")[0] for warning in warnings] == [
        "TotalACR",
        "DISTINCT drops rows that are alike, which are legitimate in this data",
        "ORDER BY CustomerMarket sorts descending, because no direction is given",
    ]
    assert check(text).metrics == ("TotalACR",)


@pytest.mark.behaviour(154)
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("IsAutoRenew = 'N'", "write IN ('N', 'No')"),
        ("SubscriptionState = 'Disable'", "did you mean 'Disabled'?"),
        ("CustomerTenantId = '42'", "the column holds GUIDs"),
        ("CustomerName LIKE 'Contoso'", "write '%Contoso%'"),
        ("Month LIKE '2026%'", "LIKE compares text"),
        ("CustomerName = ''", "empty value"),
        ("CustomerName = 'O''Brien'", "sent doubled"),
    ],
)
def test_what_may_match_nothing_is_told_and_sent(condition: str, expected: str) -> None:
    warnings = check(f"SELECT MpnId FROM SeatsSubscriptionsAndRevenue WHERE {condition}").warnings  # noqa: S608 - not SQL

    assert len(warnings) == 1
    assert expected in warnings[0]


def test_a_limit_without_an_order_is_told() -> None:
    assert "which rows come is not defined" in check("SELECT Month FROM AzureUsage LIMIT 5").warnings[0]


@pytest.mark.behaviour(68)
def test_a_metric_with_brackets_is_refused() -> None:
    listed = OfferedDataset("AzureUsage", ("Month",), metrics=("Cost (USD)",))

    assert "because of its brackets" in refused("SELECT Month, Cost (USD) FROM AzureUsage", listed).what


@pytest.mark.parametrize("offered", [*LIVE, *OFFERED], ids=lambda offered: offered.name)
def test_every_column_and_metric_can_be_selected_filtered_and_sorted(offered: OfferedDataset) -> None:
    names = (*offered.columns, *offered.metrics)
    last = offered.columns[-1]
    text = f"SELECT {','.join(names)} FROM {offered.name} WHERE {last} LIKE '%a%' ORDER BY {names[0]} ASC"  # noqa: S608 - not SQL

    checked = check_query(text, offered=(offered,), catalog=CATALOG)

    assert checked.columns == names
    columns = {name.casefold() for name in offered.columns}
    assert checked.metrics == tuple(name for name in offered.metrics if name.casefold() not in columns)
