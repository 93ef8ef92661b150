"""
Validation of request bodies and other values that callers send.

The order of the checks is ours; the error texts are those of `error_replies`. Keys ignore case (behaviour 34).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bulkpull.simulator import error_replies
from bulkpull.simulator.error_replies import bad_request

# Behaviour 81; the seed's examples and both samples send whole seconds.
LEAD = timedelta(hours=4)
_RECURRENCE_H = (4, 2160)
_LONGEST_TEXT = 256
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
# What interface descriptions put in place of a text; the documents show it refused (behaviour 43).
_PLACEHOLDER = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBody:
    """A valid report body; `start_at` and `interval_h` are `None` for a one-off report."""

    name: str
    description: str | None
    execute_now: bool
    start_at: datetime | None
    interval_h: int | None
    count: int | None
    window: tuple[datetime | None, datetime | None]
    format: str
    callback_url: str | None
    callback_method: str | None


class Fields:
    """A JSON object or an address's parameters, with keys in any case."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._values = {key.casefold(): value for key, value in raw.items()}

    def get(self, name: str) -> Any:
        """The value, `None` when it is missing or null."""
        return self._values.get(name.casefold())

    def text(self, name: str) -> str | None:
        """The value without blanks around it; `None` when it is missing, null or blank."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise bad_request(error_replies.INVALID_PARAMETERS)
        return value.strip() or None

    def is_blank(self, name: str) -> bool:
        """Whether the field is there with an empty text, as opposed to missing or null."""
        value = self.get(name)
        return isinstance(value, str) and not value.strip()

    def required(self, name: str) -> str:
        """The text of a mandatory field."""
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


def read_order(
    fields: Fields, *, now: datetime, minimum_recurrence_h: int, bad_time: int, correlation_id: str
) -> ReportBody:
    """
    Check the body of a new report.

    Raises:
        Refusal: 400 with the documented words, or `bad_time` for a time of another form (behaviour 41).
    """
    name, description = _texts(fields)
    one_off = fields.flag("ExecuteNow", default=False)
    clerk = _TimeClerk(bad_time, correlation_id)
    start_at = None if one_off else clerk.read(fields, "StartTime", error_replies.START_FORMAT)
    window = (
        clerk.read(fields, "QueryStartTime", error_replies.START_FORMAT),
        clerk.read(fields, "QueryEndTime", error_replies.END_FORMAT),
    )
    if one_off and window[0] is not None and window[1] is not None and window[1] <= window[0]:
        raise bad_request(error_replies.END_BEFORE_START)
    interval_h = count = None
    if not one_off:
        if start_at is None or fields.get("RecurrenceInterval") is None:
            raise bad_request(error_replies.NULL_OR_MISSING)
        interval_h = _interval(fields.get("RecurrenceInterval"), minimum_h=minimum_recurrence_h)
        count = _count(fields.get("RecurrenceCount"))
        _check_lead(start_at, now=now)
    return ReportBody(
        name=name,
        description=description,
        execute_now=one_off,
        start_at=start_at,
        interval_h=interval_h,
        count=count,
        # The two query times have no effect on a scheduled report (behaviour 83).
        window=window if one_off else (None, None),
        format=_word(fields, "Format", allowed=("csv", "tsv"), refusal=error_replies.FORMAT) or "csv",
        callback_url=_callback_url(fields),
        callback_method=_word(fields, "CallbackMethod", allowed=("GET", "POST"), refusal=error_replies.CALLBACK_METHOD),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEdit:
    """The body of an update; `None` leaves a value as it is. Name and start are always there (behaviour 95)."""

    name: str
    start_at: datetime
    description: str | None
    interval_h: int | None
    count: int | None
    format: str | None
    callback_url: str | None
    callback_method: str | None


def read_change(
    fields: Fields, *, now: datetime, minimum_recurrence_h: int, bad_time: int, correlation_id: str
) -> ReportEdit:
    """Check the body of an update, which needs name and start, so the four hours apply again (behaviour 95)."""
    name, description = _texts(fields)
    start_at = _TimeClerk(bad_time, correlation_id).read(fields, "StartTime", error_replies.START_FORMAT)
    if start_at is None:
        raise bad_request(error_replies.NULL_OR_MISSING)
    interval = fields.get("RecurrenceInterval")
    change = ReportEdit(
        name=name,
        start_at=start_at,
        description=description,
        interval_h=_interval(interval, minimum_h=minimum_recurrence_h) if interval is not None else None,
        count=_count(fields.get("RecurrenceCount")),
        format=_word(fields, "Format", allowed=("csv", "tsv"), refusal=error_replies.FORMAT),
        callback_url=_callback_url(fields),
        callback_method=_word(fields, "CallbackMethod", allowed=("GET", "POST"), refusal=error_replies.CALLBACK_METHOD),
    )
    _check_lead(start_at, now=now)
    return change


@dataclass(frozen=True, slots=True)
class _TimeClerk:
    """Parses times, and rejects bad ones as this service does."""

    status: int
    correlation_id: str

    def read(self, fields: Fields, name: str, message: str) -> datetime | None:
        value = fields.get(name)
        if value is None:
            return None
        moment = parse_time(value)
        if moment is None:
            if self.status == error_replies.INTERNAL_ERROR:
                raise error_replies.internal_error(self.correlation_id)
            raise bad_request(message)
        return moment


def parse_time(value: object) -> datetime | None:
    """A time in the only accepted form, `yyyy-MM-ddTHH:mm:ssZ`; `None` for anything else (behaviour 81)."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _texts(fields: Fields) -> tuple[str, str | None]:
    name = fields.required("ReportName")
    description = fields.text("Description")
    if len(name) > _LONGEST_TEXT or len(description or "") > _LONGEST_TEXT:
        raise bad_request(error_replies.LENGTH)
    if ";" in name:
        raise bad_request(error_replies.SEMICOLON)
    return name, description


def _check_lead(start_at: datetime, *, now: datetime) -> None:
    if start_at < now + LEAD:
        raise bad_request(error_replies.START_TOO_EARLY)


def _interval(value: object, *, minimum_h: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad_request(error_replies.INVALID_PARAMETERS)
    shortest, longest = _RECURRENCE_H
    if not shortest <= value <= longest:
        raise bad_request(error_replies.RECURRENCE_BOUNDS)
    if value < minimum_h:
        # Behaviour 50; which words the service has for it is not documented.
        raise bad_request(error_replies.INVALID_PARAMETERS)
    return value


def _count(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise bad_request(error_replies.RECURRENCE_COUNT)
    return value


def _word(fields: Fields, name: str, *, allowed: Collection[str], refusal: str) -> str | None:
    """One of the allowed words, as they are written here, whatever the case it came in."""
    word = fields.text(name)
    if word is None:
        return None
    if word == _PLACEHOLDER:
        raise error_replies.requested_value(word)
    same = [known for known in allowed if known.casefold() == word.casefold()]
    if not same:
        raise bad_request(refusal)
    return same[0]


def _callback_url(fields: Fields) -> str | None:
    address = fields.text("CallbackUrl")
    if address is not None and not address.casefold().startswith(("https://", "http://")):
        raise error_replies.requested_value(address)
    return address
