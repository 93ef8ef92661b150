"""Reads an output folder from Python: `scan` for data, `status` for freshness, `verify` for integrity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bulkpull.arguments import as_tuple, check_text, checked_names, checked_path, wrong_type
from bulkpull.catalog import load_catalog
from bulkpull.errors import DiskTrouble, SettingsError
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.freshness import Freshness, find_freshness
from bulkpull.output.integrity import location_problem
from bulkpull.output.run_history import (
    check_export,
    known_runs,
    nothing_published,
    published_by,
    resolve_run_id,
)
from bulkpull.output.store import OutputStore, open_store
from bulkpull.output.verify import Findings, Verifier
from bulkpull.pipeline.plan_names import check_names
from bulkpull.suggestions import did_you_mean

if TYPE_CHECKING:
    import polars as pl


def scan(output: str | Path, dataset: str, *, runs: str | Iterable[str] | None = None) -> pl.LazyFrame:
    """What `bulkpull.scan` gives; arguments and errors as there."""
    folder = check_folder(output)
    if not isinstance(dataset, str):
        raise wrong_type("dataset", dataset, wanted="a name", fix='name one: bulkpull.scan("data", "AzureUsage")')
    chosen = (runs,) if isinstance(runs, str) else as_tuple(runs, name="runs", of="ids of runs")
    for run in chosen:
        check_text(run, name="runs", wanted="ids of runs", fix='give ids, or "all"')
    store = open_store(folder)
    published = Current.load(store).datasets
    catalog = load_catalog()
    wanted = catalog.canonical(dataset)
    name = {name.casefold(): name for name in published}.get(wanted.casefold(), wanted)
    if name not in published:
        if not published:
            raise SettingsError(nothing_published(folder), fix="wait until its first run has published something")
        others = [] if catalog.find(name) else [dataset.name for dataset in catalog.datasets]
        hint = did_you_mean(name, published) or did_you_mean(name, others)
        there = f"published there: {', '.join(sorted(published))}"
        raise SettingsError(f"no snapshot of {name!r} in {folder.absolute()}", fix=f"{hint} {there}" if hint else there)
    from bulkpull.output.scan import scan_files, scan_runs  # noqa: PLC0415 - it imports polars, half a second

    if runs is not None:
        return scan_runs(store, name, runs=chosen)
    _check_whole(store, name, published[name])
    return scan_files([Path(file) for file in published[name].files], source=store.source)


def current_snapshots(folder: Path) -> dict[str, CurrentSnapshot]:
    """The current snapshot of every published dataset; `DiskTrouble` where `current.json` or a file is damaged."""
    store = open_store(folder)
    published = Current.load(store).datasets
    for name, snapshot in published.items():
        _check_whole(store, name, snapshot)
    return published


def _check_whole(store: OutputStore, name: str, snapshot: CurrentSnapshot) -> None:
    for file in snapshot.files:
        if (what := location_problem(store, file)) is not None:
            raise DiskTrouble(
                f"the snapshot of {name} in {store} is no longer complete",
                why=f"{file}: {what}",
                fix="`bulkpull runs verify` shows what else is damaged, and the next export publishes it again",
            )


def status(output: str | Path, *, datasets: str | Iterable[str] | None = None) -> Sequence[Freshness]:
    """What `bulkpull.status` gives; arguments and errors as there."""
    names = checked_names(datasets)
    found = find_freshness(open_store(check_folder(output)), now=datetime.now(UTC))
    return choose_freshness(names, found) if names else found


def choose_freshness(
    names: Sequence[str], found: Sequence[Freshness], *, queries: Sequence[str] = ()
) -> list[Freshness]:
    """The entries of named datasets and queries, published or not; `SettingsError` for an unknown name (pure)."""
    folded = {query.casefold(): query for query in queries}
    by_name = {freshness.dataset.casefold(): freshness for freshness in found}
    chosen: dict[str, Freshness] = {}
    for name in names:
        known = load_catalog().canonical(name)
        canonical = folded.get(known.casefold(), known)
        freshness = by_name.get(canonical.casefold())
        if freshness is None:
            check_names((name,), queries=[*queries, *by_name])
            freshness = Freshness(canonical)
        chosen[freshness.dataset] = freshness
    return list(chosen.values())


def verify(output: str | Path, *, run: str | None = None, quick: bool = False) -> Findings:
    """What `bulkpull.verify` gives; arguments and errors as there. Runs outside of an event loop."""
    folder = check_folder(output)
    check_text(run, name="run", wanted="the id of a run", fix="give the id as text, or leave it out")
    verifier = Verifier(open_store(folder), quick=quick, ask_ledger=partial(published_by, folder))
    if run is None:
        return verifier.verify_all()
    return verifier.verify_run(resolve_run_id(run, known=known_runs(folder), output=folder))


def check_folder(output: object) -> Path:
    """The output folder that a caller names; raises `SettingsError` where no run has written to it."""
    folder = checked_path(output, fix="name the folder of an export").expanduser()
    check_export(folder)
    return folder
