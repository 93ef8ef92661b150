"""Rows 13 to 27: tokens, roles, listings and what replies look like."""

from __future__ import annotations

from typing import Any

from bulkpull.simulator.fault_matrix.row import BYSTANDERS, FaultRow, fails, here, small, survives
from bulkpull.simulator.faults import Fault
from bulkpull.simulator.scenario import ColumnDrift

_LIST = "GET ScheduledDataset"
# A list of datasets that cannot be read ends the run before it has a plan.
_NO_PLAN: dict[str, Any] = {"exit_codes": (1, 3), "expected": None}


def _refused(row_id: str, title: str, code: int) -> FaultRow:
    """The token endpoint refuses for good: no second try."""
    return _no_access(row_id, title, Fault("token_error", times=None, args={"code": code}))


def _no_access(row_id: str, title: str, *faults: Fault, **more: Any) -> FaultRow:
    return fails(row_id, title, *faults, expected=None, exit_codes=(4,), **more)


ROWS = (
    _refused("13a", "the client secret is wrong", 7000215),
    _refused("13b", "the client secret is expired", 7000222),
    _refused("13c", "the tenant does not exist", 90002),
    _refused("13d", "user name or password is wrong", 50126),
    _no_access("14a", "the token endpoint asks for a second factor", scenario={"mfa": "token"}),
    _refused("14b", "nobody has consented to the application", 65001),
    _no_access("14c", "the API asks for a second factor", scenario={"mfa": "api"}),
    survives("15a", "the token endpoint throttles", Fault("throttle", endpoint="token")),
    survives(
        "15b", "the token endpoint is down for a moment", Fault("http_status", endpoint="token", args={"status": 503})
    ),
    survives("15c", "the connection to the token endpoint is reset", Fault("reset_before_acting", endpoint="token")),
    survives(
        "16", "the token ends while reports are under way", scenario={"token_lifetime_s": 2, "latency_s": {"*": 2.5}}
    ),
    survives("17a", "a good token is refused once", Fault("token_refused", skip=3)),
    _no_access("17b", "every token is refused", Fault("token_refused", times=None)),
    FaultRow(
        id="18",
        title="the role does not cover one dataset",
        scenario=small(
            here("http_status", endpoint="POST ScheduledQueries", times=None, status=403, message="Forbidden")
        ),
        expected="unavailable",
        exit_codes=(0, 3),
    ),
    *(
        survives(row_id, f"expires_in is {title}", Fault("expires_in_form", times=None, args={"value": value}))
        for row_id, title, value in (
            ("21a", "missing", None),
            ("21b", "zero", "0"),
            ("21c", "negative", -5),
            ("21d", "a number", 3599),
        )
    ),
    FaultRow(
        id="22",
        title="the dataset is not on the list",
        scenario=small(datasets=BYSTANDERS),
        expected="unavailable",
        exit_codes=(0,),
    ),
    survives(
        "23a",
        "a column vanished, another appeared",
        scenario={"drift": {"OfficeUsage": ColumnDrift(removed=("PartnerLocationID",), added=("IndustryName",))}},
    ),
    survives(
        "23b",
        "columns are spelled otherwise",
        scenario={"drift": {"OfficeUsage": ColumnDrift(renamed={"MPNId": "PartnerID", "Month": "MONTH"})}},
    ),
    survives("24a", "listings come in pages, linked by relative addresses", scenario={"page_size": 1}),
    survives(
        "24b",
        "listings come in pages, linked by absolute addresses",
        scenario={"page_size": 1, "next_link": "absolute"},
    ),
    fails(
        "24c",
        "the next page is the same page again",
        Fault("next_link_loops", endpoint="ScheduledDataset", times=None),
        **_NO_PLAN,
    ),
    fails(
        "24d",
        "the next page lies on another host",
        Fault("next_link_foreign_host", endpoint="ScheduledDataset", times=None),
        **_NO_PLAN,
    ),
    fails(
        "25a",
        "an error inside HTTP 200",
        here("error_in_ok_envelope", endpoint="POST ScheduledQueries", times=None, message="Invalid query"),
    ),
    survives(
        "25b", "a fault of the service inside HTTP 200", here("error_in_ok_envelope", endpoint="execution", status=503)
    ),
    survives("26a", "keys in PascalCase", scenario={"key_casing": "pascal"}),
    survives("26b", "a reply whose value is null", here("null_value", endpoint="execution")),
    survives("27a", "a web page in place of JSON, once", Fault("html_body", endpoint=_LIST)),
    survives("27b", "JSON that stops in the middle, once", Fault("cut_json", endpoint=_LIST)),
    survives("27c", "an empty body, once", Fault("empty_body", endpoint=_LIST)),
    survives("27d", "JSON in another encoding, once", Fault("wrong_charset", endpoint=_LIST)),
    fails("27e", "a web page in place of JSON, always", Fault("html_body", endpoint=_LIST, times=None), **_NO_PLAN),
)
"""Rows of the sections "Token" and "Catalogue and query", up to 27."""
