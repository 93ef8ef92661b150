"""The manifest of a run, with one record per dataset; the fields have the names of the documented format."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import from_json

from bulkpull.clock import iso_utc
from bulkpull.conversion.output_formats import format_names
from bulkpull.errors import AuthError, BulkpullError
from bulkpull.formatting import format_counts
from bulkpull.model import Window
from bulkpull.output.atomic_files import json_text, json_values
from bulkpull.output.store import INSIDE, OutputStore
from bulkpull.window_bounds import window_values

DatasetStatus = Literal["complete", "skipped", "unavailable", "failed"]
RunStatus = Literal["complete", "partial", "failed"]


def whole_second(moment: datetime) -> datetime:
    """`moment` as it is written and read again: UTC, without parts of a second."""
    return moment.astimezone(UTC).replace(microsecond=0)


Moment = Annotated[AwareDatetime, AfterValidator(whole_second), PlainSerializer(iso_utc, return_type=str)]
"""An aware moment, UTC, of whole seconds; in JSON as the contract writes times (`iso_utc`)."""


def _none_if_odd(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        return None


MomentIfAny = Annotated[Moment | None, WrapValidator(_none_if_odd)]
"""A moment; `None` where there is none, or none that can be read."""


def _whole_seconds(window: Window | None) -> Window | None:
    if window is None:
        return None
    if window.start.tzinfo is None or window.end.tzinfo is None:
        raise ValueError("a bound of the window has no time zone")
    return Window(whole_second(window.start), whole_second(window.end))


RecordedWindow = Annotated[
    Window | None, AfterValidator(_whole_seconds), WrapValidator(_none_if_odd), PlainSerializer(window_values)
]
"""A window of whole seconds; `None` where there is none, or none that can be read. In JSON `{"start": …, "end": …}`."""


class Record(BaseModel):
    """A part of the manifest or of `current.json`; `record["name"]` is `record.name`."""

    # Built when first used: most runs need a few of these, and each is built with all that it holds.
    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    def __getitem__(self, name: str) -> Any:
        if name not in type(self).model_fields:
            raise KeyError(name)
        return getattr(self, name)


class PublishedFile(Record):
    """A Parquet file of a snapshot; `path` is relative to the output folder."""

    path: str
    rows: int
    bytes: int
    sha256: str


class PublishedColumn(Record):
    """
    A column as it is in Parquet; `declared` is the documents' type, `format` how a date was written in the file.

    Where the types differ, `why_text` says why, and `misfit` shows the first value that did not fit: `{"row": …,
    "value": "…"}`, rows counted from 1; `outgrown` shows the first one that the type published before could not hold.
    An `empty` column had no value in any snapshot so far; a `vanished` one has only values of earlier runs' windows.
    """

    name: str
    type: str
    declared: str | None = None
    format: str | None = None
    why_text: str | None = None
    misfit: dict[str, Any] | None = None
    outgrown: dict[str, Any] | None = None
    empty: bool = False
    vanished: bool = False


class Drift(Record):
    """How the columns differ from the snapshot before; `unrequested` ones came for the first time, and unasked."""

    appeared: list[str] = Field(default_factory=list)
    vanished: list[str] = Field(default_factory=list)
    retyped: list[str] = Field(default_factory=list)
    unrequested: list[str] = Field(default_factory=list)

    @property
    def changes(self) -> bool:
        return bool(self.appeared or self.vanished or self.retyped)

    def __bool__(self) -> bool:
        return self.changes or bool(self.unrequested)


class Seconds(Record):
    """How long each step took; `wait` is the service's own time."""

    submit: float = 0.0
    wait: float = 0.0
    download: float = 0.0
    convert: float = 0.0

    @property
    def total(self) -> float:
        return self.submit + self.wait + self.download + self.convert


