"""
What an answer that is no success asks for: final, passing or unknown.

Every table of codes uses these three words: `auth/token_codes.py` for the token endpoint, `insights/api_codes.py`
for the API, `transfer/storage_codes.py` for the storage host.
"""

from __future__ import annotations

from enum import StrEnum

UNKNOWN_TRIES = 3
"""How often an answer of the token endpoint that no table knows is asked for in all."""


class AnswerKind(StrEnum):
    """
    What to do about an answer.

    Attributes:
        FINAL: Asking again cannot help; a person has to do something.
        PASSING: It passes by itself: it is asked again after a pause.
        UNKNOWN: No table knows it. It is asked again a bounded number of times, then quoted as it came.
    """

    FINAL = "final"
    PASSING = "passing"
    UNKNOWN = "unknown"
