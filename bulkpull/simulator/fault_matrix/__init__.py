"""
The fault matrix as data: each fault, and how an export under it should end.

`bulkpull simulate --fault ID` and the tests read the same table. Faults that a service cannot cause
(locks, disks, certificates, signals) are not in it. Rows 100 to 110, the whole service, stand here.
"""

from __future__ import annotations

from bulkpull.simulator.fault_matrix import access_faults, file_faults, report_faults
from bulkpull.simulator.fault_matrix.row import BYSTANDERS, HIT, QUICK, FaultRow, fails, here, small, survives
from bulkpull.simulator.faults import Fault

_REPORT = "POST ScheduledReport"

FAULT_TABLE: tuple[FaultRow, ...] = (
    *access_faults.ROWS,
    *report_faults.ROWS,
    *file_faults.ROWS,
    FaultRow(
        id="100",
        title="our report cannot be deleted after publishing",
        scenario=small(here("http_status", endpoint="DELETE ScheduledReport", times=None, status=503)),
    ),
    FaultRow(
        id="105",
        title="everything is 503, after the token",
        scenario=small(Fault("http_status", times=None, skip=1, args={"status": 503})),
        expected=None,
        exit_codes=(3, 1),
    ),
    survives(
        "106",
        "every third call is throttled",
        Fault("throttle", times=None, args={"every": 3}),
        scenario={"datasets": ("OfficeUsage",)},
    ),
    survives("107a", "Retry-After as a date", here("throttle", endpoint=_REPORT, retry_after_date=1)),
    survives("107b", "Retry-After in the past", here("throttle", endpoint=_REPORT, retry_after_date=-60)),
    survives("107c", "Retry-After below zero", here("throttle", endpoint=_REPORT, retry_after="-5")),
    fails("107d", "Retry-After of thirty years", here("throttle", endpoint=_REPORT, times=None, retry_after=10**9)),
    survives("107e", "Retry-After that says nothing", here("throttle", endpoint=_REPORT, retry_after="soon")),
    survives("108", "every call takes its time", scenario={"api_latency_s": 0.3}),
    survives(
        "109",
        "the network is gone in mid-run",
        Fault("reset_before_acting", times=4, skip=8),
        scenario={"latency_s": {"*": 0.5}},
    ),
    survives("110", "an older and a newer version answer in turn", Fault("alternating_versions", times=None)),
)
"""All rows, in the order of the matrix."""

__all__ = ["BYSTANDERS", "FAULT_TABLE", "HIT", "QUICK", "FaultRow"]
