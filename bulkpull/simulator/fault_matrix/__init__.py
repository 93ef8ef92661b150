"""
The fault matrix as data: what goes wrong, and what a client is to make of it.

Tests and `bulkpull simulate --fault ID` read the same table. Rows that a service cannot bring about (locks, disks,
certificates, signals) are not in it.
"""

from bulkpull.simulator.fault_matrix import access, creation, file_contents, polling, transfers, whole_service
from bulkpull.simulator.fault_matrix.row import BYSTANDERS, HIT, QUICK, FaultRow

FAULT_TABLE: tuple[FaultRow, ...] = (
    *access.ROWS,
    *creation.ROWS,
    *polling.ROWS,
    *transfers.ROWS,
    *file_contents.ROWS,
    *whole_service.ROWS,
)
"""All rows, in the order of the matrix."""

__all__ = ["BYSTANDERS", "FAULT_TABLE", "HIT", "QUICK", "FaultRow"]
