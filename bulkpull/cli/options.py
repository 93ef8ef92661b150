"""The options that several commands share, with their completion by Tab; each means the same everywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def dataset_names(incomplete: str) -> list[str]:
    """Datasets of the catalog that begin like this, in any case."""
    from bulkpull.catalog import load_catalog

    return _beginning_with(incomplete, [dataset.name for dataset in load_catalog().datasets])


def timespans(incomplete: str) -> list[str]:
    """Time spans of the catalog that begin like this, the shortest first, and `widest`."""
    from bulkpull.catalog import load_catalog
    from bulkpull.timespans import WIDEST, lengths_days

    catalog = load_catalog()
    names = {*catalog.timespans, *(name for dataset in catalog.datasets for name in dataset.date_ranges)}
    return _beginning_with(incomplete, [*lengths_days(sorted(names)), WIDEST])


def fault_names(incomplete: str) -> list[str]:
    """Rows of the fault matrix and faults of the simulator that begin like this."""
    from bulkpull.simulator import FAULT_TABLE, STORIES

    return _beginning_with(incomplete, [*(row.id for row in FAULT_TABLE), *STORIES])


def _beginning_with(incomplete: str, names: list[str]) -> list[str]:
    # Keep the typed characters: typer drops candidates that begin otherwise, and names match in any case.
    return [incomplete + name[len(incomplete) :] for name in names if name.casefold().startswith(incomplete.casefold())]


_WHERE = "Settings and service"
OUTPUT = "Output"
ROWS = "Rows and columns"
_DAYS = ["%Y-%m-%d"]


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def option(name: str, about: str, panel: str | None = None, **more: Any) -> Any:
    """An option with its line in the help and the panel there."""
    return typer.Option(name, help=about, rich_help_panel=panel, **more)


Names = Annotated[list[str] | None, typer.Argument(metavar="DATASET", hidden=True, autocompletion=dataset_names)]
Demo = Annotated[bool, option("--demo", "Use the embedded service simulator; needs no credentials.", _WHERE)]
Output = Annotated[Path | None, option("--output", "Output folder; default: ./bulkpull-data.", _WHERE)]
Config = Annotated[Path | None, option("--config", "Settings file; default: ./bulkpull.toml if present.", _WHERE)]
_SPANS = "Time span: LAST_MONTH … LIFETIME, any listed one, or widest; default: LAST_6_MONTHS."
Timespan = Annotated[str | None, option("--timespan", _SPANS, metavar="NAME", autocompletion=timespans)]
Since = Annotated[datetime | None, option("--since", "First day, UTC, instead of a timespan.", formats=_DAYS)]
Until = Annotated[datetime | None, option("--until", "Day after the last, UTC; default: now.", formats=_DAYS)]
Metrics = Annotated[
    Literal["amounts", "all", "none"] | None,
    option("--metrics", "Metrics after the columns: amounts that no column holds (default), all or none."),
]
AsJson = Annotated[bool, option("--json", "Print one JSON object on standard output.", OUTPUT)]
Yes = Annotated[bool, option("--yes", "Do not ask before anything is deleted.")]
Quiet = Annotated[bool, option("--quiet", "Errors only: no display, no summary.", OUTPUT)]
Format = Annotated[LogFormat, option("--log-format", "Log lines on standard error.", OUTPUT)]
_LEVEL_HELP = "Quietest log lines shown; default: info of a run without a display, else warning."
Level = Annotated[LogLevel | None, option("--log-level", _LEVEL_HELP, OUTPUT)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonOptions:
    """The options that most commands have in common; a command that lacks one has its default."""

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
    return moment.date() if moment else None


def examples(*lines: str) -> str:
    r"""The end of a command's help: commands to paste. `\b` keeps the line breaks."""
    return "\n".join(("Examples:\n", "\b", *(f"  {line}" for line in lines)))


_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_PART = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")


def read_span(text: str) -> timedelta:
    """`36h` → 36 hours; parts may follow each other, as in `1d12h`; raises `typer.BadParameter`."""
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
