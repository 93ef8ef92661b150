"""
Prometheus metrics of a run: a text file for the node exporter's textfile collector. It is replaced whole, each minute
while a run lasts and at its end; values of earlier runs stay in it.

It has timestamps instead of ages: an age in a file would stop growing when the file is no longer written, which is what
an alert must detect. `time() - bulkpull_dataset_last_success_timestamp_seconds` is always the current age.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

from bulkpull.errors import DiskTrouble
from bulkpull.observability.progress import Progress
from bulkpull.observability.pull_states import PullState
from bulkpull.output.atomic_files import write_atomically
from bulkpull.output.current import Current
from bulkpull.output.manifest import Manifest
from bulkpull.output.run_history import load_manifest, run_start_time
from bulkpull.output.store import OutputStore, open_store

_DATASET_SUCCESS = "bulkpull_dataset_last_success_timestamp_seconds"
_RUN_SUCCESS = "bulkpull_run_last_success_timestamp_seconds"
_PROGRESS = ("bulkpull_run_in_progress", "bulkpull_run_progress_")
_DATASET_STATUSES = ("complete", "skipped", "unavailable", "failed")
_RUN_STATUSES = ("complete", "partial", "failed", "interrupted")
_Sample = tuple[dict[str, str], float]


@dataclass(frozen=True, slots=True)
class EarlierMetrics:
    """Values of earlier runs that the new file keeps; when a run or a dataset succeeded is Unix time."""

    run_success: float | None = None
    dataset_success: Mapping[str, float] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)


def write_numbers(path: Path, manifest: Manifest, *, output: Path) -> None:
    """
    Replace `path` by the metrics of a run that has ended.

    What a failed run, or one of a few datasets, does not tell comes from the file as it was, else from `current.json`.
    """
    _replace(path, render_metrics(manifest, output=str(output), remembered=_remember(path, output)))


def write_progress(path: Path, progress: Progress, *, output: Path, now: datetime, is_running: bool) -> None:
    """Replace `path` by its values of earlier runs and the progress of the present run, as `render_progress`."""
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


def read_metrics(text: str, *, output: str) -> EarlierMetrics:
    """What an earlier file for the same folder remembers (pure)."""
    run_success: float | None = None
    dataset_success: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("output") != output:
                continue
            if sample.name == _RUN_SUCCESS:
                run_success = sample.value
            elif sample.name == _DATASET_SUCCESS:
                dataset_success[sample.labels["dataset"]] = sample.value
    return EarlierMetrics(run_success, dataset_success)


def render_metrics(manifest: Manifest, *, output: str, remembered: EarlierMetrics) -> str:
    """The file's content after a run (pure)."""
    of_run = _of_run(manifest, output=output, remembered=remembered)
    return _render([*of_run, *_of_datasets(manifest, output=output, remembered=remembered)])


def render_progress(before: str, progress: Progress, *, output: str, now: datetime, is_running: bool) -> str:
    """
    The file's content during a run, or after one without a manifest (pure): the last run's values, and the progress.

    Values of another output folder, and what cannot be read, are left out. `now` stands still when a run hangs.
    """
    kept: list[Metric] = []
    with suppress(ValueError):
        for family in text_string_to_metric_families(before):
            family.samples = [sample for sample in family.samples if sample.labels.get("output") == output]
            if family.samples and not family.name.startswith(_PROGRESS):
                kept.append(family)
    return _render([*kept, *_of_progress(progress, output=output, now=now, is_running=is_running)])


@dataclass(frozen=True, slots=True, eq=False)
class _GivenMetrics(Collector):
    families: list[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


def _render(families: list[Metric]) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_GivenMetrics(families))
    return generate_latest(registry).decode("utf-8")


def _of_progress(progress: Progress, *, output: str, now: datetime, is_running: bool) -> Iterator[Metric]:
    gauge = partial(_gauge, output, "run_")
    yield gauge("in_progress", "Whether a run is in progress.", is_running)
    description = "When the run in progress last reported its progress."
    yield gauge("progress_timestamp_seconds", description, now.timestamp())
    if not is_running:
        return
    done, failed, total = progress.counts()
    by_state: dict[str, float] = {state: float(len(progress.datasets_by_state().get(state, ()))) for state in PullState}
    by_state |= {"done": done, "failed": failed, "not_started": total - len(progress.lines)}
    states = [({"state": state}, count) for state, count in by_state.items()]
    yield gauge("progress_datasets", "Datasets of the run in progress, by what they are doing.", states)
    description = "Bytes that the run in progress has downloaded."
    yield gauge("progress_downloaded_bytes", description, progress.done_bytes())


