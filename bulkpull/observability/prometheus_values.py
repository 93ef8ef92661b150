"""The metrics file: replaced whole, each minute while a run lasts and at its end; values of earlier runs stay in it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from bulkpull.errors import DiskTrouble
from bulkpull.observability.progress import Progress
from bulkpull.observability.prometheus import EarlierMetrics, read_metrics, render_metrics, render_progress
from bulkpull.output.atomic_files import write_atomically
from bulkpull.output.current import Current
from bulkpull.output.manifest import Manifest
from bulkpull.output.run_history import load_manifest, run_start_time
from bulkpull.output.store import OutputStore, open_store


def write_numbers(path: Path, manifest: Manifest, *, output: Path) -> None:
    """
    Replace `path` by the metrics of a run that has ended.

    When datasets were last up to date comes from the file as it was, else from `current.json` and the manifests that
    it names: a failed run, or one of a few datasets, does not remove it.
    """
    _replace(path, render_metrics(manifest, output=str(output), remembered=_remember(path, output)))


def write_progress(path: Path, progress: Progress, *, output: Path, now: datetime, is_running: bool) -> None:
    """
    Replace `path` by its values of earlier runs and the progress of the present run.

    Args:
        is_running: False where the run has ended without a manifest.
    """
    before = ""
    with suppress(OSError, ValueError):
        before = path.read_text(encoding="utf-8")
    _replace(path, render_progress(before, progress, output=str(output), now=now, is_running=is_running))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
    path.chmod(0o644)  # the collector runs as another user


def _remember(path: Path, folder: Path) -> EarlierMetrics:
    before = EarlierMetrics()
    with suppress(OSError, ValueError):
        before = read_metrics(path.read_text(encoding="utf-8"), output=str(folder))
    current = Current()
    with suppress(OSError, DiskTrouble):
        current = Current.load(open_store(folder))
    success = {name: _made_at(open_store(folder), snapshot.run_id) for name, snapshot in current.datasets.items()}
    for name, at in before.dataset_success.items():
        success[name] = max(at, success.get(name, at))
    rows = {name: snapshot.rows for name, snapshot in current.datasets.items()}
    return EarlierMetrics(before.run_success, success, rows)


def _made_at(store: OutputStore, run_id: str) -> float:
    made = load_manifest(store, run_id)
    return (made.finished_at if made else run_start_time(run_id)).timestamp()
