"""
Clean-up after a publication: links, README and views are updated, and old snapshots, run folders and entries deleted.

`current.json` is already updated, so no failure here fails the dataset. A failed step is reported and repeated by the
next run: every run begins with the clean-up of all published datasets.

- A snapshot goes, with its raw file, if `retain_runs` newer ones exist and it was replaced more than a day ago.
- A run's folder in `runs/` goes if no snapshot of it is left, it is a day old, and `retain_runs` newer ones exist, but
  at least thirty, so that runs without new data can be inspected.
- The ledger entries of a run go if its folder is gone and it began more than ninety days ago.

The snapshot in `current.json` is never deleted, nor is anything without the name of one of our runs. The decision is
pure; a folder that cannot be removed stays until the next run (fault 99). No link is followed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import anyio.to_thread

from bulkpull.conversion import file_formats
from bulkpull.output.atomic_files import to_disk_error
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.layout import DATASETS, LATEST, RAW, RUN_ID, latest_target, run_of_snapshot, snapshot_name
from bulkpull.output.ledger import Ledger
from bulkpull.output.ledger_facts import ScheduledReportFacts
from bulkpull.output.owner import foreign_runs
from bulkpull.output.run_history import run_ids
from bulkpull.output.store import INSIDE, OutputStore
from bulkpull.output.symlink_safety import NotBeneath
from bulkpull.output.views import MARK, script_of

# A reader that opened a snapshot shortly before it was replaced has time to finish.
_A_DAY = timedelta(days=1)
_FEWEST_RUNS = 30
_REMEMBERED = timedelta(days=90)
_RUN_COLUMN_LINES = """
An engine that takes `run=<run>` in the paths of `current.json` for a partition adds a column `run`: switch that off
(`hive_partitioning = false` in DuckDB), and the columns are those of `latest/`.
"""
_RUNS_WARNING = """\
Do not read `datasets/<Dataset>/run=*/`: every run is a whole snapshot, so a pattern over several runs counts every row
several times. `runs/<run>/manifest.json` tells what each run did. `.bulkpull/` is private to the tool.
"""
_VIEWS_LINE = "- `views.sql`: every dataset as a view for DuckDB; start it in this folder: `duckdb -init views.sql`.\n"
_FIRST = f"""\
# What to read here

- `latest/<Dataset>/*.parquet`: the newest complete snapshot of each dataset; safe to read by pattern.
- `current.json`: the same as a list of files, with run and row count.

{_RUNS_WARNING}"""
"""The text of the first version."""


def readme(*, has_links: bool, suffix: str | None = None) -> str:
    """The README of an output folder, whose tables are files with this suffix; by default, that of the written ones."""
    if not has_links:
        return f"""\
# What to read here

- `current.json`: the files of the newest complete snapshot of each dataset, with run and row count. Files listed there
  stay for a day after they were replaced.
{_VIEWS_LINE}{_RUN_COLUMN_LINES}
There is no `latest/`: this file system has no links.

{_RUNS_WARNING}"""
    tables = f"*{suffix or file_formats.WRITTEN.suffix}"
    return f"""\
# What to read here

- `latest/<Dataset>/{tables}`: the newest complete snapshot of each dataset; safe to read by pattern. Files are named
  after their run, so that a read during which a newer snapshot is published is whole or fails; then read again.
- `current.json`: the same as a list of files, with run and row count. Files listed there stay for a day after they were
  replaced, so that a read of the list cannot even fail.
{_VIEWS_LINE}{_RUN_COLUMN_LINES}
{_RUNS_WARNING}"""


def _is_our_readme(text: str) -> bool:
    """Whether this version or an earlier one wrote the text."""
    written = [readme(has_links=links, suffix=suffix) for links, suffix in product((True, False), file_formats.FORMATS)]
    without_run = [ours.replace(_RUN_COLUMN_LINES, "") for ours in written]
    without_views = [ours.replace(_VIEWS_LINE, "") for ours in without_run]
    return text in {_FIRST, *written, *without_run, *without_views}


@dataclass(frozen=True, slots=True)
class Undone:
    """A clean-up step that failed: `pointer`, `latest`, `readme`, `views`, `retention` or `ledger`."""

    dataset: str | None
    step: str
    reason: str

    @property
    def note(self) -> str:
        """The same as a sentence for the manifest."""
        return f"published, but a clean-up step failed ({self.step}: {self.reason}); the next run does it"


def clean_up(
    store: OutputStore, datasets: Iterable[str], *, current: Current, retain: int, now: datetime
) -> list[Undone]:
    """Do all clean-up steps of published datasets; errors of the disk are not raised."""
    undone: list[Undone] = []

    def attempt(dataset: str | None, step: str, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as trouble:
            undone.append(Undone(dataset, step, to_disk_error(trouble, str(store)).message))

    for dataset in datasets:
        snapshot = current.datasets.get(dataset)
        if snapshot is not None:
            attempt(dataset, LATEST, partial(point_latest, store, dataset, snapshot=snapshot))
            retire = partial(retire_snapshots, store, dataset, snapshot=snapshot, retain=retain, now=now)
            attempt(dataset, "retention", retire)
    attempt(None, "readme", partial(write_readme, store))
    attempt(None, "views", partial(write_views, store, current=current))
    attempt(None, "pointer", store.sync)
    return undone


def write_views(store: OutputStore, *, current: Current) -> None:
    """Update `views.sql`; a file of that name that is not ours stays."""
    if current.datasets:
        _update(store, INSIDE.views, script_of(current.datasets), is_ours=lambda there: there.startswith(MARK))


def is_without_links(store: OutputStore) -> bool:
    """Whether the last run found that the file system has no links, so that there is no `latest/`."""
    return store.exists(INSIDE.no_links_mark)


def point_latest(store: OutputStore, dataset: str, *, snapshot: CurrentSnapshot) -> None:
    """Point `latest/<dataset>` to its current snapshot; without links in the file system, leave it out."""
    link, target = INSIDE.latest_link(dataset), latest_target(dataset, snapshot.run_id)
    if store.link_target(link) == target:
        return
    if store.put_link(link, target):
        store.delete(INSIDE.no_links_mark)
    else:
        store.put(INSIDE.no_links_mark, "")


def write_readme(store: OutputStore) -> None:
    """Write or update the folder's README; a file that is not ours stays."""
    _update(store, INSIDE.readme, readme(has_links=not is_without_links(store)), is_ours=_is_our_readme)


