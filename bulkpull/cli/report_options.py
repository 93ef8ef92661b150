"""The options of `bulkpull reports create` and `update`, and which of them exclude each other."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Annotated

from bulkpull.cli import options
from bulkpull.cli.options import option
from bulkpull.errors import SettingsError
from bulkpull.model import DEFAULT_FORMAT, CallbackMethod, FileFormat
from bulkpull.redact import printable

_START = "First run: 2026-01-31T06:00 (UTC) or 2026-01-31T08:00+02:00; four hours ahead; default: at once then."
_START_FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z"]
_CALLBACK = 'Public https address that is called for each file; on update, "" removes it.'
_METHOD = "HTTP method of the callback; default: POST."

Every = Annotated[int | None, option("--every", "Interval in hours: 4 to 2160.")]
Name = Annotated[str | None, option("--name", "Up to 256 characters without semicolon.", metavar="NAME")]
Description = Annotated[str | None, option("--description", 'Description; on update, "" removes it.')]
Start = Annotated[datetime | None, option("--start", _START, formats=_START_FORMATS, metavar="TIME")]
CallbackUrl = Annotated[str | None, option("--callback-url", _CALLBACK, metavar="ADDRESS")]
Method = Annotated[CallbackMethod | None, option("--callback-method", _METHOD, case_sensitive=False)]
_QUERY_DATASET = option(
    "--dataset", "Or a query of all columns of this dataset.", metavar="DATASET", autocompletion=options.dataset_names
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSpec:
    """The report that `reports create` is to make; a dataset stands for this tool's own query of all its columns."""

    query_id: Annotated[str | None, option("--query-id", "The query of the report.", metavar="ID")] = None
    dataset: Annotated[str | None, _QUERY_DATASET] = None
    at_once: Annotated[bool, option("--now", "Run once, immediately.")] = False
    since: options.Since = None
    until: options.Until = None
    timespan: options.Timespan = None
    every: Every = None
    start: Start = None
    times: Annotated[int | None, option("--times", "Number of runs; default: unlimited.")] = None
    name: Name = None
    description: Description = None
    file_format: Annotated[FileFormat, option("--format", "Of the file.")] = DEFAULT_FORMAT
    callback_url: CallbackUrl = None
    callback_method: Method = None

    def check(self) -> None:
        if (self.query_id is None) == (self.dataset is None):
            raise SettingsError("a report has one query", fix="give either --query-id ID or --dataset NAME")
        if self.at_once == (self.every is not None):
            raise SettingsError("a report runs once or on a schedule", fix="give either --now or --every HOURS")
        if self.at_once and (self.start is not None or self.times is not None):
            raise SettingsError("--now excludes --start and --times", fix="give --every HOURS for a schedule")
        if not self.at_once and (self.since or self.until):
            raise SettingsError("--since and --until need --now", why="the service ignores them on a schedule")
        if self.timespan and self.dataset is None:
            raise SettingsError("--timespan goes with --dataset", why="a stored query has its own")
        _check_name(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportUpdate:
    """What `reports update` is to change; `None` leaves a value, an empty description or address removes it."""

    name: Name = None
    description: Description = None
    every: Every = None
    start: Start = None
    times: Annotated[int | None, option("--times", "Number of runs.")] = None
    file_format: Annotated[FileFormat | None, option("--format", "Of the file.")] = None
    callback_url: CallbackUrl = None
    callback_method: Method = None

    def check(self) -> None:
        if all(getattr(self, option.name) is None for option in fields(self)):
            raise SettingsError("nothing to change was given", fix="see `bulkpull reports update --help`")
        _check_name(self.name)


def _check_name(name: str | None) -> None:
    """Refuse a name with this tool's prefix: exports delete such reports."""
    from bulkpull.pipeline.steps.naming import OWN_PREFIX  # slow to load

    if name is not None and name.strip().casefold().startswith(f"{OWN_PREFIX}_"):
        raise SettingsError(
            f"a report cannot be named {printable(name, most=40)!r} here",
            why=f"names that begin with {OWN_PREFIX}_ mark reports that exports make and delete",
        )


def in_utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
