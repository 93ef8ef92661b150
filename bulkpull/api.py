"""
The Python API; `bulkpull.sync` has the same functions without `await`.

The modules behind it take up to two seconds to load: in a thread, so that an event loop is not blocked (case L12).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bulkpull.api_wording import python_words
from bulkpull.errors import SettingsError
from bulkpull.events import Listener

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from bulkpull.auth.azure_identity import AzureCredential
    from bulkpull.config.settings import Settings
    from bulkpull.custom_query import Selection
    from bulkpull.insights.client import InsightsClient
    from bulkpull.output.freshness import Freshness
    from bulkpull.output.manifest import Manifest
    from bulkpull.output.verify import Findings


async def export(
    *,
    output: str | Path | None = None,
    datasets: str | Iterable[str] | None = (),
    queries: Selection | Iterable[Selection] | None = (),
    settings: Settings | None = None,
    since: date | str | None = None,
    until: date | str | None = None,
    timespan: str | None = None,
    metrics: Literal["amounts", "all", "none"] | None = None,
    everything: bool = False,
    submit_only: bool = False,
    keep_raw: bool | None = None,
    reset_types: bool = False,
    listeners: Listener | Iterable[Listener] | None = (),
    credential: AzureCredential | None = None,
) -> Manifest:
    """
    Export datasets to Parquet in `output`.

    A dataset that fails harms no other: it stands in the manifest with its reason. The same call again after an
    interruption carries on where it was.

    Args:
        output: The output folder; beats `settings.output`.
        datasets: Names or aliases, in any case, or names of `settings.queries`; one may stand without a list. With
            none, and without `queries`, the twenty standard ones and all of `settings.queries`.
        queries: Custom exports, each published under its own name, besides `datasets`.
        settings: Without them those of the environment and of `./bulkpull.toml`, as a command has them.
        since: First day to export, UTC, instead of the query's own span: a date, a datetime that is midnight UTC, or an
            ISO 8601 text.
        until: Day after the last one; default: now.
        timespan: The name of a time span, such as `"LAST_MONTH"`, or `"widest"`; beats `settings.timespan`.
        metrics: Metrics after the columns; beats `settings.metrics`.
        everything: All that the service lists, beyond the twenty.
        submit_only: Create the reports and return; `resume` collects them later.
        keep_raw: Keep the downloaded bytes beside the Parquet; beats `settings.keep_raw`.
        reset_types: Let the columns of `datasets` take their narrowest types again, whatever earlier snapshots had.
        listeners: Plain functions, called with each `Event` of the run. One that raises hears no more, and its
            exception is raised when the run has ended.
        credential: An asynchronous credential of azure-identity, or anything with its `get_token`, that signs a user
            in; in place of what the settings say about signing in. It is not closed.

    Raises:
        SettingsError: An argument, a setting, a dataset's name or a query is wrong; nothing was started. Or the event
            loop is not asyncio's.
        AuthError: Credentials are missing or refused, or lack the role, so that nothing could be exported.
        OutputLocked: Another run is writing to `output`.
        DiskTrouble, LedgerError: `output` cannot be used.
    """
    return await _run(
        "run_export",
        output=output,
        datasets=datasets,
        queries=queries,
        settings=settings,
        since=since,
        until=until,
        timespan=timespan,
        metrics=metrics,
        everything=everything,
        submit_only=submit_only,
        keep_raw=keep_raw,
        reset_types=reset_types,
        listeners=listeners,
        credential=credential,
    )


async def nightly(
    *,
    output: str | Path | None = None,
    datasets: str | Iterable[str] | None = (),
    settings: Settings | None = None,
    since: date | str | None = None,
    until: date | str | None = None,
    timespan: str | None = None,
    metrics: Literal["amounts", "all", "none"] | None = None,
    everything: bool = False,
    submit_only: bool = False,
    keep_raw: bool | None = None,
    listeners: Listener | Iterable[Listener] | None = (),
    credential: AzureCredential | None = None,
) -> Manifest:
    """
    Export what is new since the last run, with scheduled reports on the service, as `bulkpull nightly` does.

    Arguments, result and errors are those of `export`. What is not new is `skipped` in the manifest. With `since`,
    one-off reports for those days are created instead.
    """
    return await _run(
        "run_export",
        output=output,
        datasets=datasets,
        settings=settings,
        since=since,
        until=until,
        timespan=timespan,
        metrics=metrics,
        everything=everything,
        submit_only=submit_only,
        keep_raw=keep_raw,
        listeners=listeners,
        credential=credential,
        nightly=True,
    )


async def resume(
    run: str | None = None,
    *,
    output: str | Path | None = None,
    settings: Settings | None = None,
    listeners: Listener | Iterable[Listener] | None = (),
    credential: AzureCredential | None = None,
) -> Manifest:
    """
    Resume a run that was interrupted, or collect one that only submitted its reports, as `bulkpull runs resume` does.

    `output`, `settings`, `listeners` and `credential` are those of `export`.

    Args:
        run: The id of a run or its beginning; without it the newest unfinished one, else the newest. Of a run that
            ended with losses, what it lost is tried again; of a complete one the manifest is returned.

    Raises:
        SettingsError: There is no such run, or it was made against another service.
        AuthError, OutputLocked, DiskTrouble, LedgerError: As for `export`.
    """
    return await _run(
        "resume_run", run=run, output=output, settings=settings, listeners=listeners, credential=credential
    )


@asynccontextmanager
async def connect(
    settings: Settings | None = None,
    *,
    listeners: Listener | Iterable[Listener] | None = (),
    credential: AzureCredential | None = None,
) -> AsyncIterator[InsightsClient]:
    """
    The service itself, one typed method per operation, closed at the end of the block.

        async with bulkpull.connect() as client:
            reports = await client.get_reports()

    Arguments are those of `export`; calls are paced, repeated and checked as those of an export are. For SQL over an
    output folder see `connect_sql`.

    Raises:
        AuthError: A credential is missing.
        SettingsError: An argument is wrong, a certificate cannot be used, or a library that the settings ask for is not
            installed.
    """
    runner = await _load("bulkpull.api_runs")
    with python_words():
        async with runner.connection(settings, listeners=listeners, credential=credential) as client:
            yield client


async def status(output: str | Path, *, datasets: str | Iterable[str] | None = None) -> Sequence[Freshness]:
    """
    How old the published data are and which are late: one entry per dataset that is published or was last asked for.

    While the first run of a folder is under way, there are none.

    Args:
        output: An output folder of `export`. It is only read.
        datasets: Names or aliases, in any case, or names of custom exports: an entry for each of them.

    Raises:
        SettingsError: `output` is no folder, is not there, or no run has written to it; or a name is unknown.
        DiskTrouble: `current.json` is damaged.
    """
    found: Sequence[Freshness] = await _read("status", output, datasets=datasets)
    return found


async def verify(output: str | Path, *, run: str | None = None, quick: bool = False) -> Findings:
    """
    Hold published files against what was written down of them: sizes, hashes, rows, pointer and links.

    Args:
        output: An output folder of `export`. It is only read.
        run: The snapshots of one run, by its id or its beginning; without it all that are there.
        quick: Look at names and sizes only.

    Returns:
        What was looked at; `troubles` is empty where all is well, and something is published.

    Raises:
        SettingsError: `output` is no folder, is not there, or no run has written to it; or there is no such run.
    """
    found: Findings = await _read("verify", output, run=run, quick=quick)
    return found


def scan(output: str | Path, dataset: str, *, runs: str | Iterable[str] | None = None) -> pl.LazyFrame:
    """
    What is published of a dataset, as a polars LazyFrame (rows × the dataset's columns).

    Args:
        dataset: Name or alias, or the name of a custom export, in any case.
        runs: Without it, the current snapshot. `"all"`: every snapshot of this folder's account that is still there,
            the oldest first, whatever its columns and types were; or some of them, by the ids of their runs (or their
            beginnings). Then each row tells its run in the column `_run_id`, a column has the narrowest type that holds
            the values of all, else text as in the report's file, and is null where a snapshot has no such column.

    Raises:
        SettingsError: `output` is no folder, or no run has written to it, or nothing of that name is published there,
            or not by that run; the message names what is.
        DiskTrouble: A file of the snapshot is missing, or is none of the folder's own.
    """
    with python_words():
        frame: pl.LazyFrame = import_module("bulkpull.read_output").scan(output, dataset, runs=runs)
    return frame


async def scan_async(output: str | Path, dataset: str, *, runs: str | Iterable[str] | None = None) -> pl.LazyFrame:
    """As `scan`, in a thread: the first call loads polars, which would hold an event loop for half a second."""
    return await asyncio.to_thread(scan, output, dataset, runs=runs)


def connect_sql(output: str | Path) -> duckdb.DuckDBPyConnection:
    """
    A DuckDB connection in memory, in which every published dataset is a view by its name.

        bulkpull.connect_sql("data").sql('SELECT count(*) FROM "AzureUsage"')

    The views read the snapshots that are current now; connect again to see later ones. The output folder is only read.

    Raises:
        SettingsError: `output` is no folder, nothing is published in it, or the extra `sql` is not installed.
        DiskTrouble: `current.json` is damaged, or a file of a snapshot is missing.
    """
    with python_words():
        connection: duckdb.DuckDBPyConnection = import_module("bulkpull.sql").connect_sql(output)
    return connection


async def _run(function: str, **arguments: Any) -> Manifest:
    """Call a function of `bulkpull.api_runs`, which is loaded first."""
    runner = await _load("bulkpull.api_runs")
    with python_words():
        manifest: Manifest = await getattr(runner, function)(**arguments)
    return manifest


async def _read(function: str, output: str | Path, **arguments: Any) -> Any:
    """Call a function of `bulkpull.read_output` in a thread."""
    reader = await _load("bulkpull.read_output")
    with python_words():
        return await asyncio.to_thread(getattr(reader, function), output, **arguments)


async def _load(name: str) -> Any:
    """A module of this package, loaded in a thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise SettingsError(
            "the event loop is not asyncio's",
            why="bulkpull calls the service by aiohttp, which runs on asyncio alone",
            fix="from trio, call it in a thread: await trio.to_thread.run_sync(lambda: bulkpull.sync.export(…))",
        ) from None
    return await asyncio.to_thread(import_module, name)
