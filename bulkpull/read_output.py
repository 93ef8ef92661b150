"""Reads an output folder from Python: `scan` for data, `status` for freshness, `verify` for integrity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bulkpull.catalog import load_catalog
from bulkpull.errors import DiskTrouble, SettingsError
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.freshness import Freshness, find_freshness
from bulkpull.output.integrity import location_problem
from bulkpull.output.run_history import NO_EXPORT_FIX, known_runs, missing_export, published_by, resolve_run_id
from bulkpull.output.store import OutputStore, open_store
from bulkpull.output.verify import Findings, Verifier

if TYPE_CHECKING:
    import polars as pl


def scan(output: str | Path, dataset: str, *, runs: str | Iterable[str] | None = None) -> pl.LazyFrame:
    """What `bulkpull.scan` gives; arguments and errors as there."""
    folder = check_folder(output)
    if not isinstance(dataset, str):
        raise SettingsError("`dataset` takes a name", why=f"it is of type {type(dataset).__name__}")
    store = open_store(folder)
    published = Current.load(store).datasets
    known = load_catalog().find(dataset)
    name = known.name if known else {name.casefold(): name for name in published}.get(dataset.casefold(), dataset)
    if name not in published:
        there = ", ".join(sorted(published)) or "nothing yet"
        raise SettingsError(f"no snapshot of {name!r} in {folder.absolute()}", fix=f"published there: {there}")
    if runs is not None:
        from bulkpull.output.scan import scan_runs  # noqa: PLC0415 - it imports polars

        return scan_runs(store, name, runs=[runs] if isinstance(runs, str) else list(runs))
    from bulkpull.output.scan import scan_files  # noqa: PLC0415 - it imports polars, half a second

    _check_whole(store, name, published[name])
    return scan_files([Path(file) for file in published[name].files], source=store.source)


def current_snapshots(folder: Path) -> dict[str, CurrentSnapshot]:
    """
    The current snapshot of every published dataset, all of whose files are there.

    Raises:
        DiskTrouble: `current.json` is damaged, or a file of a snapshot is missing.
    """
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


def status(output: str | Path) -> Sequence[Freshness]:
    """What `bulkpull.status` gives; errors as there."""
    return find_freshness(open_store(check_folder(output)), now=datetime.now(UTC))


def verify(output: str | Path, *, run: str | None = None, quick: bool = False) -> Findings:
    """What `bulkpull.verify` gives; arguments and errors as there. Runs outside of an event loop."""
    folder = check_folder(output)
    verifier = Verifier(open_store(folder), quick=quick, ask_ledger=partial(published_by, folder))
    if run is None:
        return verifier.verify_all()
    return verifier.verify_run(resolve_run_id(run, known=known_runs(folder), output=folder))


def check_folder(output: object) -> Path:
    """
    The output folder that a caller names.

    Raises:
        SettingsError: There is no such folder, nothing was exported into it, it is a file, or no path at all.
    """
    if not isinstance(output, str | Path) or not str(output).strip():
        raise SettingsError("`output` names no folder", fix="name the folder of an export")
    folder = Path(output).expanduser()
    if (missing := missing_export(folder)) is not None:
        raise SettingsError(missing, fix=NO_EXPORT_FIX)
    return folder
