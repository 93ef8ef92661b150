"""
The fault matrix as data: each fault and what a client should do about it.

Tests and `bulkpull simulate --fault ID` read the same table. Faults that a service cannot cause (locks, disks,
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
