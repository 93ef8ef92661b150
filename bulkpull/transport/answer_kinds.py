"""
The three kinds of error replies: final, passing (temporary), or unknown.

Every table of codes uses these words: `auth/token_codes.py` for the token endpoint, `insights/api_codes.py` for the
API, `transfer/storage_codes.py` for the storage host.
"""

from __future__ import annotations

from enum import StrEnum

UNKNOWN_TRIES = 3
"""How often an answer of the token endpoint that no table knows is asked for in all."""


class AnswerKind(StrEnum):
    """
    What kind of error a reply is.

    Attributes:
        FINAL: Asking again cannot help; a person has to do something.
        PASSING: It passes by itself: it is asked again after a pause.
        UNKNOWN: No table knows it. It is asked again a bounded number of times, then quoted as it came.
    """

    FINAL = "final"
    PASSING = "passing"
    UNKNOWN = "unknown"
