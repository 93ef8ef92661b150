"""What the end-to-end tests share: an export against a simulator, and a comparison that uses none of our code."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bulkpull.account import Account
from bulkpull.config.settings import Settings
from bulkpull.events import Event, Events, Listener
from bulkpull.model import Window
from bulkpull.output.manifest import Manifest
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.pipeline.steps import fetch_execution as fetch_module
from bulkpull.pipeline.steps.convert import convert_report
from bulkpull.simulator import Simulator

ACCOUNT = Account.of(api_root="https://api.contoso.example/insights", programme="mpn", tenant="contoso.example")
"""Of every export here: a service that is set up anew within a test has another port, and is the same account."""
QUICK: dict[str, Any] = {
    "requests_per_second": 500,
    "request_burst": 100,
    "poll_initial_seconds": 0.05,
    "poll_max_seconds": 0.5,
    "report_timeout_seconds": 60,
}


def watch_conversions(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Whether a child process converts at this moment, for `FakeClock(busy=…)`: no virtual time passes then."""
    running = 0

    async def watched(*arguments: Any, **options: Any) -> Any:
        nonlocal running
        running += 1
        try:
            return await convert_report(*arguments, **options)
        finally:
            running -= 1

    monkeypatch.setattr(fetch_module, "convert_report", watched)
    return lambda: running > 0


class Killed(BaseException):
    """The process is gone: nothing is caught, no manifest is written, and the ledger hears of no ending."""


def killed_at(name: str) -> Listener:
    """A listener that ends the process at the first event of that name."""

    def listen(event: Event) -> None:
        if event.name == name:
            raise Killed

    return listen


async def lose(run: Run) -> None:
    """Carry out a run that ends by `Killed`, alone or among other errors."""
    try:
        await run.export()
    except BaseException as error:
        if not _holds_killed(error):
            raise
    else:
        raise AssertionError("the run came to an end")


def _holds_killed(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_holds_killed(exception) for exception in error.exceptions)
    return isinstance(error, Killed)


def settings_for(simulator: Simulator, output: Path, **changes: Any) -> Settings:
    """Settings that point at the simulator, with as many looks at a report as its time asks for."""
    latency_s = simulator.scenario.latency_s
    longest_s = max(latency_s.values() if isinstance(latency_s, Mapping) else latency_s)
    looks = {
        "poll_initial_seconds": max(QUICK["poll_initial_seconds"], longest_s / 20),
        "poll_max_seconds": max(QUICK["poll_max_seconds"], longest_s / 10),
    }
    return Settings(**(QUICK | looks | {"output": output} | changes)).for_simulator(simulator.environment)


async def export(
    simulator: Simulator,
    output: Path,
    *datasets: str,
    listeners: Sequence[Listener] = (),
    window: Window | None = None,
    clock: Any = None,
    **changes: Any,
) -> Manifest:
    """Export `datasets` (all, without names) from the simulator to `output`."""
    run = Run(
        ExportRequest(datasets, window=window),
        settings_for(simulator, output, **changes),
        Events(*listeners),
        account=ACCOUNT,
        **({"clock": clock} if clock else {}),
    )
    return await run.export()


def rows_of_csv(content: bytes) -> tuple[list[str], list[list[str | None]]]:
    """Header and rows as Python's own csv module reads them; an empty field is `None`."""
    text = content.decode("utf-8-sig")
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    return header, [[field or None for field in row] for row in rows]


def assert_holds_what_the_csv_said(output: Path, manifest: Manifest, dataset: str, content: bytes) -> None:
    """Every cell of the published Parquet, written back, is the CSV's."""
    header, rows = rows_of_csv(content)
    (record,) = (item for item in manifest.datasets if item.dataset == dataset)
    frame = pl.read_parquet([output / file.path for file in record.files], glob=False)
    assert frame.columns == header
    assert frame.height == len(rows) == record.rows
    for number, column in enumerate(record.columns):
        reported = [row[number] for row in rows]
        kept = frame[column.name].to_list()
        assert str(frame.schema[column.name]).startswith(column.type.split("(")[0]), column
        assert len(reported) == len(kept)
        for text, value in set(zip(reported, kept, strict=True)):  # many rows say the same
            assert _same(text, value, column.format), f"{dataset}.{column.name}: {text!r} became {value!r}"


def _same(text: str | None, value: Any, form: str | None) -> bool:
    if text is None or value is None:
        return text is None and value is None
    if isinstance(value, Decimal):
        return Decimal(text) == value
    if isinstance(value, date):  # a datetime is one too
        assert form is not None
        return value.strftime(form) == text
    return str(value) == text
