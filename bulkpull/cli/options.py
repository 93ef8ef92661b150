"""The options that several commands share, with their completion by Tab; each means the same everywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer


def dataset_names(incomplete: str) -> list[str]:
    """Datasets of the catalog that begin like this, in any case."""
    from bulkpull.catalog import load_catalog

    return _beginning_with(incomplete, [dataset.name for dataset in load_catalog().datasets])


def timespans(incomplete: str) -> list[str]:
    """Time spans of the catalog that begin like this, the shortest first, and `widest`."""
    from bulkpull.catalog import load_catalog
    from bulkpull.timespans import WIDEST, order_by_length

    catalog = load_catalog()
    names = {*catalog.timespans, *(name for dataset in catalog.datasets for name in dataset.date_ranges)}
    return _beginning_with(incomplete, [*order_by_length(sorted(names)), WIDEST])


def fault_names(incomplete: str) -> list[str]:
    """Rows of the fault matrix and faults of the simulator that begin like this."""
    from bulkpull.simulator import FAULT_TABLE, STORIES

    return _beginning_with(incomplete, [*(row.id for row in FAULT_TABLE), *STORIES])


def _beginning_with(incomplete: str, names: list[str]) -> list[str]:
    # Keep the typed characters: typer drops candidates that begin otherwise, and names match in any case.
    return [incomplete + name[len(incomplete) :] for name in names if name.casefold().startswith(incomplete.casefold())]


# Panels of the help.
_WHERE = "Settings and service"
_OUTPUT = "Output"
_ROWS_AND_COLUMNS = "Rows and columns"


class LogFormat(StrEnum):
    """How log lines are written."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The least severe log lines that are shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Names = Annotated[list[str] | None, typer.Argument(metavar="DATASET", hidden=True, autocompletion=dataset_names)]
Demo = Annotated[
    bool,
    typer.Option("--demo", rich_help_panel=_WHERE, help="Use the embedded service simulator; needs no credentials."),
]
Output = Annotated[
    Path | None, typer.Option("--output", rich_help_panel=_WHERE, help="Output folder; default: ./bulkpull-data.")
]
Config = Annotated[
    Path | None,
    typer.Option("--config", rich_help_panel=_WHERE, help="Settings file; default: ./bulkpull.toml if present."),
]
Timespan = Annotated[
    str | None,
    typer.Option(
        "--timespan",
        metavar="NAME",
        help="Time span: LAST_MONTH … LIFETIME, any listed one, or widest; default: LAST_6_MONTHS.",
        autocompletion=timespans,
    ),
]
Since = Annotated[
    datetime | None, typer.Option("--since", formats=["%Y-%m-%d"], help="First day, UTC, instead of a timespan.")
]
Until = Annotated[
    datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="Day after the last, UTC; default: now.")
]
Metrics = Annotated[
    Literal["amounts", "all", "none"] | None,
    typer.Option("--metrics", help="Metrics after the columns: amounts that no column holds (default), all or none."),
]
Everything = Annotated[bool, typer.Option("--all", help="All datasets that the service lists, beyond the twenty.")]
Select = Annotated[
    str | None,
    typer.Option(
        "--select",
        metavar="COLUMNS",
        rich_help_panel=_ROWS_AND_COLUMNS,
        help="Columns and metrics, separated by commas.",
    ),
]
Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="CONDITIONS",
        rich_help_panel=_ROWS_AND_COLUMNS,
        help='Conditions on its rows: "ACR_USD > 20000".',
    ),
]
OrderBy = Annotated[
    str | None,
    typer.Option(
        "--order-by", metavar="COLUMNS", rich_help_panel=_ROWS_AND_COLUMNS, help='Order of its rows: "Month DESC".'
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", rich_help_panel=_ROWS_AND_COLUMNS, min=1, help="Maximum number of rows.")
]
Distinct = Annotated[bool, typer.Option("--distinct", rich_help_panel=_ROWS_AND_COLUMNS, help="Drop duplicate rows.")]
PublishedAs = Annotated[
    str | None,
    typer.Option(
        "--as",
        rich_help_panel=_ROWS_AND_COLUMNS,
        metavar="NAME",
        help="Name to publish it under; default: DATASET-selection-…",
    ),
]
Plan = Annotated[bool, typer.Option("--plan", help="Show what would be done, with reads only.")]
SubmitOnly = Annotated[
    bool, typer.Option("--submit-only", help="Create the reports and exit; `bulkpull runs resume` collects them.")
]
ResetTypes = Annotated[bool, typer.Option("--reset-types", help="Infer the column types of the named datasets again.")]
KeepRaw = Annotated[bool, typer.Option("--keep-raw", help="Keep the downloaded bytes beside the Parquet.")]
MetricsFile = Annotated[
    Path | None,
    typer.Option("--metrics-file", rich_help_panel=_OUTPUT, help="Write Prometheus metrics of the run to this file."),
]
AsJson = Annotated[
    bool, typer.Option("--json", rich_help_panel=_OUTPUT, help="Print one JSON object on standard output.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before anything is deleted.")]
More = Annotated[
    bool, typer.Option("--yes", help="Create more reports for a dataset than `reports_per_dataset` allows.")
]
Quiet = Annotated[bool, typer.Option("--quiet", rich_help_panel=_OUTPUT, help="Errors only: no display, no summary.")]
Format = Annotated[
    LogFormat, typer.Option("--log-format", rich_help_panel=_OUTPUT, help="Log lines on standard error.")
]
Level = Annotated[
    LogLevel | None,
    typer.Option("--log-level", rich_help_panel=_OUTPUT, help="Quietest log lines shown; default: info."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonOptions:
    """
    The options that most commands have in common; a command that lacks one has its default.

    Attributes:
        config: The settings file; `None` when the option was not given.
        as_json: One JSON object on standard output takes the place of what people read.
        quiet: Errors only, no display and no summary.
        log_level: `None` when the option was not given.
    """

    config: Config = None
    as_json: AsJson = False
    quiet: Quiet = False
    log_format: Format = LogFormat.CONSOLE
    log_level: Level = None

    @property
    def logs_json(self) -> bool:
        """Whether every line on standard error has to be a JSON object."""
        return self.log_format is LogFormat.JSON

    def level(self, default: LogLevel) -> LogLevel:
        """The level to log at: errors when quiet, else the option's, else `default`."""
        return LogLevel.ERROR if self.quiet else self.log_level or default


def day_of(moment: datetime | None) -> date | None:
    """The day that a date option gave."""
    return moment.date() if moment else None


def examples(*lines: str) -> str:
    r"""The end of a command's help: commands to paste. `\b` keeps the line breaks."""
    return "\n".join(("Examples:\n", "\b", *(f"  {line}" for line in lines)))


_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_PART = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")


def read_span(text: str) -> timedelta:
    """
    `36h` → 36 hours; parts may follow each other, as in `1d12h`.

    Raises:
        typer.BadParameter: It is no length of time, or none at all.
    """
    folded = text.strip().lower()
    parts = _PART.findall(folded)
    if not parts or "".join(number + unit for number, unit in parts) != folded:
        raise typer.BadParameter(f"{text!r} is not a length of time such as 36h, 2d, 90m or 1d12h")
    try:
        span = sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is too long") from None
    if not span:
        raise typer.BadParameter("the length of time must be positive")
    return span
