"""
A pull that was downloaded and converted, its entry in the ledger, and what verified its file.

A resumed run reuses converted files if they exist and match the request. What verified a file, and oddities in complete
files, go into the manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bulkpull.clock import iso_utc
from bulkpull.conversion.messages import ColumnPlan, ConversionResult, WindowBounds
from bulkpull.model import Execution, Pull, Report
from bulkpull.output.no_follow import size_beneath
from bulkpull.pipeline.steps.download import DownloadedFile


@dataclass(frozen=True, slots=True)
class ConvertedPull:
    """
    A pull that is downloaded, checked and converted, but not yet published.

    Attributes:
        report: Ours, to be deleted once the data is safe; `None` for the execution of a scheduled report.
        bounds: What it was converted by, where it belongs to a window.
        published_by: The earlier run that made its file; `None` for a part of this run.
    """

    pull: Pull
    report: Report | None
    execution: Execution
    stored: DownloadedFile
    table: ConversionResult
    bounds: WindowBounds | None = None
    published_by: str | None = None

    @property
    def is_published(self) -> bool:
        """Whether it is taken over from the published snapshot, whose file it is."""
        return self.published_by is not None


@dataclass(frozen=True, slots=True)
class _Converted:
    """The ledger entry of a converted pull, with everything needed to decide whether it still matches the request."""

    execution_id: str
    report_id: str
    generated_at: str | None
    data_redacted: bool
    stored: DownloadedFile
    table: ConversionResult
    columns: tuple[ColumnPlan, ...]
    bounds: WindowBounds | None
    unbelieved_at: str | None = None
    query_id: str | None = None
    name: str | None = None


_CONVERTED = TypeAdapter(_Converted)
_MOMENT = TypeAdapter(datetime | None)


def execution_facts(execution: Execution) -> dict[str, Any]:
    """What the ledger keeps of an execution: never its link."""
    return {
        "execution_id": execution.execution_id,
        "generated_at": iso_utc(execution.generated_at) if execution.generated_at else None,
        "data_redacted": execution.data_redacted,
        "unbelieved_at": iso_utc(execution.unbelieved_at) if execution.unbelieved_at else None,
    }


def to_ledger(part: ConvertedPull, *, columns: Sequence[ColumnPlan]) -> dict[str, Any]:
    """What the ledger keeps of a part, as JSON values; `columns` are what it was converted by."""
    converted = _Converted(
        report_id=part.execution.report_id,
        stored=part.stored,
        table=part.table,
        columns=tuple(columns),
        bounds=part.bounds,
        query_id=part.report.query_id if part.report else None,
        name=part.report.name if part.report else None,
        **execution_facts(part.execution),
    )
    facts: dict[str, Any] = _CONVERTED.dump_python(converted, mode="json")
    return facts


@dataclass(frozen=True, slots=True)
class KeptPart:
    """
    A converted pull found in the ledger.

    Attributes:
        is_as_requested: It was converted with today's columns and bounds; else its file is converted again.
    """

    part: ConvertedPull
    is_as_requested: bool


def from_ledger(
    facts: Mapping[str, Any],
    *,
    pull: Pull,
    report: Report | None,
    columns: Sequence[ColumnPlan],
    bounds: WindowBounds | None,
) -> KeptPart | None:
    """The part that `to_ledger` described; `None` when another version wrote the entry."""
    try:
        known = _CONVERTED.validate_python({name: facts[name] for name in _Converted.__slots__ if name in facts})
        generated_at = _MOMENT.validate_python(known.generated_at)
        unbelieved_at = _MOMENT.validate_python(known.unbelieved_at)
    except (KeyError, ValidationError):
        return None  # written by another version
    execution = Execution(
        known.execution_id,
        known.report_id,
        "Completed",
        generated_at=generated_at,
        unbelieved_at=unbelieved_at,
        data_redacted=known.data_redacted,
    )
    if report is None and known.query_id is not None:
        report = Report(known.report_id, known.name or "", known.query_id, execute_now=True)
    is_as_requested = (known.columns, known.bounds) == (tuple(columns), bounds)
    return KeptPart(ConvertedPull(pull, report, execution, known.stored, known.table, known.bounds), is_as_requested)


def files_exist(part: ConvertedPull, private: Path) -> bool:
    """
    Whether its files are still there, whole as far as their sizes tell.

    Args:
        private: The folder that they lie in. What was noted of another place (the output was moved or copied since)
            is not there.
    """
    return size_beneath(part.stored.path, root=private) is not None and all(
        size_beneath(file.path, root=private) == file.bytes for file in part.table.files
    )


def is_stored(part: ConvertedPull, private: Path) -> bool:
    """Whether the file that it was converted from is still there, whole as far as its size tells."""
    return size_beneath(part.stored.path, root=private) == part.stored.size_bytes


# In the order of the manifest. The last two prove only where the file ends, not that it is unchanged.
_WORDS = ("length", "md5", "gzip", "end_mark", "readings")
_READINGS = "readings"


def vouched_by(part: ConvertedPull) -> list[str]:
    """
    The evidence that the part's file is complete and unchanged.

    `length` (announced by the storage host), `md5`, `gzip` (its own checksum and length), `end_mark` (of a chunked
    body), or `readings`: two that ended at the same byte, named only where nothing else vouches.
    """
    words = {*part.stored.vouched_by, *(("gzip",) if part.table.is_gzip else ())}
    if len(words) > 1:
        words.discard(_READINGS)
    return [word for word in _WORDS if word in words]


def vouched_for_all(parts: Sequence[ConvertedPull]) -> list[str]:
    """The evidence that every part has; if there is none, the evidence of any part."""
    words_of_parts = [vouched_by(part) for part in parts]
    for_all = [word for word in _WORDS if all(word in words for words in words_of_parts)]
    return for_all or [word for word in _WORDS if any(word in words for words in words_of_parts)]


def content_notes(parts: Sequence[ConvertedPull]) -> Iterator[str]:
    """A sentence for each thing that a person may have to look at (C40)."""
    doubtful = sum(vouched_by(part) == [_READINGS] for part in parts)
    if doubtful:
        yield (
            f"nothing but two equal readings vouches for {_files(doubtful, parts)}: the storage host told neither "
            "length nor MD5, and gzip was not used"
        )
    if open_ended := sum(part.table.ends_open for part in parts):
        yield f"{_files(open_ended, parts)} ended without a line end: its last value may be cut"
    if nul_bytes := sum(part.table.nul_bytes for part in parts):
        yield f"its values hold {nul_bytes:,} NUL characters, which some programs take for the end of a text"


def _files(count: int, parts: Sequence[ConvertedPull]) -> str:
    return "the report's file" if len(parts) == 1 else f"{count:,} of the {len(parts):,} reports' files"
