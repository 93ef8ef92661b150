"""What has become of each dataset of a run, and the notes about the run as a whole, for its manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bulkpull.catalog import load_catalog
from bulkpull.errors import BulkpullError, ConverterDied, DiskTrouble, HeldBack, LedgerError, RunOverdue
from bulkpull.output.manifest import DatasetRecord, RunStatus
from bulkpull.pipeline.context import UndeletedReport
from bulkpull.pipeline.outcome import DatasetOutcome, dataset_record, failed_record, finish_records, with_notes
from bulkpull.pipeline.request import ExportRequest

# After these errors the fetched data are good: the error was local, the time was over, or publishing was refused.
_DATA_ARE_GOOD = DiskTrouble | LedgerError | ConverterDied | RunOverdue | HeldBack


@dataclass(slots=True)
class RunResults:
    """
    Collects the outcomes of a run.

    Attributes:
        notes: About the run as a whole, each one sentence.
        refused: Datasets that cannot be written, with the error of each.
    """

    notes: list[str] = field(default_factory=list)
    undeleted: list[UndeletedReport] = field(default_factory=list)
    refused: Mapping[str, DiskTrouble] = field(default_factory=dict)
    _datasets: dict[str, DatasetOutcome | DatasetRecord] = field(default_factory=dict)

    def put(self, result: DatasetOutcome | DatasetRecord) -> None:
        """Set the outcome of a dataset; a record is final."""
        name = result.dataset if isinstance(result, DatasetRecord) else result.pull.dataset
        self._datasets[name] = result

    def record(self, dataset: str) -> DatasetRecord:
        """The manifest record of a dataset as it is now."""
        result = self._datasets[dataset]
        return result if isinstance(result, DatasetRecord) else dataset_record(result)

    def is_submitted(self, dataset: str) -> bool:
        """Whether the reports of a dataset were ordered for a later run to collect."""
        result = self._datasets[dataset]
        return isinstance(result, DatasetOutcome) and result.is_submitted

    def outcome(self, dataset: str) -> DatasetOutcome:
        """The outcome of a dataset that this run pulls."""
        result = self._datasets[dataset]
        assert isinstance(result, DatasetOutcome)
        return result

    def fail_all(self, error: BulkpullError, request: ExportRequest) -> None:
        """Fail every requested dataset, after an error before the first one was begun."""
        reads = {selection.name: selection.reads for selection in request.selections}
        for name in request.names:
            self.put(failed_record(name, error, source=reads.get(name), catalog=load_catalog()))

    def end_overdue(self, *, limit_s: float, request: ExportRequest) -> None:
        """Record the exceeded time limit for every unfinished dataset."""
        why = f"`run_timeout_seconds` ({limit_s:,.0f} s) is over"
        self.notes.append(f"the run ended because {why}; the same command resumes")
        if not self._datasets:
            self.fail_all(RunOverdue("the run had not created any report", why=why), request)
        for result in list(self._datasets.values()):
            if isinstance(result, DatasetOutcome) and result.is_pending:
                self.put(replace(result, error=RunOverdue("not finished", why=why)))

    @property
    def is_to_be_resumed(self) -> bool:
        """Whether a dataset failed whose fetched data are good."""
        return any(
            isinstance(self.record(dataset).error, _DATA_ARE_GOOD)
            for dataset in self._datasets
            if dataset not in self.refused
        )

    def finish(self) -> tuple[list[DatasetRecord], RunStatus]:
        """The records as they are when the run ends, and its status."""
        failed = [undeleted for undeleted in self.undeleted if undeleted.dataset is None]
        self.notes += [undeleted.note for undeleted in failed]
        return finish_records(
            with_notes(self.record(dataset), (lost.note for lost in self.undeleted if lost.dataset == dataset))
            for dataset in self._datasets
        )

    def count(self, records: list[DatasetRecord]) -> dict[str, int]:
        """How many datasets ended with which status; those whose reports were only ordered are `submitted`."""
        return dict(
            Counter("submitted" if self.is_submitted(record.dataset) else str(record.status) for record in records)
        )
