"""The package from Python: `export` runs a whole export, `scan` reads what was published, `connect` is the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bulkpull.catalog import load_catalog
from bulkpull.clock import SystemClock
from bulkpull.errors import AuthError, DiskTrouble, SettingsError
from bulkpull.events import Events, Listener
from bulkpull.journey.intact import fault_of_place
from bulkpull.journey.request import asked_for
from bulkpull.journey.run import Run
from bulkpull.model import Window
from bulkpull.records.manifest import Current, Manifest
from bulkpull.reporting.azure import AzureCredential
from bulkpull.reporting.client import ReportingClient
from bulkpull.reporting.connect import connected
from bulkpull.selection import Selection, read_selections
from bulkpull.setting_kinds import check_output
from bulkpull.settings import Settings

if TYPE_CHECKING:
    import polars as pl


async def export(
    *,
    output: str | Path | None = None,
    datasets: Iterable[str] = (),
    queries: Iterable[Selection] = (),
    settings: Settings | None = None,
    since: date | None = None,
    until: date | None = None,
    everything: bool = False,
    listeners: Iterable[Listener] = (),
    credential: AzureCredential | None = None,
) -> Manifest:
    """
    Export datasets to Parquet in `output`.

    A dataset that fails harms no other: it stands in the manifest with its reason. The same call again after an
    interruption carries on where it was.

    Args:
        output: The output folder; beats `settings.output`.
        datasets: Names or aliases, in any case, or names of `settings.queries`. With none, and without `queries`, the
            twenty standard ones and all of `settings.queries`.
        queries: Custom exports, each published under its own name, besides `datasets`.
        settings: Without them the environment's are used.
        since, until: Days to export instead of the query's own span: `[since, until)`, UTC; `until` defaults to now.
        everything: All that the service lists, beyond the twenty.
        listeners: Called with each event of the run.
        credential: An asynchronous credential of azure-identity, or anything with its `get_token`, that signs a user
            in; in place of what the settings say about signing in. It is not closed.

    Returns:
        What happened: status, and per dataset rows, files and reason.

    Raises:
        SettingsError: A setting, a dataset's name or a query is wrong; nothing was started.
        AuthError: Credentials are missing or refused, or lack the role, so that nothing could be exported.
        OutputLocked: Another run is writing to `output`.
        DiskTrouble, LedgerError: `output` cannot be used.
    """
    settings = settings or Settings()
    if output is not None:
        settings = settings.model_copy(update={"output": _output_of(output)})
    window = window_of(since, until, now=datetime.now(UTC))
    request = asked_for(
        tuple(datasets),
        settings=settings,
        selections=read_selections(tuple(queries), where="`queries`"),
        window=window,
        open_ended=until is None,
        everything=everything,
    )
    manifest = await Run(request, settings, Events(*listeners), credential=credential).export()
    refused = [record.error for record in manifest.datasets if isinstance(record.error, AuthError)]
    if refused and manifest.status == "failed":
        raise refused[0]
    return manifest


@asynccontextmanager
async def connect(
    settings: Settings | None = None,
    *,
    listeners: Iterable[Listener] = (),
    credential: AzureCredential | None = None,
) -> AsyncIterator[ReportingClient]:
    """
    The service itself, one typed method per operation, closed at the end of the block.

        async with bulkpull.connect() as client:
            reports = await client.get_reports()

    Calls are paced, repeated and checked as those of an export are.

    Args:
        settings, listeners, credential: As for `export`.

    Raises:
        AuthError: A credential is missing.
        SettingsError: A certificate cannot be used, or a library that the settings ask for is not installed.
    """
    async with connected(
        settings=settings or Settings(), events=Events(*listeners), clock=SystemClock(), credential=credential
    ) as connection:
        yield connection.client


def scan(output: str | Path, dataset: str, *, runs: str | Iterable[str] | None = None) -> pl.LazyFrame:
    """
    What is published of a dataset, as a polars LazyFrame (rows × the dataset's columns).

    Args:
        output: An output folder of `export`.
        dataset: Name or alias, or the name of a custom export, in any case.
        runs: Without it, the current snapshot. `"all"`: every snapshot that is still there, the oldest first, whatever
            its columns and types were; or some of them, by the ids of their runs (or their beginnings). Then each row
            tells its run in the column `_run_id`, a column has the narrowest type that holds the values of all, else
            text as in the report's file, and is null where a snapshot has no such column.

    Raises:
        SettingsError: Nothing of that name is published there, or not by that run; the message names what is.
        DiskTrouble: A file of the snapshot is missing, or is none of the folder's own.
    """
    folder = Path(output)
    published = Current.load(folder).datasets
    known = load_catalog().find(dataset)
    name = known.name if known else {each.casefold(): each for each in published}.get(dataset.casefold(), dataset)
    if name not in published:
        there = ", ".join(sorted(published)) or "nothing yet"
        raise SettingsError(f"no snapshot of {name!r} in {folder}", fix=f"published there: {there}")
    if runs is not None:
        from bulkpull.journey.retained import scan_runs  # noqa: PLC0415 - it imports polars

        return scan_runs(folder, name, runs=[runs] if isinstance(runs, str) else list(runs))
    import polars as pl  # noqa: PLC0415 - half a second that `export` does not need

    for file in published[name].files:
        if (what := fault_of_place(folder, file)) is not None:
            raise DiskTrouble(
                f"the snapshot of {name} in {folder} is not whole any more",
                why=f"{file}: {what}",
                fix="`bulkpull runs verify` tells what else is damaged, and the next export publishes it anew",
            )
    # glob=False: brackets in a path are a pattern to polars.
    return pl.scan_parquet([folder / file for file in published[name].files], glob=False)


FIRST_YEAR = 2000
"""No data of the service is older."""
_AHEAD = timedelta(days=366)


def _output_of(given: str | Path) -> Path:
    if not str(given).strip():
        raise SettingsError("`output` names no folder", fix='name it, or leave it out: output="bulkpull-data"')
    try:
        return check_output(Path(given))
    except ValueError as refused:
        raise SettingsError("`output` is not valid", why=str(refused)) from None


def window_of(since: date | None, until: date | None, *, now: datetime) -> Window | None:
    """
    The days `[since, until)` as a window, UTC; `None` for neither.

    Raises:
        SettingsError: `until` without `since`, or not after it; or a day on which there can be no data.
    """
    if since is None and until is None:
        return None
    if since is None:
        raise SettingsError("`until` was given without `since`", fix="say where the window begins: --since 2026-01-01")
    today = now.astimezone(UTC).date()
    if since.year < FIRST_YEAR:
        raise SettingsError(
            f"`since` is {since.isoformat()}, and the service has no data from before {FIRST_YEAR}",
            fix=f"write the year with four digits: --since {today.year:04}-01-01",
        )
    if since > today:
        raise SettingsError(
            f"`since` is {since.isoformat()}, which is in the future",
            fix=f"give a day up to today, {today.isoformat()}",
        )
    if until is not None and until > today + _AHEAD:
        raise SettingsError(
            f"`until` is {until.isoformat()}, far in the future",
            fix=f"leave `until` out for all up to now, or give a day up to {(today + _AHEAD).isoformat()}",
        )
    start = datetime.combine(since, time(), UTC)
    end = datetime.combine(until, time(), UTC) if until else now.astimezone(UTC).replace(microsecond=0)
    if end <= start:
        raise SettingsError(
            f"the window ends ({end:%Y-%m-%d}) before it begins ({start:%Y-%m-%d})",
            fix="give the earlier day by --since and the later one by --until",
        )
    return Window(start, end)
