"""
Small changes to the program, each of which a test has to notice.

A change is found by its text alone, which stands in the package exactly once, so that it outlives a move of its module.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """
    One change.

    Attributes:
        story: What the program does then.
        old, new: The text that is replaced, and by what.
        tests: What is run, as pytest takes it: the tests that are nearest.
        unnoticed: Why no test notices it, where that is right.
    """

    story: str
    old: str
    new: str
    tests: tuple[str, ...]
    unnoticed: str = ""


_TRANSFER = ("tests/transfer/test_short_bodies_and_restarts.py",)
_RUNS = ("tests/journeys/test_edges_and_repeats.py",)

NAMED = (
    Change(
        "a body that is shorter than its range counts as no break",
        "if offer.end is None:\n            self._end_unannounced(offer, claim)",
        "if offer.end is None:\n            self._end_unannounced(offer, claim)\n"
        "        elif claim.position < offer.end:\n            return",
        _TRANSFER,
    ),
    Change(
        "no reserve is kept on the disk",
        "if free_bytes < needed_bytes + RESERVE_BYTES:",
        "if free_bytes < needed_bytes:",
        _TRANSFER,
    ),
    Change(
        "the old journal stays when a new version of the file begins",
        "self.journal.unlink(missing_ok=True)\n            # A file",
        "# A file",
        _TRANSFER,
    ),
    Change(
        "a quoted empty field is an empty text",
        'null_values="",  # a quoted',
        "# a quoted",
        ("tests/conversion/test_round_trip.py::test_an_empty_field_is_null_whether_it_is_quoted_or_not",),
    ),
    Change("restarts of a transfer are not counted", "self._restarts += 1", "self._restarts += 0", _TRANSFER),
    Change(
        "unchanged data make a new snapshot",
        "if self.only_news and is_same:",
        "if self.only_news and not is_same and is_same:",
        _RUNS,
    ),
    Change(
        "a damaged gzip is not fetched again",
        "if fetch == _FETCHES:\n                    await anyio",
        "if fetch:\n                    await anyio",
        _RUNS,
    ),
    Change(
        "rows on a window's edge are dropped though they came once",
        "if not other.first_day:\n            kept",
        "if other.first_day is None:\n            kept",
        _RUNS,
    ),
    Change(
        "passing token codes are final",
        "return TokenCode(AnswerKind.PASSING, cause",
        "return TokenCode(AnswerKind.FINAL, cause",
        ("tests/auth/test_token_endpoint.py::test_a_passing_fault_of_the_directory_is_waited_for",),
    ),
    Change(
        "the ledger's commits are not durable",
        'database.execute("PRAGMA synchronous = FULL")',
        'database.execute("PRAGMA synchronous = NORMAL")',
        ("tests/output/test_ledger.py::test_a_commit_is_on_the_disk_before_the_next_step_begins",),
    ),
    Change(
        "queries of others are adopted",
        "for query in sorted(filter(is_ours, listed), key=_made_at):",
        "for query in sorted(listed, key=_made_at):",
        _RUNS,
    ),
    Change(
        "`latest/` is not replaced atomically",
        "        aside.replace(link)\n    except BaseException:",
        "        link.unlink(missing_ok=True)\n        aside.rename(link)\n    except BaseException:",
        ("tests/pipeline/test_publish.py::test_a_reader_of_latest_finds_a_snapshot_at_every_moment",),
    ),
)
"""The changes of case C44."""

FURTHER = (
    Change(
        "a thread reads below the TLS of an https proxy",
        "return response, proxy is None or not proxy.is_tls",
        "return response, True",
        ("tests/transport/test_threaded_tls_reader.py::test_a_thread_reads_only_where_tls_runs_on_the_socket_itself",),
    ),
    Change(
        "a failed token is asked for again by each layer",
        "case BulkpullError(was_repeated=True):",
        "case BulkpullError(was_repeated=True) if attempt > policy.attempts:",
        _RUNS,
    ),
    Change(
        "each pause of a call is bounded, but not all of them together",
        "if asked_s is not None and waited_s + asked_s > policy.longest_pause_s:",
        "if asked_s is not None and asked_s > policy.longest_pause_s:",
        ("tests/transport/test_retry.py::test_the_pauses_of_one_call_add_up_to_an_hour_at_most",),
    ),
    Change(
        "the lock of the output folder falls back to a soft one",
        "thread_local=False, fallback_to_soft=False)\n    await",
        "thread_local=False)\n    await",
        ("tests/output/test_hard_locks.py",),
    ),
    Change(
        "the lock of the token cache falls back to a soft one",
        "mode=0o600, fallback_to_soft=False",
        "mode=0o600",
        ("tests/output/test_hard_locks.py",),
    ),
)
"""Changes beyond those, for what other cases ask for."""

ALL = (*NAMED, *FURTHER)
