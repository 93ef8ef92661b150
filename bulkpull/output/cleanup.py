"""
Clean-up after a publication: independent steps, each of which may fail.

`current.json` is already updated, so no failure here fails the dataset. A failed step is reported and repeated by the
next run: every run begins with the clean-up of all published datasets.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from bulkpull.output.atomic_files import makedirs_durable, replace_symlink, sync_folder, to_disk_error, write_atomically
from bulkpull.output.layout import LATEST, Layout, latest_target
from bulkpull.output.manifest import Current, CurrentSnapshot
from bulkpull.output.no_follow import NotBeneath, remove_beneath
from bulkpull.output.owner import foreign_runs
from bulkpull.output.retention import retire_snapshots
from bulkpull.output.store import LocalStore
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
README = f"""\
# What to read here

- `latest/<Dataset>/*.parquet`: the newest complete snapshot of each dataset; safe to read by pattern. Files are named
  after their run, so that a read during which a newer snapshot is published is whole or fails; then read again.
- `current.json`: the same as a list of files, with run and row count. Files listed there stay for a day after they were
  replaced, so that a read of the list cannot even fail.
{_VIEWS_LINE}{_RUN_COLUMN_LINES}
{_RUNS_WARNING}"""
README_WITHOUT_LINKS = f"""\
# What to read here

- `current.json`: the files of the newest complete snapshot of each dataset, with run and row count. Files listed there
  stay for a day after they were replaced.
{_VIEWS_LINE}{_RUN_COLUMN_LINES}
There is no `latest/`: this file system has no links.

{_RUNS_WARNING}"""
# Written by earlier versions; a text of anybody else stays as it is.
_FIRST_README = f"""\
# What to read here

- `latest/<Dataset>/*.parquet`: the newest complete snapshot of each dataset; safe to read by pattern.
- `current.json`: the same as a list of files, with run and row count.

{_RUNS_WARNING}"""
_OUR_READMES = (
    _FIRST_README,
    *(
        text.replace(views_line, "").replace(run_column_lines, "")
        for text in (README, README_WITHOUT_LINKS)
        for views_line, run_column_lines in (
            ("", ""),
            ("", _RUN_COLUMN_LINES),
            (_VIEWS_LINE, _RUN_COLUMN_LINES),
        )
    ),
)


@dataclass(frozen=True, slots=True)
class Undone:
    """
    A clean-up step that failed.

    Attributes:
        dataset: Whose; `None` for the folder as a whole.
        step: `pointer`, `latest`, `readme`, `views`, `retention`, `ledger`.
        reason: What the disk refused, in words.
    """

    dataset: str | None
    step: str
    reason: str

    @property
    def note(self) -> str:
        """The same as a sentence for the manifest."""
        return f"published, but a clean-up step failed ({self.step}: {self.reason}); the next run does it"


def clean_up(output: Path, datasets: Iterable[str], *, current: Current, retain: int, now: datetime) -> list[Undone]:
    """
    Do all clean-up steps of datasets that are published; never raises for what the disk refuses.

    Args:
        current: As it stands in `output`.
        retain: As `retain_runs` says.

    Returns:
        What could not be done.
    """
    undone: list[Undone] = []

    def attempt(dataset: str | None, step: str, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as trouble:
            undone.append(Undone(dataset, step, to_disk_error(trouble, output).message))

    for dataset in datasets:
        snapshot = current.datasets.get(dataset)
        if snapshot is not None:
            attempt(dataset, LATEST, partial(point_latest, output, dataset, snapshot=snapshot))
            retire = partial(
                retire_snapshots,
                LocalStore(output),
                dataset,
                snapshot=snapshot,
                retain=retain,
                now=now,
                foreign_runs=partial(foreign_runs, output),
            )
            attempt(dataset, "retention", retire)
    attempt(None, "readme", partial(write_readme, output))
    attempt(None, "views", partial(write_views, output, current=current))
    attempt(None, "pointer", partial(sync_folder, output))
    return undone


def write_views(output: Path, *, current: Current) -> None:
    """
    Update `views.sql`; a file of that name that is not ours stays.

    Raises:
        OSError: The disk refused.
    """
    path, wanted = Layout(output).views, script_of(current.datasets)
    try:
        there = path.read_text(encoding="utf-8") if path.is_file() else None
    except ValueError:
        return
    if there == wanted or not current.datasets or (there is None and os.path.lexists(path)):
        return
    if there is None or there.startswith(MARK):
        write_atomically(path, wanted)


def is_without_links(output: Path) -> bool:
    """Whether the last run found that the file system has no links, so that there is no `latest/`."""
    return os.path.lexists(Layout(output).no_links_mark)


def point_latest(output: Path, dataset: str, *, snapshot: CurrentSnapshot) -> None:
    """
    Point `latest/<dataset>` to its current snapshot; without links in the file system, leave it out.

    Raises:
        OSError: The disk refused.
    """
    layout = Layout(output)
    folder, mark = layout.latest, layout.no_links_mark
    link, target = layout.latest_link(dataset), latest_target(dataset, snapshot.run_id)
    with suppress(OSError):
        if os.readlink(link) == target:  # noqa: PTH115 - a path would lose the leading dots' spelling
            return
    makedirs_durable(folder, root=output)
    if link.is_dir() and not link.is_symlink():
        raise NotBeneath(f"{link} is a folder, not the link that it should be: what it holds is not kept up to date")
    if replace_symlink(link, target):
        remove_beneath(mark, root=mark.parent)
        return
    with suppress(OSError):
        folder.rmdir()  # an empty one would only raise questions
    mark.parent.mkdir(exist_ok=True)
    mark.touch()


def write_readme(output: Path) -> None:
    """
    Write or update the folder's README; a file that is not ours stays.

    Raises:
        OSError: The disk refused.
    """
    path = Layout(output).readme
    wanted = README_WITHOUT_LINKS if is_without_links(output) else README
    try:
        there = path.read_text(encoding="utf-8") if path.is_file() else None
    except ValueError:
        return
    if there is None and os.path.lexists(path):
        return  # a folder or a pipe of that name is not ours
    if there is None or (there != wanted and there in _OUR_READMES):
        write_atomically(path, wanted)
