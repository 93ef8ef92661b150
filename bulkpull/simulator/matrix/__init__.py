"""
The fault matrix as data: what goes wrong, and what a client is to make of it.

Tests and `bulkpull simulate --fault ID` read the same table. Rows that a service cannot bring about (locks, disks,
certificates, signals) are not in it.
"""

from bulkpull.simulator.matrix import access, contents, creating, polling, transfers, weather
from bulkpull.simulator.matrix.row import BYSTANDERS, HIT, QUICK, FaultRow

FAULT_TABLE: tuple[FaultRow, ...] = (
    *access.ROWS,
    *creating.ROWS,
    *polling.ROWS,
    *transfers.ROWS,
    *contents.ROWS,
    *weather.ROWS,
)
"""All rows, in the order of the matrix."""

__all__ = ["BYSTANDERS", "FAULT_TABLE", "HIT", "QUICK", "FaultRow"]
