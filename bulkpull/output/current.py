"""`current.json`, which points readers to the current snapshot of each dataset."""

from __future__ import annotations

import json
import operator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from bulkpull.errors import DiskTrouble
from bulkpull.output.atomic_files import json_text
from bulkpull.output.manifest import Moment, MomentIfAny, Record, RecordedWindow
from bulkpull.output.store import INSIDE, OutputStore
from bulkpull.output.symlink_safety import NotBeneath, inner_parts


def _check_name(name: str) -> str:
    if len(inner_parts(name)) != 1:
        raise NotBeneath(f"{name!r} is not the name of a dataset or a run")
    return name


FolderName = Annotated[str, AfterValidator(_check_name)]
"""A name that becomes a part of a path (case C26)."""


class CurrentSnapshot(Record):
    """
    The newest complete snapshot of a dataset; `files` are relative to the output folder.

    `question` is what it answers; snapshots of earlier versions do not tell. `replaced` tells of older ones, by the ids
    of their runs, when they ceased to be current: readers have a day from then on.
    """

    run_id: FolderName
    rows: int
    files: list[str]
    question: dict[str, Any] | None = None
    question_sha256: str | None = None
    query: str | None = None
    timespan: str | None = None
    window: RecordedWindow = None
    published_at: MomentIfAny = Field(default=None, exclude_if=operator.not_)
    replaced: dict[str, Moment] = Field(default_factory=dict, exclude_if=operator.not_)


class Current(Record):
    """
    The content of `current.json`; `account` is the one that the folder belongs to.

    `forgotten` tells when `runs forget` took out a dataset (UTC) that was not published again; left out while empty.
    """

    version: Literal[1] = 1
    updated_at: MomentIfAny = None
    account: dict[str, Any] | None = None
    datasets: dict[FolderName, CurrentSnapshot] = Field(default_factory=dict)
    forgotten: dict[str, Moment] = Field(default_factory=dict, exclude_if=operator.not_)

    @property
    def run_ids(self) -> frozenset[str]:
        return frozenset(snapshot.run_id for snapshot in self.datasets.values())

    @classmethod
    def load(cls, store: OutputStore) -> Current:
        """Read `current.json`, if there is one. A damaged one is a `DiskTrouble`; it is never replaced on a guess."""
        why: str | None = "it is damaged or was written by another version"
        try:
            content = store.read(INSIDE.current)
            return cls() if content is None else cls.model_validate(json.loads(content))
        except (ValueError, RecursionError):
            pass
        except NotBeneath as refused:
            why = refused.strerror
        raise DiskTrouble(
            f"{store.place(INSIDE.current)} cannot be read",
            why=why,
            fix="restore it, or move it away to publish every dataset again",
        )

    def save(self, store: OutputStore) -> None:
        """Replace `current.json` atomically. Raises `OSError`."""
        self.forgotten = {name: at for name, at in self.forgotten.items() if name not in self.datasets}
        store.swap_pointer(INSIDE.current, json_text(self.model_dump(mode="json")))
