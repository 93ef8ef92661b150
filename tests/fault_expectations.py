"""What the tests expect of a client at each row of the fault matrix, beyond its status and exit status."""

from __future__ import annotations

from dataclasses import dataclass

from bulkpull.simulator import Fault
from bulkpull.simulator.fault_matrix import HIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """
    Expectations of one row.

    Attributes:
        spares_others: The other datasets are complete.
        reports_left: Reports of a complete dataset that stay on the service, at most.
        reports_created, queries_created: How many of the dataset's are ever made, at most; `None` is not checked.
        max_calls: Requests to API and token endpoint, at most; `None` is not checked.
        reason_words: Words that the dataset's reason (or the sentence that ends the run) has, in any case.
        second_run: Faults to arm before the same command runs again; the row then speaks of that second run.
    """

    spares_others: bool = True
    reports_left: int = 0
    reports_created: int | None = None
    queries_created: int | None = None
    max_calls: int | None = None
    reason_words: tuple[str, ...] = ()
    second_run: tuple[Fault, ...] = ()


EXPECTATIONS = {
    "13a": Expectation(reports_created=0, max_calls=1, reason_words=("secret",), spares_others=False),
    "13b": Expectation(reports_created=0, max_calls=1, reason_words=("secret",), spares_others=False),
    "13c": Expectation(reports_created=0, max_calls=1, reason_words=("tenant",), spares_others=False),
    "13d": Expectation(reports_created=0, max_calls=1, reason_words=("password",), spares_others=False),
    "14a": Expectation(reports_created=0, reason_words=("refresh",), spares_others=False),
    "14b": Expectation(reports_created=0, max_calls=1, reason_words=("consent",), spares_others=False),
    "14c": Expectation(reports_created=0, reason_words=("refresh",), spares_others=False),
    "16": Expectation(reports_created=1),
    "17b": Expectation(reports_created=0, max_calls=6, spares_others=False),
    "18": Expectation(reason_words=("role",)),
    "21a": Expectation(max_calls=80),
    "21b": Expectation(max_calls=80),
    "21c": Expectation(max_calls=80),
    "21d": Expectation(max_calls=80),
    "22": Expectation(reports_created=0),
    "24c": Expectation(reports_created=0, spares_others=False),
    "24d": Expectation(reports_created=0, spares_others=False),
    "25a": Expectation(reports_created=0, reason_words=("Invalid query",)),
    "27e": Expectation(reports_created=0, spares_others=False),
    "28": Expectation(reports_created=0, reason_words=("Incorrect column name",)),
    "29": Expectation(reports_created=1, queries_created=1),
    "30a": Expectation(reports_created=1, queries_created=1),
    "30b": Expectation(reports_created=1, queries_created=1),
    "31a": Expectation(reports_created=1, queries_created=1),
    "31b": Expectation(reports_created=1, queries_created=1),
    "31c": Expectation(reports_created=1, queries_created=1),
    "31d": Expectation(reports_created=1, queries_created=1),
    "32": Expectation(reports_created=1, queries_created=1),
    "33": Expectation(reports_created=1, spares_others=False),
    "34a": Expectation(reports_created=1, queries_created=1),
    "34b": Expectation(reports_created=1, queries_created=1),
    "34c": Expectation(reports_created=1, queries_created=1),
    "34d": Expectation(reports_created=1, queries_created=1),
    "35a": Expectation(reports_created=2, queries_created=1),
    "35b": Expectation(reports_created=1, queries_created=2),
    "36a": Expectation(reports_created=0, reason_words=("quota",)),
    "36b": Expectation(reports_created=1, queries_created=1),
    "37": Expectation(reports_created=1, queries_created=1),
    "39a": Expectation(reports_created=1, queries_created=2),
    "39b": Expectation(reports_created=2, queries_created=2),
    "40a": Expectation(reports_created=1),
    "40b": Expectation(reports_created=1),
    "41a": Expectation(reports_created=1),
    "41b": Expectation(reports_created=1),
    "41c": Expectation(reports_created=1),
    "42a": Expectation(reports_created=1),
    "42b": Expectation(reports_created=1),
    "43a": Expectation(reports_created=1),
    "43b": Expectation(reports_created=2),
    "44": Expectation(reports_created=2),
    "45a": Expectation(reports_created=2),
    "45b": Expectation(reports_created=12, reason_words=("failed",)),
    "46a": Expectation(reports_created=2),
    "46b": Expectation(reports_created=2),
    "47a": Expectation(reports_created=1),
    "47b": Expectation(reports_created=1),
    "48": Expectation(reports_created=1),
    "49a": Expectation(reports_created=1),
    "49b": Expectation(reports_created=1),
    "49c": Expectation(reason_words=("link",)),
    "50": Expectation(reports_created=1),
    "51a": Expectation(reports_created=1),
    "51b": Expectation(reports_created=1),
    "51c": Expectation(reports_created=1),
    "52": Expectation(reports_created=1),
    "53": Expectation(reports_created=1),
    "54": Expectation(reports_created=1),
    "55": Expectation(reports_created=1),
    "56": Expectation(reason_words=("AuthenticationFailed",)),
    "57a": Expectation(reports_created=2),
    "58a": Expectation(reports_created=1),
    "58b": Expectation(reports_created=1),
    "59": Expectation(reports_created=1),
    "60a": Expectation(reports_created=1),
    "60b": Expectation(reports_created=1),
    "60c": Expectation(reports_created=1),
    "61": Expectation(reports_created=1),
    "62": Expectation(reports_created=1),
    "63": Expectation(reports_created=1),
    "64a": Expectation(reports_created=1),
    "64b": Expectation(reports_created=1),
    "64c": Expectation(reports_created=1),
    "65": Expectation(reports_created=1),
    "66a": Expectation(reports_created=1),
    "66b": Expectation(reports_created=1),
    "67": Expectation(reports_created=1),
    "68a": Expectation(reports_created=1),
    "69a": Expectation(reports_created=1),
    "69b": Expectation(reason_words=("MD5",)),
    "70": Expectation(reports_created=1),
    "75": Expectation(reports_created=1),
    "76ax": Expectation(reports_created=1),
    "76bx": Expectation(reports_created=1),
    "76cx": Expectation(reports_created=1),
    "76dx": Expectation(reports_created=1),
    "78c": Expectation(reason_words=("zip",)),
    "79": Expectation(reason_words=("max_unpacked_bytes",)),
    "80d": Expectation(reason_words=("lacks 'EOU'",)),
    "81a": Expectation(reason_words=("17 fields instead of 18",)),
    "81b": Expectation(reason_words=("19 fields instead of 18",)),
    "84x": Expectation(reports_created=1),
    "86b": Expectation(reason_words=("UTF",)),
    "86c": Expectation(reason_words=("UTF-8",)),
    "97": Expectation(second_run=(Fault("header_only", dataset=HIT, times=None),)),
    "100": Expectation(reports_left=1, reports_created=1),
    "105": Expectation(reports_created=0, max_calls=60, spares_others=False),
    "106": Expectation(max_calls=40),
    "107a": Expectation(reports_created=1),
    "107b": Expectation(reports_created=1),
    "107c": Expectation(reports_created=1),
    "107d": Expectation(reports_created=0, spares_others=False),
    "107e": Expectation(reports_created=1),
    "108": Expectation(reports_created=1, queries_created=1),
    "109": Expectation(reports_created=1),
    "110": Expectation(reports_created=1),
}
"""By the row's id; a row that is not in it has the defaults."""
