"""
The names of our queries and reports on the service, and parsing them (pure).

Creating is not idempotent (behaviour 45) and an answer can get lost, so every name carries a fingerprint of the
requested data and of the columns selected today. Objects with other names belong to others and are never touched (80).

    bulkpull AzureUsage 3f1c09aa5b7d                                  a query, used again from run to run
    bulkpull_AzureUsage_9b02e7d1c4a6_20261123T020405Z-1f2e3d_1        a report of one run, its first attempt
    bulkpull_AzureUsage_9b02e7d1c4a6_standing                         the scheduled report of `nightly`
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from bulkpull.clock import iso_utc
from bulkpull.model import Pull, Query
from bulkpull.output.layout import RUN_ID
from bulkpull.output.run_history import run_start_time
from bulkpull.query import normalise
from bulkpull.requested_data import requested_data

OWN_PREFIX = "bulkpull"
DESCRIPTION = "Made by bulkpull; deleted by it when no longer needed"
_STANDING = "standing"
_REPORT = re.compile(
    rf"{OWN_PREFIX}_(?P<dataset>.+)_(?P<fingerprint>[0-9a-f]{{12}})_(?:(?P<run>{RUN_ID.pattern})_(?P<attempt>\d+)|{_STANDING})"
)


@dataclass(frozen=True, slots=True)
class ReportName:
    """The parsed name of one of our reports; a scheduled one names no run."""

    dataset: str
    fingerprint: str
    run_id: str | None = None
    attempt: int | None = None

    @property
    def created_at(self) -> datetime | None:
        return run_start_time(self.run_id) if self.run_id else None


def pull_fingerprint(pull: Pull) -> str:
    """Twelve hexadecimal digits that stand for the requested data and the columns that are selected for them today."""
    return _digits("\n".join((requested_data(pull).sha256, *(name.casefold() for name in pull.columns))))


def earlier_fingerprint(pull: Pull) -> str:
    """The fingerprint that earlier versions gave to reports of the same query and window."""
    window = f"{iso_utc(pull.window.start)}/{iso_utc(pull.window.end)}" if pull.window else ""
    return _digits("\n".join((pull.dataset, normalise(pull.query_text), window)))


def query_name(pull: Pull) -> str:
    """Letters, digits and blanks only (behaviour 71); the digits are those of the query's text alone."""
    letters = "".join(character for character in pull.dataset if character.isalnum())
    return f"{OWN_PREFIX} {letters} {query_digest(pull.query_text)}"


def query_digest(query_text: str) -> str:
    """Twelve hexadecimal digits that stand for a query's text, however it is spaced."""
    return _digits(normalise(query_text))


def report_name(pull: Pull, *, run_id: str, attempt: int) -> str:
    """No blank and no semicolon, at most 256 characters (behaviour 93); another attempt is another report."""
    return f"{OWN_PREFIX}_{pull.dataset}_{pull_fingerprint(pull)}_{run_id}_{attempt}"


def scheduled_report_name(pull: Pull) -> str:
    """The same in every run, as long as dataset and query are the same."""
    return f"{OWN_PREFIX}_{pull.dataset}_{pull_fingerprint(pull)}_{_STANDING}"


def parse_report_name(name: str) -> ReportName | None:
    """The parts of a report's name; `None` when it is not ours."""
    found = _REPORT.fullmatch(name.strip())
    if found is None:
        return None
    attempt = found["attempt"]
    return ReportName(found["dataset"], found["fingerprint"], found["run"], int(attempt) if attempt else None)


def is_ours(query: Query) -> bool:
    """Whether a query carries this tool's prefix; what others made is never touched (behaviour 80)."""
    return query.name.startswith(f"{OWN_PREFIX} ")


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