def _update(store: OutputStore, name: Path, wanted: str, *, is_ours: Callable[[str], bool]) -> None:
    there: str | None = None
    with suppress(ValueError, NotBeneath):
        content = store.read(name)
        there = None if content is None else content.decode("utf-8")
    if there is None and store.exists(name):
        return  # a folder or a pipe of that name is not ours
    if there is None or (there != wanted and is_ours(there)):
        store.put(name, wanted)


def snapshots_to_retire(
    names: Sequence[str], *, current: str, retain: int, now: datetime, replaced: Mapping[str, datetime] | None = None
) -> list[str]:
    """Which `run=…` folders of a dataset may go (pure); `replaced` tells when those of known runs were replaced."""
    known, a_day_ago = replaced or {}, now - _A_DAY
    runs = sorted((name for name in names if RUN_ID.fullmatch(run_of_snapshot(name))), reverse=True)
    newest = snapshot_name(current)
    kept = [newest, *(name for name in runs if name != newest)][:retain]
    # Replaced when the next newer run began, at the earliest.
    superseded = {older for newer, older in pairwise(runs) if newer < snapshot_name(_stamp(a_day_ago))}

    def is_free(name: str) -> bool:
        at = known.get(run_of_snapshot(name))
        return name in superseded if at is None else at < a_day_ago

    return [name for name in runs if name not in kept and is_free(name)]


def runs_to_retire(runs: Sequence[str], *, needed: Collection[str], retain: int, now: datetime) -> list[str]:
    """Which runs' folders may go (pure)."""
    by_age = sorted(runs, reverse=True)
    old = by_age[max(retain, _FEWEST_RUNS) :]
    return [run_id for run_id in old if run_id not in needed and run_id < _stamp(now - _A_DAY)]


def retire_snapshots(
    store: OutputStore, dataset: str, *, snapshot: CurrentSnapshot, retain: int, now: datetime
) -> None:
    """Remove the dataset's old snapshots and their raw files; each is there whole, or gone."""
    folder = INSIDE.snapshots(dataset)
    names = store.list_names(folder)
    find_old = partial(snapshots_to_retire, current=snapshot.run_id, retain=retain, now=now, replaced=snapshot.replaced)
    if len(names) <= retain or not find_old(names):
        return  # with fewer names even less is old; whose each run is would be read from its manifest
    # Runs copied from another account's folder are neither counted nor removed (case O3).
    foreign = foreign_runs(store, [run_of_snapshot(name) for name in names])
    for name in find_old([name for name in names if run_of_snapshot(name) not in foreign]):
        store.delete(folder / name)
        store.delete(INSIDE.snapshots(dataset, kind=RAW) / name)


async def retire_runs(store: OutputStore, ledger: Ledger, *, retain: int, now: datetime) -> None:
    """Remove the folders of old runs, and what the ledger knows of them."""

    def retire_folders() -> set[str]:
        for run_id in runs_to_retire(run_ids(store), needed=set(_runs_with_data(store)), retain=retain, now=now):
            store.delete(INSIDE.run(run_id))
        store.delete_leftovers()
        return set(run_ids(store))

    left = await anyio.to_thread.run_sync(retire_folders)
    await ledger.prune(before=now - _REMEMBERED, keep=left, keep_last=ScheduledReportFacts)


def _runs_with_data(store: OutputStore) -> Iterator[str]:
    for kind in (DATASETS, RAW):
        for dataset in store.list_names(Path(kind)):
            for name in store.list_names(INSIDE.snapshots(dataset, kind=kind)):
                yield run_of_snapshot(name)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%SZ}"
