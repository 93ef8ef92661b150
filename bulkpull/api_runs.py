"""The implementation of the Python API, which `bulkpull.api` loads when first needed, outside of the event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from functools import partial, wraps
from inspect import getmembers, iscoroutinefunction
from pathlib import Path
from typing import Any

import anyio.to_thread

from bulkpull.api_wording import python_words
from bulkpull.arguments import as_tuple, check_text, checked_names, checked_path, wrong_type
from bulkpull.auth.azure_identity import AzureCredential
from bulkpull.clock import SystemClock
from bulkpull.config.settings import Settings
from bulkpull.custom_query import Selection, read_selections
from bulkpull.errors import AuthError, SettingsError
from bulkpull.events import Events, Listener
from bulkpull.insights.client import InsightsClient
from bulkpull.insights.connect import connected
from bulkpull.metric_selection import MetricsChoice
from bulkpull.output.ledger import Ledger
from bulkpull.output.manifest import Manifest
from bulkpull.output.run_history import ask_ledger, load_manifest
from bulkpull.output.store import open_store
from bulkpull.pipeline.open_run import choose_run, resumed_request
from bulkpull.pipeline.request import create_request
from bulkpull.pipeline.run import Run
from bulkpull.window_bounds import window_of


async def run_export(
    *,
    output: str | Path | None,
    datasets: str | Iterable[str] | None,
    settings: Settings | None,
    since: date | str | None,
    until: date | str | None,
    timespan: str | None,
    metrics: MetricsChoice | None,
    everything: bool,
    submit_only: bool,
    keep_raw: bool | None,
    listeners: Listener | Iterable[Listener] | None,
    credential: AzureCredential | None,
    queries: Selection | Iterable[Selection] | None = (),
    nightly: bool = False,
    reset_types: bool = False,
) -> Manifest:
    """Carry out `bulkpull.export` or `bulkpull.nightly`; arguments and errors as there."""
    names = checked_names(datasets)
    events = Events(*checked_listeners(listeners))
    replaced = {"timespan": timespan, "metrics": metrics, "keep_raw": keep_raw}
    settings = await anyio.to_thread.run_sync(partial(settings_for, output, settings, **replaced))
    if reset_types and not names:
        raise SettingsError(
            "`reset_types` was given, and `datasets` names none", fix="name the datasets whose columns became text"
        )
    chosen = (queries,) if isinstance(queries, Selection) else as_tuple(queries, name="queries", of="Selection objects")
    request = create_request(
        names,
        settings=settings,
        selections=read_selections(chosen),
        window=window_of(since, until, now=datetime.now(UTC)),
        open_ended=until is None,
        everything=everything,
        nightly=nightly,
        submit_only=submit_only,
        reset_types=reset_types,
    )
    return await _execute(Run(request, settings, events, credential=credential))


async def resume_run(
    run: str | None,
    *,
    output: str | Path | None,
    settings: Settings | None,
    listeners: Listener | Iterable[Listener] | None,
    credential: AzureCredential | None,
) -> Manifest:
    """Carry out `bulkpull.resume`; arguments and errors as there."""
    check_text(run, name="run", wanted="the id of a run", fix="give the id as text, or leave it out")
    settings = await anyio.to_thread.run_sync(settings_for, output, settings)
    events = Events(*checked_listeners(listeners))
    runs = await anyio.to_thread.run_sync(ask_ledger, settings.output, Ledger.runs) or []
    entry = choose_run(run, runs=runs, output=settings.output)
    if entry.status == "complete":
        manifest = await anyio.to_thread.run_sync(load_manifest, open_store(settings.output), entry.run_id)
        if manifest is None:
            raise SettingsError(f"run {entry.run_id} is complete, and its manifest is gone")
        return manifest
    request, settings = resumed_request(entry, settings=settings)
    return await _execute(Run(request, settings, events, credential=credential, resume=entry.run_id))


class PythonClient(InsightsClient):
    """The client that a user holds: its errors name arguments, also where they are caught within the block."""


def _in_python_words(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(method)
    async def call(*args: Any, **kwargs: Any) -> Any:
        with python_words():
            return await method(*args, **kwargs)

    return call


for _name, _method in getmembers(InsightsClient, iscoroutinefunction):
    if not _name.startswith("_"):
        setattr(PythonClient, _name, _in_python_words(_method))


@asynccontextmanager
async def connection(
    settings: Settings | None,
    *,
    listeners: Listener | Iterable[Listener] | None,
    credential: AzureCredential | None,
) -> AsyncIterator[InsightsClient]:
    """What `bulkpull.connect` gives; arguments and errors as there."""
    events = Events(*checked_listeners(listeners))
    settings = await anyio.to_thread.run_sync(settings_for, None, settings)
    async with connected(
        settings=settings, events=events, clock=SystemClock(), credential=credential, client_type=PythonClient
    ) as connection:
        yield connection.client
    events.raise_faults()


async def _execute(run: Run) -> Manifest:
    manifest = await run.export()
    run.events.raise_faults()
    refused = [record.error for record in manifest.datasets if isinstance(record.error, AuthError)]
    if refused and manifest.status == "failed":
        raise refused[0]
    return manifest


def settings_for(output: str | Path | None, settings: Settings | None, **replaced: Any) -> Settings:
    """The settings given, else those of the environment and of `./bulkpull.toml`, with what the call replaces."""
    fix = 'name it, or leave it out: output="bulkpull-data"'
    replaced = {"output": None if output is None else checked_path(output, fix=fix), **replaced}
    if settings is None:
        return Settings.load_for_command(**replaced)
    if not isinstance(settings, Settings):
        raise wrong_type(
            "settings", settings, wanted="Settings", fix="build them by name: settings=bulkpull.Settings(tenant_id=…)"
        )
    return settings.replacing(**replaced)


def checked_listeners(given: Listener | Iterable[Listener] | None) -> tuple[Listener, ...]:
    """The listeners of a call; one alone may stand without a list."""
    listeners = (given,) if callable(given) else as_tuple(given, name="listeners", of="functions")
    for listener in listeners:
        if not callable(listener):
            fix = "give functions that take one bulkpull.Event"
            raise wrong_type("listeners", listener, wanted="functions", fix=fix)
        if iscoroutinefunction(listener) or iscoroutinefunction(getattr(listener, "__call__", None)):  # noqa: B004 - its kind is asked
            raise SettingsError(
                "`listeners` has a coroutine function",
                why="listeners are called without waiting, so nobody would await it",
                fix="give a plain function; let it put the event into a queue that a task of yours reads",
            )
    return listeners
