"""The content faults: what a stored file looks like when it is not what was asked for."""

from __future__ import annotations

from bulkpull.simulator.faults import Fault


def spoiled_file(fault: Fault, text: bytes, stored: bytes, *, tsv: bool) -> bytes:
    raise NotImplementedError(fault, text, stored, tsv)
