"""A pull that was downloaded and converted, its entry in the ledger, and what verified its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bulkpull.conversion.messages import ColumnPlan, ConversionResult, WindowBounds, WindowRows
from bulkpull.model import DownloadedFile, Execution, Pull, Report, Window
from bulkpull.output.ledger_facts import ConversionFacts
from bulkpull.output.symlink_safety import size_beneath


@dataclass(frozen=True, slots=True)
class ConvertedPull:
    """
    A pull that is downloaded, checked and converted.

    `report` is ours, to be deleted once the data is safe, and `None` for the execution of a scheduled report.
    `published_by` is the earlier run that published its file, and `None` for a part of this run.
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
        return self.published_by is not None

    @property
    def window(self) -> Window:
        """The window of a part that has one."""
        assert self.pull.window is not None
        return self.pull.window

    @property
    def window_rows(self) -> WindowRows:
        """The counts of its rows outside of its window and at its edges."""
        return self.table.window or WindowRows()


def conversion_facts(part: ConvertedPull, *, columns: Sequence[ColumnPlan]) -> ConversionFacts:
    return ConversionFacts(
        execution_id=part.execution.execution_id,
        report_id=part.execution.report_id,
        generated_at=part.execution.generated_at,
        data_redacted=part.execution.data_redacted,
        stored=part.stored,
        table=part.table,
        columns=tuple(columns),
        bounds=part.bounds,
        unbelieved_at=part.execution.unbelieved_at,
        query_id=part.report.query_id if part.report else None,
        name=part.report.name if part.report else None,
    )


def restore_part(facts: ConversionFacts, *, pull: Pull, report: Report | None) -> ConvertedPull:
    """The part that `conversion_facts` described."""
    execution = Execution(
        facts.execution_id,
        facts.report_id,
        "Completed",
        generated_at=facts.generated_at,
        unbelieved_at=facts.unbelieved_at,
        data_redacted=facts.data_redacted,
    )
    if report is None and facts.query_id is not None:
        report = Report(facts.report_id, facts.name or "", facts.query_id, execute_now=True)
    return ConvertedPull(pull, report, execution, facts.stored, facts.table, facts.bounds)


def files_exist(part: ConvertedPull, private: Path) -> bool:
    """Whether its files still lie in `private`, whole as far as their sizes tell; the output may have been copied."""
    return size_beneath(part.stored.path, root=private) is not None and all(
        size_beneath(file.path, root=private) == file.bytes for file in part.table.files
    )


def is_stored(part: ConvertedPull, private: Path) -> bool:
    """Whether the file that it was converted from is still there, whole as far as its size tells."""
    return size_beneath(part.stored.path, root=private) == part.stored.size_bytes


# In the order of the manifest. The last two prove only where the file ends, not that it is unchanged.
_READINGS = "readings"
_WORDS = ("length", "md5", "gzip", "end_mark", _READINGS)


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
    words_of_parts = [set(vouched_by(part)) for part in parts]
    words = set.intersection(*words_of_parts) or set.union(*words_of_parts)
    return [word for word in _WORDS if word in words]


def content_notes(parts: Sequence[ConvertedPull]) -> Iterator[str]:
    """A sentence for each oddity that a person may have to check (C40)."""
    if doubtful := sum(vouched_by(part) == [_READINGS] for part in parts):
        yield (
            f"only two equal downloads show that nothing is missing from {_files(doubtful, parts)}: the storage host "
            "sent neither length nor MD5, and gzip was not used"
        )
    if open_ended := sum(part.table.ends_open for part in parts):
        yield f"{_files(open_ended, parts)} ended without a line end: its last value may be cut"
    if nul_bytes := sum(part.table.nul_bytes for part in parts):
        yield f"its values hold {nul_bytes:,} NUL characters, which some programs take for the end of a text"


def _files(count: int, parts: Sequence[ConvertedPull]) -> str:
    return "the report's file" if len(parts) == 1 else f"{count:,} of the {len(parts):,} reports' files"
