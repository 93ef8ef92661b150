"""
Clean-up after a publication: links, README and views are updated, and old snapshots deleted.

No failure here fails the dataset. A failed step is reported, and the next run begins with the clean-up of all datasets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import product
from pathlib import Path

from bulkpull.conversion import output_formats
from bulkpull.output.atomic_files import to_disk_error
from bulkpull.output.current import Current, CurrentSnapshot
from bulkpull.output.layout import LATEST, latest_target
from bulkpull.output.retention import retire_snapshots
from bulkpull.output.store import INSIDE, OutputStore
from bulkpull.output.symlink_safety import NotBeneath
from bulkpull.output.views import MARK, script_of

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
    tables = f"*{suffix or output_formats.WRITTEN.suffix}"
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
    written = [
        readme(has_links=links, suffix=suffix) for links, suffix in product((True, False), output_formats.FORMATS)
    ]
    without_run = [content.replace(_RUN_COLUMN_LINES, "") for content in written]
    without_views = [content.replace(_VIEWS_LINE, "") for content in without_run]
    return text in {_FIRST, *written, *without_run, *without_views}


@dataclass(frozen=True, slots=True)
class Undone:
    """A clean-up step that failed: `pointer`, `latest`, `readme`, `views`, `retention` or `ledger`."""

    dataset: str | None
    step: str
    reason: str

    @property
    def note(self) -> str:
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
