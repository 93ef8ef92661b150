"""The options that several commands share; each means the same everywhere."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bulkpull.cli import completion as complete
from bulkpull.cli.errors import LogFormat, LogLevel

# Panels of the help: what is given, and what is told.
_WHERE = "Settings and service"
_TOLD = "What is told"
_OF_ONE = "What of the one dataset that is named"

Names = Annotated[
    list[str] | None, typer.Argument(metavar="DATASET", hidden=True, autocompletion=complete.dataset_names)
]
Demo = Annotated[
    bool,
    typer.Option("--demo", rich_help_panel=_WHERE, help="Use the embedded service simulator; needs no credentials."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        rich_help_panel=_WHERE,
        help="Output folder; default: ./bulkpull-data.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        rich_help_panel=_WHERE,
        help="Settings file; default: ./bulkpull.toml if present.",
    ),
]
Timespan = Annotated[
    str | None,
    typer.Option(
        "--timespan",
        help="Span of the data: LAST_MONTH … LIFETIME, any that is listed, or widest; default: LAST_6_MONTHS.",
        autocompletion=complete.timespans,
    ),
]
Since = Annotated[
    datetime | None, typer.Option("--since", formats=["%Y-%m-%d"], help="First day, UTC, instead of a timespan.")
]
Until = Annotated[
    datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="Day after the last, UTC; default: now.")
]


class MetricsOption(StrEnum):
    """Which metrics a full export selects after the columns; the words of the setting `metrics`."""

    AMOUNTS = "amounts"
    ALL = "all"
    NONE = "none"


Metrics = Annotated[
    MetricsOption | None,
    typer.Option("--metrics", help="Metrics after the columns: amounts that no column holds (default), all or none."),
]
Everything = Annotated[bool, typer.Option("--all", help="All datasets that the service lists, beyond the twenty.")]
Select = Annotated[
    str | None, typer.Option("--select", rich_help_panel=_OF_ONE, help="Columns and metrics, parted by commas.")
]
Where = Annotated[
    str | None, typer.Option("--where", rich_help_panel=_OF_ONE, help='Conditions on its rows: "ACR_USD > 20000".')
]
OrderBy = Annotated[
    str | None, typer.Option("--order-by", rich_help_panel=_OF_ONE, help='Order of its rows: "Month DESC".')
]
Limit = Annotated[int | None, typer.Option("--limit", rich_help_panel=_OF_ONE, min=1, help="At most so many rows.")]
Distinct = Annotated[bool, typer.Option("--distinct", rich_help_panel=_OF_ONE, help="Of rows that are alike, one.")]
PublishedAs = Annotated[
    str | None,
    typer.Option(
        "--as", rich_help_panel=_OF_ONE, metavar="NAME", help="Name to publish it under; default: DATASET-selection-…"
    ),
]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would be done, with reads only.")]
SubmitOnly = Annotated[
    bool, typer.Option("--submit-only", help="Order the reports and end; `bulkpull runs resume` collects them.")
]
ResetTypes = Annotated[
    bool,
    typer.Option("--reset-types", help="Let the columns of what is named take their narrowest types again."),
]
KeepRaw = Annotated[bool, typer.Option("--keep-raw", help="Keep the downloaded bytes beside the Parquet.")]
MetricsFile = Annotated[
    Path | None,
    typer.Option(
        "--metrics-file",
        rich_help_panel=_TOLD,
        help="Write the run's numbers for Prometheus to this file.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", rich_help_panel=_TOLD, help="Print one JSON object on standard output.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before anything is deleted.")]
More = Annotated[
    bool, typer.Option("--yes", help="Order more reports for a dataset than `reports_per_dataset` allows.")
]
Quiet = Annotated[bool, typer.Option("--quiet", rich_help_panel=_TOLD, help="Errors only: no display, no summary.")]
Format = Annotated[LogFormat, typer.Option("--log-format", rich_help_panel=_TOLD, help="Log lines on standard error.")]
Level = Annotated[
    LogLevel | None, typer.Option("--log-level", rich_help_panel=_TOLD, help="Quietest log lines shown; default: info.")
]


def day_of(moment: datetime | None) -> date | None:
    """The day that a date option gave."""
    return moment.date() if moment else None


def examples(*lines: str) -> str:
    r"""The end of a command's help: commands to paste. `\b` keeps the line breaks."""
    return "\n".join(("Examples:\n", "\b", *(f"  {line}" for line in lines)))
