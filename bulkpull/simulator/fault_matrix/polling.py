"""Rows 40 to 52: executions."""

from __future__ import annotations

from bulkpull.simulator.fault_matrix.row import fails, here, survives
from bulkpull.simulator.faults import Fault

_SLOW = {"latency_s": {"*": 0.5}}
_ONE = {"reports_created": 1}

ROWS = (
    survives("40a", "404 before the first completion", scenario=_SLOW, **_ONE),
    survives("40b", "Pending before the first completion", scenario={**_SLOW, "pending_without_status": "200"}, **_ONE),
    survives("41a", "several statuses in one call are refused", scenario={**_SLOW, "joined_status": False}, **_ONE),
    survives("41b", "several reports in one call are refused", scenario={**_SLOW, "joined_ids": False}, **_ONE),
    survives("41c", "one id spoils the call for all", here("one_id_spoils_batch", times=None), scenario=_SLOW, **_ONE),
    survives("42a", "the answer lacks an id", here("batch_lacks_ids", times=3), **_ONE),
    survives("42b", "the answer holds a stranger", here("strangers_in_batch", times=3), **_ONE),
    survives("43a", "an unknown status, then the usual ones", here("execution_status_unknown_word", reads=3), **_ONE),
    survives("43b", "cancelled once", here("execution_fails", status="Cancelled"), scenario=_SLOW, reports_created=2),
    survives("44", "paused until resumed", here("execution_paused"), reports_created=2),
    survives("45a", "failed once", here("execution_fails"), scenario=_SLOW, reports_created=2),
    fails(
        "45b",
        "failed always",
        here("execution_fails", times=None),
        scenario=_SLOW,
        reports_created=12,  # two for all, and ten for windows of it
        reason_words=("failed",),
    ),
    survives(
        "46a",
        "the first execution never ends",
        here("execution_stuck"),
        settings={"report_timeout_seconds": 2},
        reports_created=2,
    ),
    fails(
        "46b",
        "no execution ever ends",
        here("execution_stuck", times=None),
        settings={"report_timeout_seconds": 2},
        reports_created=2,
    ),
    survives(
        "47a",
        "polling meets 503",
        Fault("http_status", endpoint="execution", times=4, args={"status": 503}),
        scenario=_SLOW,
        **_ONE,
    ),
    survives(
        "47b",
        "polling meets resets",
        Fault("reset_before_acting", endpoint="execution", times=4),
        scenario=_SLOW,
        **_ONE,
    ),
    survives("48", "Completed, Pending, Completed", here("execution_flips_back"), **_ONE),
    survives("49a", "Completed, and the link comes later", here("completed_without_link", reads=2), **_ONE),
    survives(
        "49b", "Completed with an empty link at first", here("completed_without_link", reads=2, link="empty"), **_ONE
    ),
    fails(
        "49c",
        "Completed and never a link",
        here("completed_without_link", times=None, reads=None),
        settings={"report_timeout_seconds": 3},
        reason_words=("link",),
    ),
    survives("50", "the first answer is an older execution", here("old_execution_first", reads=3), **_ONE),
    survives("51a", "reportGeneratedTime is null", here("generated_time_odd", value=None), **_ONE),
    survives(
        "51b", "reportGeneratedTime has another form", here("generated_time_odd", value="11/23/2026 2:04:05 AM"), **_ONE
    ),
    survives(
        "51c",
        "reportGeneratedTime lies in the future",
        here("generated_time_odd", value="2099-01-01T00:00:00Z"),
        **_ONE,
    ),
    survives("52", "the data are redacted", Fault("redacted", times=None), **_ONE),
)
"""Rows of the section "Polling"."""
