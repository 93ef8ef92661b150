"""
Validation of request bodies and other values that callers send.

The order of the checks is ours; the error texts are the documented ones. Keys ignore case (behaviour 34).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bulkpull.simulator.api_replies import (
    INVALID_PARAMETERS,
    NULL_OR_MISSING,
    Refusal,
    bad_creation,
    bad_request,
    requested_value,
)
from bulkpull.simulator.entities import ReportOrder, Window

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
        self.raw = raw
        self._values = {key.casefold(): value for key, value in raw.items()}

    def get(self, name: str) -> Any:
        return self._values.get(name.casefold())

    def text(self, name: str) -> str | None:
        """The value without blanks around it; `None` when it is missing, null or blank."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise bad_request(INVALID_PARAMETERS)
        return (value or "").strip() or None

    def is_blank(self, name: str) -> bool:
        """Whether the field is there with an empty text, as opposed to missing or null."""
        value = self.get(name)
        return isinstance(value, str) and not value.strip()

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise bad_request(NULL_OR_MISSING)
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """A JSON boolean, or its word in an address."""
        value = self.get(name)
        if value is None:
            return default
        word = str(value).strip().casefold()
        if word not in ("true", "false"):
            raise requested_value(value)
        return word == "true"

    def word(self, name: str, *allowed: str, refusal: str) -> str | None:
        """One of the allowed words, as they are written here, whatever the case it came in."""
        word = self.text(name)
        if word is None:
            return None
        if word == _PLACEHOLDER:
            raise requested_value(word)
        known = {candidate.casefold(): candidate for candidate in allowed}
        if word.casefold() not in known:
            raise bad_creation(refusal)
        return known[word.casefold()]


def read_order(
    body: Fields,
    *,
    now: datetime,
    minimum_recurrence_h: int,
    bad_time: Refusal | None,
    previous: ReportOrder | None = None,
) -> ReportOrder:
    """
    Check the body of a new report, or of an update of `previous`, whose values stay where it has none (behaviour 95).

    `bad_time`, where there is one, is raised for a time of another form in place of a 400.
    """
    name, description, is_new = body.required("ReportName"), body.text("Description"), previous is None
    if len(name) > _LONGEST_TEXT or len(description or "") > _LONGEST_TEXT:
        raise bad_creation("Limit ReportName and Description length to 256 characters or less")
    if ";" in name:
        raise bad_creation("Invalid character (;) in ReportName")
    one_off = is_new and body.flag("ExecuteNow", default=False)
    start_at = None if one_off else _time(body.get("StartTime"), "StartTime", bad_time)
    # The two query times have no effect on a scheduled report (behaviour 83).
    window: Window = (None, None)
    if is_new:
        window = read_window(body.get("QueryStartTime"), body.get("QueryEndTime"), bad_time=bad_time, counts=one_off)
    interval_h = count = None
    if not one_off:
        interval_h, count = body.get("RecurrenceInterval"), body.get("RecurrenceCount")
        if start_at is None or (interval_h is None and is_new):
            raise bad_request(NULL_OR_MISSING)
        if interval_h is not None:
            _check_interval(interval_h, minimum_h=minimum_recurrence_h)
        if count is not None and (type(count) is not int or count < 1):
            raise bad_creation("Recurrence count has to be a positive integer value")
        # An update has a start, too, so the four hours apply again (behaviour 95).
        if start_at < now + LEAD:
            raise bad_creation("Start time of report should at least be 4 hours from current UTC time")
    format_ = body.word("Format", "csv", "tsv", refusal="Report format should be csv/tsv")
    callback_url = body.text("CallbackUrl")
    if callback_url is not None and not callback_url.casefold().startswith(("https://", "http://")):
        raise requested_value(callback_url)
    callback_method = body.word("CallbackMethod", "GET", "POST", refusal="CallbackMethod can only be GET or POST")
    before = previous or ReportOrder(name=name, start_at=now)
    # Assumed: no document says how a callback is removed.
    is_removed = body.is_blank("CallbackUrl")
    return ReportOrder(
        name=name,
        description=description or (None if body.is_blank("Description") else before.description),
        execute_now=one_off,
        start_at=start_at or now,
        window=window,
        interval_h=interval_h or before.interval_h,
        count=count or before.count,
        format=format_ or before.format,
        callback_url=callback_url or (None if is_removed else before.callback_url),
        callback_method=callback_method or (None if is_removed else before.callback_method),
    )


def read_window(start: object, end: object, *, bad_time: Refusal | None = None, counts: bool = True) -> Window:
    """A start and an end, each of which may be missing; where the window does not count, only their form does."""
    window = _time(start, "StartTime", bad_time), _time(end, "EndTime", bad_time)
    if not counts:
        return None, None
    if window[0] is not None and window[1] is not None and window[1] <= window[0]:
        raise bad_creation("EndTime should be greater than StartTime")
    return window


def _time(value: object, name: str, bad_time: Refusal | None) -> datetime | None:
    moment = parse_time(value)
    if value is not None and moment is None:
        raise bad_time or bad_creation(f"{name} should follow format: yyyy-MM-ddTHH:mm:ssZ")
    return moment


def parse_time(value: object) -> datetime | None:
    """A time in the only accepted form, `yyyy-MM-ddTHH:mm:ssZ`; `None` for anything else (behaviour 81)."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _check_interval(value: object, *, minimum_h: int) -> None:
    # JSON's true is no number.
    if type(value) is not int:
        raise bad_request(INVALID_PARAMETERS)
    if not _SHORTEST_RECURRENCE_H <= value <= _LONGEST_RECURRENCE_H:
        raise bad_request("Recurrence Interval must be between 4 and 2160")
    if value < minimum_h:
        # Behaviour 50; which words the service has for it is not documented.
        raise bad_request(INVALID_PARAMETERS)
