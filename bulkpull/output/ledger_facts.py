"""
The facts that each step of a run writes into the ledger: one class per step, whose fields are the keys of the JSON.

Unknown keys are ignored, and what earlier versions did not write has a default, so that their ledgers are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Self

from pydantic import TypeAdapter, ValidationError

from bulkpull.conversion.messages import ColumnPlan, ConversionResult, WindowBounds
from bulkpull.model import DownloadedFile, Execution, Window
from bulkpull.output.manifest import DatasetRecord, Moment, MomentIfAny


@dataclass(frozen=True, slots=True)
class StepFacts:
    """The facts of a step; `step` is its name in the ledger."""

    step: ClassVar[str]
    leaves_out_none: ClassVar[bool] = False

    def as_json(self) -> dict[str, Any]:
        """The facts as JSON values."""
        values: dict[str, Any] = self._adapter().dump_python(self, mode="json", exclude_none=self.leaves_out_none)
        return values

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self | None:
        """The facts that `as_json` gave; `None` where another version wrote something else."""
        try:
            facts: Self = cls._adapter().validate_python(values)
        except ValidationError:
            return None
        return facts

    @classmethod
    @cache  # built when it is first needed
    def _adapter(cls) -> TypeAdapter[Any]:
        return TypeAdapter(cls)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullFacts(StepFacts):
    """Facts of one pull, which carry its fingerprint (`mark`) and the hash of its question."""

    mark: str | None = None
    question_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class ReportFacts(PullFacts):
    """A one-off report was created."""

    step = "report"

    report_id: str
    query_id: str = ""
    name: str = ""
    created_at: MomentIfAny = None


@dataclass(frozen=True, slots=True)
class ExecutionFacts(PullFacts):
    """An execution is complete; its link is a secret and stays out."""

    step = "execution"

    report_id: str
    execution_id: str = ""
    generated_at: MomentIfAny = None
    data_redacted: bool = False
    unbelieved_at: MomentIfAny = None

    @classmethod
    def of(cls, execution: Execution, *, report_id: str) -> Self:
        """The facts of an execution of the report of that id."""
        found = execution
        return cls(report_id, found.execution_id, found.generated_at, found.data_redacted, found.unbelieved_at)


@dataclass(frozen=True, slots=True)
class DownloadFacts(PullFacts):
    """The file of an execution is complete."""

    step = "downloaded"

    execution_id: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ConversionFacts(PullFacts):
    """A pull was converted: all that decides whether its files still match a request; `name` is of a one-off report."""

    step = "converted"

    execution_id: str
    report_id: str
    generated_at: Moment | None
    data_redacted: bool
    stored: DownloadedFile
    table: ConversionResult
    columns: tuple[ColumnPlan, ...]
    bounds: WindowBounds | None
    unbelieved_at: Moment | None = None
    query_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class PublicationFacts(StepFacts):
    """A snapshot became current."""

    step = "published"

    record: DatasetRecord


@dataclass(frozen=True, slots=True)
class SplitFacts(StepFacts):
    """A window was requested in halves; `mark` is the fingerprint of its pull."""

    step = "split"

    mark: str
    start: MomentIfAny = None
    end: MomentIfAny = None


@dataclass(frozen=True, slots=True)
class InWindowsFacts(StepFacts):
    """A whole dataset is requested in windows, since its report failed; or the windows failed too (`failed` alone)."""

    step = "in_windows"
    leaves_out_none = True

    mark: str
    start: Moment | None = None
    end: Moment | None = None
    failure: str | None = None
    failed: bool | None = None

    @property
    def window(self) -> Window:
        """The window that holds all of the dataset."""
        assert self.start is not None
        assert self.end is not None
        return Window(self.start, self.end)


@dataclass(frozen=True, slots=True)
class ScheduledReportFacts(StepFacts):
    """
    A scheduled report is about to be created (`name` and `query_digest` alone), or is in use (`report_id` as well).

    It runs `lead_h` before the nightly hour; `own` says that this folder created it (earlier versions did not say so).
    """

    step = "standing"
    leaves_out_none = True

    name: str
    report_id: str | None = None
    query_id: str | None = None
    question_sha256: str | None = None
    lead_h: float | None = None
    own: bool | None = None
    query_digest: str | None = None


@dataclass(frozen=True, slots=True)
class MissedFacts(StepFacts):
    """An execution of a scheduled report was due and did not come."""

    step = "missed"

    report_id: str
    due_at: MomentIfAny = None


@dataclass(frozen=True, slots=True)
class UnchangedFacts(StepFacts):
    """The data of an execution were found to be those that are published."""

    step = "unchanged"

    execution_id: str | None = None
    generated_at: Moment | None = None
    question_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class RefusedMetricsFacts(StepFacts):
    """The service refused a query because of its metrics."""

    step = "metrics_refused"

    metrics: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class PollFormFacts(StepFacts):
    """The service made a run fall back to this form of look-up."""

    step = "look_form"

    form: str
