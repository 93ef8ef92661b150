"""What the parts of a snapshot say about it, for its manifest entry (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bulkpull.clock import iso_utc
from bulkpull.output.manifest import DatasetRecord, PartRecord, PublishedColumn
from bulkpull.pipeline.publication.type_merge import (
    known_formats,
    known_types,
    part_record,
    published_columns,
    types_digest,
)
from bulkpull.pipeline.steps.converted_pull import ConvertedPull, content_notes, vouched_for_all


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """A snapshot as its manifest entry describes it; the attributes are those of `DatasetRecord`."""

    rows: int
    columns: tuple[PublishedColumn, ...]
    earlier_types: dict[str, str]
    earlier_formats: dict[str, str]
    downloaded_bytes: int
    content_hash: str
    vouched_by: tuple[str, ...]
    stored_md5: str | None
    generated_at: datetime | None
    unbelieved_at: datetime | None
    parts: tuple[PartRecord, ...]
    notes: tuple[str, ...]


def describe_snapshot(
    parts: Sequence[ConvertedPull],
    *,
    earlier: DatasetRecord | None,
    has_window: bool,
    vanished: frozenset[str] = frozenset(),
) -> SnapshotFacts:
    """
    The facts about a snapshot.

    Args:
        has_window: Whether a window was requested; then even a single window is listed.
        vanished: The columns, in lower case, that only kept windows of a history have.
    """
    hashes = [part.table.content_hash for part in parts]
    columns = published_columns(parts)
    names = {column.name.casefold() for column in columns}
    # Kept windows do not show how fresh a growing snapshot is.
    fresh = [part for part in parts if not part.is_published] or list(parts)
    made_at = [part.execution.generated_at for part in fresh if part.execution.generated_at]
    unbelieved = [part.execution.unbelieved_at for part in parts if part.execution.unbelieved_at]
    unbelieved_at = max(unbelieved, default=None)
    notes = list(content_notes(parts))
    if unbelieved_at is not None:
        notes.append(
            f"the service says that this data was made at {iso_utc(unbelieved_at)}, which lies ahead of its own clock: "
            "not believed, executions are told apart by their ids instead"
        )
    return SnapshotFacts(
        rows=sum(part.table.rows for part in parts),
        columns=tuple(column.model_copy(update={"vanished": column.name.casefold() in vanished}) for column in columns),
        earlier_types={name: kind for name, kind in known_types(earlier).items() if name.casefold() not in names},
        earlier_formats={name: form for name, form in known_formats(earlier).items() if name.casefold() not in names},
        downloaded_bytes=sum(part.stored.size_bytes for part in parts),
        content_hash=hashes[0] if len(hashes) == 1 else types_digest(hashes),
        vouched_by=tuple(vouched_for_all(parts)),
        stored_md5=parts[0].stored.md5 if len(parts) == 1 else None,
        generated_at=min(made_at) if len(made_at) == len(fresh) else None,
        unbelieved_at=unbelieved_at,
        parts=tuple(map(part_record, parts)) if len(parts) > 1 or has_window else (),
        notes=tuple(notes),
    )
