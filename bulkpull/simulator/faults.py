"""
Faults by name: what the simulated service does wrong, when, for which datasets and how often.

Each fault has a name and a description (`STORIES`). Code that can apply a fault asks the `FaultBox`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

STORIES: Mapping[str, str] = {
    # any call, before the service acts
    "http_status": "a status of its own (status, retry_after, retry_after_date, body, message, code)",
    "throttle": "429 with the documented body (retry_after: seconds, a date, or rubbish)",
    "reset_before_acting": "the connection is reset before anything was done",
    "redirect": "the answer is a redirect (to: elsewhere, http, https, loop; status)",
    # any call, after the service acted
    "reset_after_acting": "the service acts, then the connection is reset: the answer is lost",
    "status_after_acting": "the service acts, and a gateway answers with a status of its own (as http_status)",
    "slow_answer": "the answer comes late (seconds), after the service acted",
    "error_in_ok_envelope": "HTTP 200 with an error inside (status, message); the service did not act",
    "html_body": "HTTP 200 with a web page instead of JSON; the service acted",
    "cut_json": "the JSON stops in the middle; the service acted",
    "empty_body": "HTTP 200 without a body; the service acted",
    "wrong_charset": "the JSON is sent as UTF-16 without saying so; the service acted",
    "idless_body": "the records of the answer have no ids; the service acted",
    "null_value": "the envelope's value is null; the service acted",
    "acts_twice": "the service creates the object twice and the answer is lost",
    "alternating_versions": "every second answer is of another version: other casing, other keys",
    "redacted": "the envelope says dataRedacted although the role is the executive one",
    # token endpoint
    "token_error": "the token endpoint refuses with an AADSTS code (code, words)",
    "token_expires_early": "the API stops accepting the token long before its announced end (seconds)",
    "token_refused": "the API answers 401 to a good token",
    "expires_in_form": "the token's expires_in is missing (None) or odd (value)",
    # listings
    "listing_lag": "new objects show up in listings late (seconds)",
    "next_link_loops": "the next page is the same page again",
    "next_link_foreign_host": "the next page lies on another host",
    # queries and reports
    "name_taken": "another query of that name exists, with other text, and the answer is lost",
    "metrics_refused": "400 to a new query that selects metrics (words: names, syntax, length)",
    "query_vanishes": "somebody deletes the query just before a report is created on it: 400 Invalid QueryId",
    "query_vanishes_later": "somebody deletes the query while a report on it is under way: it never completes",
    "report_vanishes": "somebody deletes the report before it is read",
    # executions
    "joined_form_refused": "the `;` form is refused with 400 (form: status, ids)",
    "one_id_spoils_batch": "a call for several ids is refused because of one of them",
    "batch_lacks_ids": "a call for several ids leaves this one out",
    "strangers_in_batch": "the answer holds executions that nobody asked for",
    "execution_stuck": "the execution never ends (status)",
    "execution_fails": "the execution ends in a status that no document lists (status)",
    "execution_status_unknown_word": "the first reads show an unknown status (status, reads)",
    "execution_paused": "the execution is paused until its report is resumed",
    "execution_flips_back": "Completed without a link, then Pending, then Completed",
    "completed_without_link": "the first completed reads have no link (reads, None for all; link: null or empty)",
    "old_execution_first": "the first reads show an execution older than the report (reads)",
    "generated_time_odd": "reportGeneratedTime is null or odd (value)",
    # links
    "link_expired": "the link is at its end when it is handed out",
    "link_expires_mid_file": "the transfer is cut and the link is no longer accepted (after)",
    "link_always_refused": "every link is refused",
    # storage host
    "blob_gone": "404 BlobNotFound",
    "blob_busy": "503 ServerBusy (status, code)",
    "cut_after_bytes": "the body ends early (after; delimit: length, close, chunked)",
    "reset_every_bytes": "each transfer is reset after some bytes (after)",
    "stall_after_bytes": "the transfer stands still (after, seconds)",
    "trickle": "after some bytes the transfer goes on byte by byte (after, bytes_per_s)",
    "range_ignored": "200 and the whole file in answer to a range",
    "range_wrong_start": "206 that begins elsewhere",
    "range_other_total": "206 that tells another total",
    "range_multipart": "206 as multipart",
    "range_not_satisfiable": "416 to a good range",
    "segment_refused": "a range that does not begin at 0 is answered with 500",
    "etag_changes": "the file was replaced: another ETag, and another length",
    "etag_missing": "no ETag",
    "etag_weak": "a weak ETag",
    "md5_wrong": "Content-MD5 is not that of the bytes",
    "more_bytes_than_announced": "the body is longer than Content-Length",
    "xml_under_200": "an error of the storage host under HTTP 200",
    "empty_file": "200 with no byte at all",
    "encoding_by_proxy": "a proxy compresses on the fly: no length, weak ETag, no ranges",
    # the file itself
    "cut_gzip": "the gzip stream is cut (keep: share of it)",
    "bad_crc": "the CRC in the gzip trailer is wrong",
    "bad_gzip_length": "the length in the gzip trailer is wrong",
    "bit_flip": "one bit of the compressed data is flipped",
    "two_members": "the gzip file has two members",
    "zero_padding_after_gzip": "zero bytes after the end of the gzip file",
    "rubbish_after_gzip": "other bytes after the end of the gzip file",
    "plain_csv": "the file is not compressed although it says so",
    "zip": "the file is a zip archive",
    "utf16": "the text is UTF-16",
    "latin1": "the text has bytes that are not UTF-8",
    "nul_bytes": "a field holds a NUL byte",
    "xml_page": "the file holds an XML error page",
    "odd_value": "one value of a `column` is not what the column declares",
    "short_row": "a row has too few fields",
    "long_row": "a row has too many fields",
    "open_quote": "the text ends inside quotes",
    "wrong_header": "the header names other columns",
    "duplicate_header": "the header names a column twice",
    "missing_column": "a selected column is missing",
    "extra_column": "the file has a column more",
    "reordered_header": "the columns come in another order",
    "header_other_case": "the header is in another casing",
    "blank_lines_inside": "a blank line between two rows",
    "blank_lines_at_end": "blank lines at the end",
    "no_final_newline": "the last line has no line end",
    "cut_row": "the text ends in the middle of its last row",
    "bomb": "a small file that unpacks to a big one (bytes)",
    "header_only": "the file has no rows",
    "bom": "the text begins with a byte order mark",
    "crlf": "lines end in CR LF",
    "tsv": "fields are separated by tabs",
}

_NAMES = tuple(STORIES)
CONTENT_FAULTS = _NAMES[_NAMES.index("cut_gzip") :]
"""The faults of the stored file itself; they strike a fetch that begins at the first byte."""
EXECUTION_FAULTS = _NAMES[_NAMES.index("execution_stuck") : _NAMES.index("link_expired")]
"""The faults that an execution has from its beginning."""


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One fault, armed.

    Attributes:
        name: One of `STORIES`.
        dataset: Only calls that concern this dataset; `None` for all.
        endpoint: Only this endpoint (`ScheduledReport`), or one method of it (`POST ScheduledReport`); `None` for all.
        times: How often it strikes, `None` for ever.
        skip: How many chances it lets pass first.
        args: What the story names in parentheses; besides, `every`: strike at each n-th chance only.
    """

    name: str
    _: KW_ONLY
    dataset: str | None = None
    endpoint: str | None = None
    times: int | None = 1
    skip: int = 0
    args: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in STORIES:
            raise ValueError(f"there is no fault {self.name!r}")


