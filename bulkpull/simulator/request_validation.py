"""
Validation of request bodies and other values that callers send.

The order of the checks is ours; the error texts are those of `error_replies`. Keys ignore case (behaviour 34).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bulkpull.simulator import error_replies
from bulkpull.simulator.error_replies import Refusal, bad_request

# Behaviour 81; the seed's examples and both samples send whole seconds.
LEAD = timedelta(hours=4)
_SHORTEST_RECURRENCE_H, _LONGEST_RECURRENCE_H = 4, 2160
_LONGEST_TEXT = 256
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
# What interface descriptions put in place of a text; the documents show it refused (behaviour 43).
_PLACEHOLDER = "string"


class Fields:
    """A JSON object or an address's parameters, with keys in any case."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._values = {key.casefold(): value for key, value in raw.items()}

    def get(self, name: str) -> Any:
        return self._values.get(name.casefold())

    def text(self, name: str) -> str | None:
        """The value without blanks around it; `None` when it is missing, null or blank."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise bad_request(error_replies.INVALID_PARAMETERS)
        return (value or "").strip() or None

    def is_blank(self, name: str) -> bool:
        """Whether the field is there with an empty text, as opposed to missing or null."""
        value = self.get(name)
        return isinstance(value, str) and not value.strip()

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise bad_request(error_replies.NULL_OR_MISSING)
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """A JSON boolean, or its word in an address."""
        value = self.get(name)
        if value is None:
            return default
        word = str(value).strip().casefold()
        if word not in ("true", "false"):
            raise error_replies.requested_value(value)
        return word == "true"

    def word(self, name: str, *allowed: str, refusal: str) -> str | None:
        """One of the allowed words, as they are written here, whatever the case it came in."""
        word = self.text(name)
        if word is None:
            return None
        if word == _PLACEHOLDER:
            raise error_replies.requested_value(word)
        known = {candidate.casefold(): candidate for candidate in allowed}
        if word.casefold() not in known:
            raise bad_request(refusal)
        return known[word.casefold()]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBody:
    """
    A valid body of a new report, or of an update, where `None` leaves a value as it is.

    `start_at` and `interval_h` are `None` for a one-off report; an update always has a name and a start (behaviour 95).
    """

    name: str
    description: str | None
    execute_now: bool
    start_at: datetime | None
    interval_h: int | None
    count: int | None
    window: tuple[datetime | None, datetime | None]
    format: str | None
    callback_url: str | None
    callback_method: str | None


def read_report_body(
    body: Fields, *, now: datetime, minimum_recurrence_h: int, bad_time: Refusal | None, is_update: bool = False
) -> ReportBody:
    """
    Check the body of a new report, or of an update.

    Raises:
        Refusal: 400 with the documented words; `bad_time`, where there is one, for a time of another form.
    """
    name, description = body.required("ReportName"), body.text("Description")
    if len(name) > _LONGEST_TEXT or len(description or "") > _LONGEST_TEXT:
        raise bad_request(error_replies.LENGTH)
    if ";" in name:
        raise bad_request(error_replies.SEMICOLON)
    one_off = not is_update and body.flag("ExecuteNow", default=False)
    bad_start = bad_time or bad_request(error_replies.START_FORMAT)
    start_at = None if one_off else read_time(body.get("StartTime"), bad_start)
    # The two query times have no effect on a scheduled report (behaviour 83).
    window: tuple[datetime | None, datetime | None] = (None, None)
    if not is_update:
        start = read_time(body.get("QueryStartTime"), bad_start)
        end = read_time(body.get("QueryEndTime"), bad_time or bad_request(error_replies.END_FORMAT))
        if one_off:
            window = start, end
            if start is not None and end is not None and end <= start:
                raise bad_request(error_replies.END_BEFORE_START)
    interval_h = count = None
    if not one_off:
        interval = body.get("RecurrenceInterval")
        if start_at is None or (interval is None and not is_update):
            raise bad_request(error_replies.NULL_OR_MISSING)
        interval_h = _interval(interval, minimum_h=minimum_recurrence_h) if interval is not None else None
        count = _count(body.get("RecurrenceCount"))
        # An update has a start, too, so the four hours apply again (behaviour 95).
        if start_at < now + LEAD:
            raise bad_request(error_replies.START_TOO_EARLY)
    format_ = body.word("Format", "csv", "tsv", refusal=error_replies.FORMAT)
    callback_url = body.text("CallbackUrl")
    if callback_url is not None and not callback_url.casefold().startswith(("https://", "http://")):
        raise error_replies.requested_value(callback_url)
    return ReportBody(
        name=name,
        description=description,
        execute_now=one_off,
        start_at=start_at,
        interval_h=interval_h,
        count=count,
        window=window,
        format=format_,
        callback_url=callback_url,
        callback_method=body.word("CallbackMethod", "GET", "POST", refusal=error_replies.CALLBACK_METHOD),
    )


def read_time(value: object, refusal: Refusal) -> datetime | None:
    """A time that may be missing; `refusal` is raised for one of another form."""
    moment = parse_time(value)
    if value is not None and moment is None:
        raise refusal
    return moment


def parse_time(value: object) -> datetime | None:
    """A time in the only accepted form, `yyyy-MM-ddTHH:mm:ssZ`; `None` for anything else (behaviour 81)."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _interval(value: object, *, minimum_h: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad_request(error_replies.INVALID_PARAMETERS)
    if not _SHORTEST_RECURRENCE_H <= value <= _LONGEST_RECURRENCE_H:
        raise bad_request(error_replies.RECURRENCE_BOUNDS)
    if value < minimum_h:
        # Behaviour 50; which words the service has for it is not documented.
        raise bad_request(error_replies.INVALID_PARAMETERS)
    return value


def _count(value: object) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise bad_request(error_replies.RECURRENCE_COUNT)
    return value
