"""Runs whose pages are looked at: one in which all went well, and one in which much went wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from journeys.kit import export

from bulkpull.catalog import load_catalog
from bulkpull.output.manifest import Manifest
from bulkpull.simulator import Fault, Scenario, Simulator
from bulkpull.simulator.scenario import ColumnDrift

_ROWS = {"*": 200, "AzureUsage": 900, "SeatsSubscriptionsAndRevenue": 600, "Profile": 40}
_OFFERED = tuple(dataset.name for dataset in load_catalog().standard[:12])
_WELL = Scenario(rows=_ROWS, latency_s=(0.1, 0.6))
_ILL = replace(
    _WELL,
    rows={"*": 200, "AzureUsage": 1_200, "SeatsSubscriptionsAndRevenue": 500, "Profile": 40},
    datasets=_OFFERED,
    header_only=frozenset({"MSLearn"}),
    drift={"Profile": ColumnDrift(added=("NewColumn",), removed=("City",))},
    faults=(
        Fault("execution_fails", dataset="OfficeUsage", times=None),
        Fault("execution_fails", dataset="EMSUsage", times=None),
        Fault("link_always_refused", dataset="PowerBIUsage", times=None),
        Fault("link_expires_mid_file", dataset="AzureUsage", args={"after": 3_000}, times=1),
        Fault("throttle", args={"retry_after": 1}, times=1),
    ),
)


def page_of(output: Path, manifest: Manifest) -> Path:
    """Where a run's page stands."""
    return output / "runs" / manifest.run_id / "report.html"


async def a_good_run(output: Path) -> Path:
    """The page of a run that exported all twenty datasets."""
    async with Simulator(_WELL) as simulator:
        return page_of(output, await export(simulator, output))


async def a_bad_run(output: Path) -> Path:
    """The page of a run after `a_good_run` in the same folder: of everything that can go wrong, something."""
    async with Simulator(_ILL) as simulator:
        manifest = await export(simulator, output)
    assert manifest.status == "partial"
    return page_of(output, manifest)