def _of_run(manifest: Manifest, *, output: str, remembered: EarlierMetrics) -> Iterator[Metric]:
    started, ended = manifest.started_at.timestamp(), manifest.finished_at.timestamp()
    status = "interrupted" if manifest.interrupted else manifest.status
    requests = manifest.requests
    success = ended if manifest.exit_code == 0 else remembered.run_success
    gauge = partial(_gauge, output, "run_")
    version = {"version": manifest.tool.version}
    yield _gauge(output, "", "info", "The version that made the last run.", [(version, 1)])
    yield gauge("in_progress", "Whether a run is in progress.", False)
    yield gauge("last_end_timestamp_seconds", "When the last run ended, in whatever way.", ended)
    if success is not None:
        yield gauge("last_success_timestamp_seconds", "When a run last ended with exit status 0.", success)
    yield gauge("duration_seconds", "How long the last run took, interruptions included.", ended - started)
    yield gauge("exit_code", "Exit status of the last run.", manifest.exit_code)
    yield gauge("status", "How the last run ended: 1 for its status.", _states(status, _RUN_STATUSES))
    by_endpoint = sorted(requests.by_endpoint.items())
    yield gauge("requests", "Calls of the last run.", [({"endpoint": name}, count) for name, count in by_endpoint])
    yield gauge("requests_throttled", "Answers 429 in the last run.", requests.throttled)
    yield gauge("requests_retried", "Calls sent again in the last run.", requests.retried)


def _of_datasets(manifest: Manifest, *, output: str, remembered: EarlierMetrics) -> Iterator[Metric]:
    ended, records = manifest.finished_at.timestamp(), manifest.datasets
    there = [record for record in records if record.is_current]
    success = dict(remembered.dataset_success) | {record.dataset: ended for record in there}
    rows = dict(remembered.rows) | {record.dataset: record.rows for record in there}
    gauge = partial(_gauge, output, "dataset_")

    def by_dataset(values: Mapping[str, float]) -> list[_Sample]:
        return [({"dataset": dataset}, values[dataset]) for dataset in sorted(values)]

    description = "When it was last exported, or skipped with no newer data."
    yield gauge("last_success_timestamp_seconds", description, by_dataset(success))
    yield gauge("rows", "Rows of the snapshot that is current.", by_dataset(rows))
    stored_bytes = {record.dataset: record.stored_bytes for record in there}
    yield gauge("bytes", "Bytes of the files of the snapshot.", by_dataset(stored_bytes))
    made = {record.dataset: record.generated_at.timestamp() for record in there if record.generated_at}
    yield gauge("generated_timestamp_seconds", "When the service made the data of the snapshot.", by_dataset(made))
    # The record of a skipped dataset has the size of the file that its snapshot came from.
    downloaded = {record.dataset: 0 if record.status == "skipped" else record.downloaded_bytes for record in records}
    yield gauge("downloaded_bytes", "Bytes downloaded in the last run.", by_dataset(downloaded))
    statuses = [
        ({"dataset": record.dataset} | labels, value)
        for record in records
        for labels, value in _states(record.status, _DATASET_STATUSES)
    ]
    yield gauge("status", "How the dataset ended in the last run: 1 for its status.", statuses)
    steps = [
        ({"dataset": record.dataset, "step": step}, seconds)
        for record in records
        for step, seconds in record.seconds.model_dump().items()
    ]
    yield gauge("step_duration_seconds", "How long each step took in the last run; wait is a system query time.", steps)


def _gauge(output: str, prefix: str, name: str, description: str, samples: float | Iterable[_Sample]) -> Metric:
    """A gauge of one value, or of one value for each set of labels."""
    family = GaugeMetricFamily(f"bulkpull_{prefix}{name}", description)
    for labels, value in [({}, samples)] if isinstance(samples, float | int) else samples:
        family.add_sample(family.name, {"output": output} | labels, value)
    return family


def _states(status: str, known: Iterable[str]) -> list[_Sample]:
    return [({"status": state}, float(state == status)) for state in known]
