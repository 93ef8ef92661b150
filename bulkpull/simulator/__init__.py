"""
A simulator of the service: the documented API, its token endpoint and its storage host, on loopback sockets.

    async with Simulator(Scenario(rows=10_000)) as simulator:
        print(simulator.api_base_url)

It is at least as strict as the documents, its clock is an argument, and every fault has a name and a description
(`Fault`). It imports nothing from the rest of this package: a shared helper would hide a shared mistake.
"""

from bulkpull.simulator.fault_matrix import FAULT_TABLE, FaultRow
from bulkpull.simulator.faults import STORIES, Fault
from bulkpull.simulator.scenario import ColumnDrift, Scenario, SimulatorClock
from bulkpull.simulator.simulator import Simulator
from bulkpull.simulator.simulator_context import LoggedRequest

__all__ = [
    "FAULT_TABLE",
    "STORIES",
    "ColumnDrift",
    "Fault",
    "FaultRow",
    "LoggedRequest",
    "Scenario",
    "Simulator",
    "SimulatorClock",
]
