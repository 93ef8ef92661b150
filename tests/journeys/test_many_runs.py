"""A process that exports again and again, as a scheduler does: what it keeps does not grow with the runs."""

from __future__ import annotations

import gc
import logging
from collections import Counter
from pathlib import Path

from journeys.kit import export
from support import FakeClock

from bulkpull.output.layout import Layout
from bulkpull.output.ledger import opened_ledger
from bulkpull.output.ledger_facts import ConversionFacts
from bulkpull.simulator import Scenario, Simulator

DATASETS = ("Profile", "AzureUsage")


def kept_objects() -> Counter[str]:
    """How many objects of each of our classes are alive."""
    gc.collect()
    kinds = (type(item) for item in gc.get_objects())
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)
    return Counter(name for name in names if name.startswith("bulkpull.") and ".simulator." not in name)


async def test_no_object_or_log_handler_of_a_run_outlives_it(tmp_path: Path) -> None:
    kept: list[tuple[Counter[str], int]] = []
    async with Simulator(Scenario(rows=3), clock=FakeClock()) as simulator:
        for _ in range(5):
            manifest = await export(simulator, tmp_path, *DATASETS)
            assert manifest.status == "complete"
            del manifest
            kept.append((kept_objects(), len(logging.getLogger().handlers)))

    assert kept[-1] == kept[2], "the first runs load modules and fill caches of a fixed size"


async def test_of_a_conversion_whose_files_are_gone_the_ledger_keeps_the_step_alone(tmp_path: Path) -> None:
    """Most of the ledger was columns of earlier runs, which every run checks when it begins."""
    async with Simulator(Scenario(rows=3), clock=FakeClock()) as simulator:
        for _ in range(2):
            await export(simulator, tmp_path, *DATASETS)

    async with opened_ledger(Layout(tmp_path).private, read_only=True) as ledger:
        runs = await ledger.runs()
        converted = [
            step for run in runs for step in await ledger.steps(run.run_id) if step.step == ConversionFacts.step
        ]
    assert len(converted) == 2 * len(DATASETS)
    assert all(step.facts["execution_id"] for step in converted)
    assert [name for step in converted for name in ("table", "columns") if name in step.facts] == []
