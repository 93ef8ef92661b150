"""Rows 100 to 110: the whole service."""

from __future__ import annotations

from bulkpull.simulator.fault_matrix.row import FaultRow, fails, here, small, survives
from bulkpull.simulator.faults import Fault

_REPORT = "POST ScheduledReport"

ROWS = (
    FaultRow(
        id="100",
        title="our report cannot be deleted after publishing",
        scenario=small(here("http_status", endpoint="DELETE ScheduledReport", times=None, status=503)),
        reports_left=1,
        reports_created=1,
    ),
    FaultRow(
        id="105",
        title="everything is 503, after the token",
        scenario=small(Fault("http_status", times=None, skip=1, args={"status": 503})),
        expected=None,
        exit_codes=(3, 1),
        spares_others=False,
        reports_created=0,
        max_calls=60,
    ),
    survives(
        "106",
        "every third call is throttled",
        Fault("throttle", times=None, args={"every": 3}),
        scenario={"datasets": ("OfficeUsage",)},
        max_calls=40,
    ),
    survives(
        "107a", "Retry-After as a date", here("throttle", endpoint=_REPORT, retry_after_date=1), reports_created=1
    ),
    survives(
        "107b", "Retry-After in the past", here("throttle", endpoint=_REPORT, retry_after_date=-60), reports_created=1
    ),
    survives("107c", "Retry-After below zero", here("throttle", endpoint=_REPORT, retry_after="-5"), reports_created=1),
    fails(
        "107d",
        "Retry-After of thirty years",
        here("throttle", endpoint=_REPORT, times=None, retry_after=10**9),
        spares_others=False,
        reports_created=0,
    ),
    survives(
        "107e",
        "Retry-After that says nothing",
        here("throttle", endpoint=_REPORT, retry_after="soon"),
        reports_created=1,
    ),
    survives("108", "every call takes its time", scenario={"api_latency_s": 0.3}, reports_created=1, queries_created=1),
    survives(
        "109",
        "the network is gone in mid-run",
        Fault("reset_before_acting", times=4, skip=8),
        scenario={"latency_s": {"*": 0.5}},
        reports_created=1,
    ),
    survives(
        "110",
        "an older and a newer version answer in turn",
        Fault("alternating_versions", times=None),
        reports_created=1,
    ),
)
"""Row 100 and the section "Whole service"."""