@dataclass(slots=True)
class _Armed:
    fault: Fault
    chances: int = 0
    firings: int = 0

    def fire(self) -> bool:
        self.chances += 1
        fault, late = self.fault, self.chances - self.fault.skip
        spent = fault.times is not None and self.firings >= fault.times
        if spent or late <= 0 or late % int(fault.args.get("every", 1)):
            return False
        self.firings += 1
        return True


class FaultBox:
    """The armed faults, and how often each was applied."""

    def __init__(self, faults: Collection[Fault] = ()) -> None:
        self._armed = [_Armed(fault) for fault in faults]

    def arm(self, fault: Fault) -> None:
        """Let this go wrong from now on."""
        self._armed.append(_Armed(fault))

    def disarm_all(self) -> None:
        """Let nothing go wrong from now on; what has gone wrong stays so."""
        self._armed.clear()

    def take(
        self, *names: str, datasets: Collection[str] = (), endpoint: str | None = None, method: str | None = None
    ) -> Fault | None:
        """The first fault of these names, in the order of arming, that strikes here; asking uses up one strike."""
        here = {None, endpoint, f"{method} {endpoint}"}
        for arming in self._concerning(names, datasets):
            if (endpoint is None or arming.fault.endpoint in here) and arming.fire():
                return arming.fault
        return None

    def peek(self, name: str, *, datasets: Collection[str] = ()) -> Fault | None:
        """The armed fault of that name, without using it up."""
        return next((arming.fault for arming in self._concerning((name,), datasets)), None)

    def times_fired(self, name: str) -> int:
        return sum(arming.firings for arming in self._armed if arming.fault.name == name)

    def _concerning(self, names: Collection[str], datasets: Collection[str]) -> list[_Armed]:
        return [
            arming for arming in self._armed if arming.fault.name in names and arming.fault.dataset in (None, *datasets)
        ]