class PartRecord(Record):
    """
    One window of a dataset.

    `edge_rows` lie on the day of its end, `outside_rows` outside of it: they came, and are left out, except where the
    next window lacks that day. `undated_rows` have no time. `run_id` is the earlier run that made the file, where a
    growing snapshot keeps it.
    """

    start: Moment
    end: Moment
    query_id: str | None = None
    report_id: str | None = None
    execution_id: str | None = None
    generated_at: MomentIfAny = None
    rows: int = 0
    edge_rows: int = 0
    outside_rows: int = 0
    undated_rows: int = 0
    downloaded_bytes: int = 0
    vouched_by: list[str] = Field(default_factory=list)
    run_id: str | None = None


class DecisionRecord(Record):
    """
    Where the run took a dataset's data from (`skip`, `take_execution`, `collect_report`, `order_report`), and why.

    `scheduled_report` is what a nightly run did with it: `keep`, `make`, `replace` or `leave`.
    """

    action: str
    reason: str
    scheduled_report: str | None = None


class DatasetRecord(Record):
    """
    One dataset's part of the manifest. `reason` is one sentence that a person can act on. `held_back` says that its
    data are here and were not published: `runs publish` does that.

    `generated_at` is when the service made the data (UTC), as far as it says so; where that lies ahead of its own clock
    it is `unbelieved_at` instead. A skipped dataset has that and the question of the snapshot that stays current.
    `question` is what the data answer, and `question_sha256` the hash over all of it; `query`, `timespan` and `window`
    tell the same for readers. The end of a window without a given end is the moment of the request; `parts` are the
    windows that it was asked for in. For a selection `dataset` is the name under which it is published, and `source`
    the dataset that it reads. `metrics` are those that the query selects after the columns, `metrics_left_out` the
    listed ones that it does not. `content_hash` names the unpacked content of the downloaded files. `vouched_by` names
    what tells that the files are whole and unchanged: `length`, `md5`, `gzip`, `end_mark`; `readings` where nothing but
    two equal readings does. `earlier_types` are the types of columns that earlier snapshots had: one that comes back
    takes up its type again. `due_at` is when the last execution of its scheduled report was due, where nothing has come
    of it yet, and `next_due_at` when the next one is. `rows_before` are the rows of the snapshot before, where this one
    has fewer by more than `note_shrink`.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    status: DatasetStatus
    reason: str | None = None
    held_back: bool = False
    query: str | None = None
    metrics: list[str] = Field(default_factory=list)
    metrics_left_out: list[str] = Field(default_factory=list)
    query_id: str | None = None
    report_id: str | None = None
    execution_id: str | None = None
    generated_at: MomentIfAny = None
    unbelieved_at: MomentIfAny = None
    data_redacted: bool = False
    rows: int = 0
    rows_before: int | None = None
    columns: list[PublishedColumn] = Field(default_factory=list)
    downloaded_bytes: int = 0
    files: list[PublishedFile] = Field(default_factory=list)
    seconds: Seconds = Field(default_factory=Seconds)
    source: str | None = None
    question: dict[str, Any] | None = None
    question_sha256: str | None = None
    due_at: MomentIfAny = None
    next_due_at: MomentIfAny = None
    decision: DecisionRecord | None = None
    timespan: str | None = None
    wider_timespan: str | None = None
    window: RecordedWindow = None
    content_hash: str | None = None
    vouched_by: list[str] = Field(default_factory=list)
    stored_md5: str | None = None
    parts: list[PartRecord] = Field(default_factory=list)
    earlier_types: dict[str, str] = Field(default_factory=dict)
    earlier_formats: dict[str, str] = Field(default_factory=dict)
    drift: Drift | None = None
    notes: list[str] = Field(default_factory=list)
    named: bool = Field(default=False, exclude=True)
    error: BulkpullError | None = Field(default=None, exclude=True)

    @property
    def is_current(self) -> bool:
        """Whether readers have its data, of this run or of an earlier one."""
        return self.status in ("complete", "skipped")

    @property
    def stored_bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def __repr__(self) -> str:
        description = f"{self.rows:,} rows" if self.reason is None else self.reason
        return f"<DatasetRecord {self.dataset} {self.status}: {description}>"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class Totals:
    """What some datasets of a run amount to: rows, bytes that were downloaded, bytes that are published."""

    rows: int
    downloaded_bytes: int
    stored_bytes: int

    @classmethod
    def of(cls, records: Iterable[DatasetRecord]) -> Totals:
        listed = list(records)
        return cls(
            sum(record.rows for record in listed),
            sum(record.downloaded_bytes for record in listed),
            sum(record.stored_bytes for record in listed),
        )


class Tool(Record):
    name: str = "bulkpull"
    version: str


class Requests(Record):
    """Calls of a run and all its resumptions: every 429 is `throttled`, every request sent again is `retried`."""

    total: int = 0
    by_endpoint: dict[str, int] = Field(default_factory=dict)
    throttled: int = 0
    retried: int = 0

    def __add__(self, other: Requests) -> Requests:
        return Requests(
            total=self.total + other.total,
            by_endpoint=dict(Counter(self.by_endpoint) + Counter(other.by_endpoint)),
            throttled=self.throttled + other.throttled,
            retried=self.retried + other.retried,
        )


class Manifest(Record):
    """
    The manifest of a run. Times are aware and UTC; in JSON they are ISO 8601 with `Z`.

    `account` is whose data they are; manifests of earlier versions do not tell. `notes` are about the run as a whole. A
    run that only `submitted` its reports has `skipped` datasets until it is resumed.
    """

    version: int = 1
    run_id: str
    status: RunStatus
    started_at: Moment
    finished_at: Moment
    tool: Tool
    api_base_url: str
    account: dict[str, Any] | None = Field(default=None, exclude_if=operator.not_)
    requests: Requests
    datasets: list[DatasetRecord]
    notes: list[str] = Field(default_factory=list, exclude_if=operator.not_)
    submitted: bool = Field(default=False, exclude_if=operator.not_)
    interrupted: bool = Field(default=False, exclude=True)

    def __repr__(self) -> str:
        statuses = Counter[str](record.status for record in self.datasets)
        description = format_counts(statuses) or "no datasets"
        rows = Totals.of(self.published.values()).rows
        return f"<Manifest {self.run_id} {self.status}: {description}; {rows:,} rows published>"

    __str__ = __repr__

    @property
    def published(self) -> dict[str, DatasetRecord]:
        """The snapshots that the run published, by dataset."""
        return {record.dataset: record for record in self.datasets if record.status == "complete"}

    @property
    def exit_code(self) -> int:
        """The contract's exit status for this run (section 3)."""
        if self.interrupted:
            return 130
        lost = [record for record in self.datasets if is_lost(record)]
        if any(isinstance(record.error, AuthError) for record in lost):
            return AuthError.exit_code
        return 3 if lost else 0

    @property
    def tells_offer(self) -> bool:
        """Whether it tells what the service offers: not where every dataset failed before the list could be used."""
        return any(record.status != "failed" or record.query is not None for record in self.datasets)

    @property
    def file_format(self) -> str:
        """The name of the format of its files, as people know it."""
        return format_names(file.path for record in self.datasets for file in record.files)

    def as_dict(self) -> dict[str, Any]:
        # mode="json" would refuse texts that UTF-8 cannot carry, and what a run did must be written whatever it says.
        values: dict[str, Any] = from_json(json_values(self.model_dump()))
        return values

    def save(self, store: OutputStore) -> None:
        """Write `runs/<run_id>/manifest.json`, whole or not at all. Raises `OSError`."""
        store.put(INSIDE.manifest(self.run_id), json_text(self.as_dict()))


def is_lost(record: DatasetRecord) -> bool:
    """Whether the user asked for this dataset and did not get it: failed, or named and not offered."""
    return record.status == "failed" or (record.status == "unavailable" and record.named)


def status_of(records: list[DatasetRecord]) -> RunStatus:
    """`complete` when nothing was lost, `failed` when everything was, `partial` in between."""
    if not any(is_lost(record) for record in records):
        return "complete"
    return "partial" if any(record.is_current for record in records) else "failed"
