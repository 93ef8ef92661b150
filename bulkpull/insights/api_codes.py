"""
HTTP statuses of the API: for each whether it is final, temporary, or unknown. Pure.

The service documents few statuses (behaviours 36 to 42 and 104); gateways and proxies add their own. An unknown status
is retried a limited number of times and then quoted.
"""

from __future__ import annotations

from collections.abc import Mapping

from bulkpull.transport.answer_kinds import AnswerKind

_FINAL, _PASSING, _UNKNOWN = AnswerKind.FINAL, AnswerKind.PASSING, AnswerKind.UNKNOWN

API_STATUSES: Mapping[int, tuple[AnswerKind, str]] = {
    400: (_FINAL, "the request is rejected; for a quota, wait or clean up"),
    401: (_FINAL, "the token is rejected; a fresh one is tried once"),
    402: (_FINAL, "the request is refused"),
    403: (_FINAL, "the role or the program does not allow it"),
    404: (_FINAL, "nothing matches; for executions it means nothing yet"),
    405: (_FINAL, "the request is refused"),
    406: (_FINAL, "the request is refused"),
    407: (_FINAL, "a proxy requires a user name and a password"),
    408: (_PASSING, "the service did not get the request in time"),
    409: (_FINAL, "the request conflicts with the current state"),
    410: (_FINAL, "it was permanently removed"),
    411: (_FINAL, "the request is refused"),
    413: (_FINAL, "the request is too large"),
    414: (_FINAL, "the address is too long"),
    415: (_FINAL, "the request is refused"),
    422: (_FINAL, "the request is refused"),
    425: (_PASSING, "the service is not ready for the request"),
    429: (_PASSING, "the service received too many requests"),
    431: (_FINAL, "the request's headers are too long"),
    451: (_FINAL, "it is unavailable for legal reasons"),
    500: (_PASSING, "the service has an error"),
    501: (_PASSING, "the service has an error"),
    502: (_PASSING, "a gateway got no valid reply"),
    503: (_PASSING, "the service is not available"),
    504: (_PASSING, "the service is too slow; for a preview it means that there is none"),
    511: (_FINAL, "the network requires a sign-in"),
}
"""Status → kind, and what it means."""

_FAULTS = range(500, 600)


def kind_of_status(status: int) -> AnswerKind:
    """Whether a status is final or passes; any fault of a server passes, all others that are not listed are unknown."""
    if status in API_STATUSES:
        return API_STATUSES[status][0]
    return _PASSING if status in _FAULTS else _UNKNOWN
