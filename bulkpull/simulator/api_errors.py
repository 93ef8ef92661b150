"""
Error replies of the simulated API, with the documented status and text.

The names follow the errors in the API description. A comment says where no document has a text.
"""

from __future__ import annotations

from typing import Any

INTERNAL_ERROR = 500

CREATION = "Invalid report parameters for creation - "

NULL_OR_MISSING = "Null or missing value"
INVALID_PARAMETERS = "Invalid report parameters"
INVALID_QUERY_ID = "Invalid QueryId"
# No document has the text for a refused name; only the refusal is known (behaviour 71).
INVALID_QUERY_NAME = "Invalid query name"
RECURRENCE_BOUNDS = "Recurrence Interval must be between 4 and 2160"
START_TOO_EARLY = CREATION + "Start time of report should at least be 4 hours from current UTC time"
START_FORMAT = CREATION + "StartTime should follow format: yyyy-MM-ddTHH:mm:ssZ"
END_FORMAT = CREATION + "EndTime should follow format: yyyy-MM-ddTHH:mm:ssZ"
END_BEFORE_START = CREATION + "EndTime should be greater than StartTime"
FORMAT = CREATION + "Report format should be csv/tsv"
SEMICOLON = CREATION + "Invalid character (;) in ReportName"
CALLBACK_METHOD = CREATION + "CallbackMethod can only be GET or POST"
RECURRENCE_COUNT = CREATION + "Recurrence count has to be a positive integer value"
LENGTH = CREATION + "Limit ReportName and Description length to 256 characters or less"
QUERY_QUOTA = "Number of queries exceeded. Delete few queries before creating new queries"
NO_ITEM = "No item found with given filters."
NO_EXECUTION = (
    "There are no executions that have occurred for the given filter conditions. Double check the reportId or "
    "executionId and retry the API after the report's scheduled execution time"
)

# No document has the text for a metric that is offered and refused in a query (behaviour 68).
_METRICS_REFUSED = {"names": "Incorrect column name", "syntax": "Invalid query", "length": "Query is too long"}


class Refusal(Exception):
    """
    An error reply.

    Attributes:
        status: HTTP status, repeated in the envelope.
        message: The service's words.
        extra: Further keys of the body.
        headers: Further headers of the answer.
        reason: The reason phrase, where it is not the usual one.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        reason: str | None = None,
    ) -> None:
        self.status, self.message, self.reason = status, message, reason
        self.extra, self.headers = extra or {}, headers or {}
        super().__init__(message)


def bad_request(message: str) -> Refusal:
    """400: the request itself is at fault."""
    return Refusal(400, message)


def requested_value(value: object) -> Refusal:
    """400 for a placeholder or an unknown word where the service expects one of a few (behaviour 43)."""
    return Refusal(400, f"Requested value '{value}' not found")


def one_off_quota(limit: int, window_s: float) -> Refusal:
    """400 of behaviour 85, which passes with time."""
    minutes = f"{window_s / 60:g}"
    return Refusal(400, f"User has exceeded its ExecuteNow report creation quota of {limit} reports/{minutes} mins")


def report_quota(limit: int) -> Refusal:
    """400 of behaviour 86, which passes when a report is deleted."""
    return Refusal(400, f"User has exceeded its report creation quota of {limit} active reports")


def internal_error(correlation_id: str) -> Refusal:
    """500 that usually stands for a badly formatted time (behaviour 41)."""
    return Refusal(500, f"Internal error encountered while creating report. Correlation ID <{correlation_id}>")


def unauthorized() -> Refusal:
    """401: the token is missing, unknown or at its end."""
    return Refusal(401, "Unauthorized", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


def mfa_required() -> Refusal:
    """401 for a token without the claim of multi-factor authentication (behaviours 10 and 12)."""
    return Refusal(
        401,
        "Unauthorized - MFA required",
        extra={"code": 900421},
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        reason="Unauthorized - MFA required",
    )


def forbidden() -> Refusal:
    """403: role or program; the status is documented, the text is not (behaviour 26)."""
    return Refusal(403, "Forbidden")


def metrics_refused(words: str) -> Refusal:
    """A query refused because of its metrics: `words` is "names", "syntax" or "length"."""
    return bad_request(_METRICS_REFUSED[words])


def throttled(wait_s: int) -> Refusal:
    """429 with the pause to make (behaviour 37)."""
    return Refusal(429, f"Rate limit is exceeded. Try again in {wait_s} seconds.", headers={"Retry-After": str(wait_s)})
