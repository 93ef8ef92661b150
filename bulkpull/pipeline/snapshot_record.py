"""What the parts of a snapshot add up to, in its dataset's record (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from bulkpull.clock import iso_utc
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.converted_pull import ConvertedPull
from bulkpull.pipeline.type_merge import known_formats, known_types, part_record, published_columns, types_digest
from bulkpull.pipeline.vouching import content_notes, vouched_for_all


def describe_snapshot(
    record: DatasetRecord, parts: Sequence[ConvertedPull], *, earlier: DatasetRecord | None, has_window: bool
) -> None:
    """
    Fill in the record from the parts.

    Args:
        parts: All parts of the snapshot, in the order of their windows.
        earlier: The snapshot whose types hold for this one too.
        has_window: Whether a window was requested; then even a single window is listed.
    """
    first, hashes = parts[0], [part.table.content_hash for part in parts]
    record.columns = published_columns(parts)
    names = {column.name.casefold() for column in record.columns}
    types, formats = known_types(earlier), known_formats(earlier)
    record.earlier_types = {name: kind for name, kind in types.items() if name.casefold() not in names}
    record.earlier_formats = {name: form for name, form in formats.items() if name.casefold() not in names}
    record.downloaded_bytes = sum(part.stored.size_bytes for part in parts)
    record.content_hash = hashes[0] if len(hashes) == 1 else types_digest(hashes)
    record.vouched_by = vouched_for_all(parts)
    record.notes += content_notes(parts)
    record.stored_md5 = first.stored.md5 if len(parts) == 1 else None
    # What a growing snapshot keeps says nothing of how fresh it is.
    fresh = [part for part in parts if not part.is_published] or list(parts)
    made_at = [part.execution.generated_at for part in fresh if part.execution.generated_at]
    record.generated_at = iso_utc(min(made_at)) if len(made_at) == len(fresh) else None
    if unbelieved := [part.execution.unbelieved_at for part in parts if part.execution.unbelieved_at]:
        record.unbelieved_at = iso_utc(max(unbelieved))
        record.notes.append(
            f"the service says that this data was made at {record.unbelieved_at}, which lies ahead of its own "
            "clock: not believed, executions are told apart by their ids instead"
        )
    if len(parts) > 1 or has_window:
        record.query_id = first.report.query_id if first.report else record.query_id
        record.report_id, record.execution_id = first.execution.report_id, first.execution.execution_id
        record.parts = [part_record(part) for part in parts]
