"""
Writes `docs/waits.md`: every wait of the program, its limit, who counts, what comes then. The numbers are the code's.

    python docs/waits_page.py          write the page
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bulkpull.auth import external_secrets, token_codes, token_endpoint, token_rotation
from bulkpull.insights import idempotent_create, requests
from bulkpull.observability import recorder, run_log
from bulkpull.observability.telemetry import spans
from bulkpull.output import ledger_db, lock, verify
from bulkpull.pipeline import context, run
from bulkpull.pipeline.steps import convert, converter_process, download, submit
from bulkpull.platforms import windows
from bulkpull.transfer import signed_link, stream_to_file, transfer
from bulkpull.transport import http_messages, rate_limit, retry

PAGE = Path(__file__).with_name("waits.md")
HEAD = """\
# Waits

<!-- Made by docs/waits_page.py from the code: change the code, then run `make docs`. -->

Every wait of the program has a limit. A test compares this table with the code: it fails if a module that waits is not
listed. `run_timeout_seconds` limits a whole run: it ends with what it has, and the same command resumes.

| wait for | limit | counted by | then |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Wait:
    """
    One wait.

    Attributes:
        module: Where it is, below the package.
        what: What is waited for.
        limit: For how long, and how often.
        counter: Who counts.
        then: What happens when the limit is reached.
    """

    module: str
    what: str
    limit: str
    counter: str
    then: str


_CALL, _TRANSFER, _POLICY = http_messages.Timeouts(), http_messages.TRANSFER_TIMEOUTS, retry.RetryPolicy()
_LOST = "the answer is lost: tried again, `request_attempts` in all"
WAITS = (
    Wait(
        "auth/external_secrets.py",
        "a program that writes a secret",
        f"{external_secrets.LONGEST_S:g} s",
        "`read_from_command`",
        "it is ended; exit status 4",
    ),
    Wait(
        "platforms/windows.py",
        "a program that has a file open that is replaced, on Windows",
        f"{sum(windows.REPLACE_WAITS_S):g} s in {len(windows.REPLACE_WAITS_S)} tries",
        "`Windows.replace_file`",
        "as a refusal of the disk",
    ),
    Wait(
        "transport/http.py",
        "a connection, TLS included",
        f"{_CALL.connect_s:g} s",
        "the HTTP client",
        "as no connection: tried again",
    ),
    Wait(
        "transport/http.py",
        "the whole answer of a call to the API or the token endpoint",
        f"{_CALL.total_s:g} s, silences {_CALL.read_s:g} s; a preview {requests.PREVIEW_PATIENCE_S + 30:g} s",
        "the HTTP client",
        _LOST,
    ),
    Wait(
        "transport/http.py",
        "the head of a download's answer, with name look-up, proxy and 1xx replies",
        f"{_TRANSFER.head_s:g} s, for each of at most 5 redirects",
        "`Http`",
        _LOST,
    ),
    Wait(
        "transport/http.py",
        "the body of a refused download",
        f"{_TRANSFER.error_body_s:g} s",
        "`StreamedReply`",
        "the part that arrived is quoted",
    ),
    Wait(
        "transport/buffered_body.py",
        "the next bytes of a download",
        f"{_TRANSFER.read_s:g} s",
        "`BufferedBody` and the HTTP client",
        _LOST,
    ),
    Wait(
        "transfer/stream_to_file.py",
        "enough bytes of a download",
        f"`minimum_bytes_per_second` over {stream_to_file.WINDOW_S:g} s",
        "`Pour`",
        "the connection is renewed; counts as a try, unless a share of the file has come",
    ),
    Wait(
        "transfer/transfer.py",
        "the time between two requests of the same segment",
        f"at least {transfer.PAUSE_S:g} s",
        "`Transfer`",
        "requested again; after a request that brought no share of the file, a backoff comes as well",
    ),
    Wait(
        "transfer/signed_link.py",
        "a link that is accepted",
        f"{len(signed_link.FRESH_LINK_PAUSES_S)} fresh links over {sum(signed_link.FRESH_LINK_PAUSES_S):g} s; "
        "none before the first, where the old link has brought a share of the file",
        "`SignedLink`",
        "the dataset fails; its report stays",
    ),
    Wait(
        "transfer/signed_link.py",
        "a file, or a link, that is missing",
        f"{len(signed_link.LOOK_PAUSES_S)} more looks over {sum(signed_link.LOOK_PAUSES_S):g} s",
        "`SignedLink`",
        "a new report, `report_attempts` in all",
    ),
    Wait(
        "transport/retry.py",
        "the pause between two tries of a call",
        (
            f"at most {_POLICY.longest_wait_s:g} s; what Retry-After asks for and up to a tenth more, "
            f"{_POLICY.longest_pause_s:,.0f} s a call in all; more when the budget of retries is spent"
        ),
        "`Retrier`",
        "the call fails",
    ),
    Wait(
        "transport/retry.py",
        "a network that is gone",
        f"{_POLICY.outage_s:g} s",
        "`Retrier`",
        "its failures count as tries",
    ),
    Wait(
        "transport/rate_limit.py",
        "a turn to call the API",
        f"the rate; after a 429 what it asks for and up to a tenth more, at most {rate_limit.LONGEST_PAUSE_S:,.0f} s",
        "`RateLimiter`",
        "the call goes out; where every call was answered by 429 for 50 minutes, all that wait fail",
    ),
    Wait(
        "auth/token_endpoint.py",
        "a new refresh token to be kept",
        f"{token_endpoint._STORE_WITHIN_S:g} s",
        "`TokenEndpoint`",
        "the run goes on with it",
    ),
    Wait(
        "auth/token_codes.py",
        "a token endpoint that sees a loop",
        f"{token_codes.LOOP_PAUSE_S:g} s a try",
        "`Retrier`",
        "the call fails",
    ),
    Wait(
        "auth/token_rotation.py",
        "another process that renews the same token",
        f"{token_rotation.LONGEST_TURN_S:g} s",
        "`TokenRotation`",
        "renewed all the same",
    ),
    Wait(
        "auth/token_cache.py",
        "the lock of the token cache",
        f"{token_rotation.LONGEST_TURN_S:g} s",
        "`TokenRotation`",
        "renewed all the same",
    ),
    Wait(
        "insights/idempotent_create.py",
        "a created object to appear in the listing",
        f"{idempotent_create.SECOND_LOOK_UP_S:g} s between two look-ups",
        "`create_once`",
        "created again, or given up where that is in doubt",
    ),
    Wait(
        "insights/idempotent_create.py",
        "other creations in doubt, which share a look-up",
        f"{idempotent_create.GATHER_S:g} s",
        "`SharedLookup`",
        "looked up together",
    ),
    Wait(
        "pipeline/steps/submit.py",
        "reports of other tools to end, where the quota of active reports is used up",
        f"{sum(submit._OTHERS_END_S):g} s in {len(submit._OTHERS_END_S)} waits",
        "`Submitter`",
        "the dataset fails",
    ),
    Wait(
        "auth/device_code.py",
        "a person to sign in",
        "as long as the code lives that the service gave",
        "the sign-in",
        "an error that says so",
    ),
    Wait(
        "pipeline/steps/poll.py",
        "a report to be made",
        "`report_timeout_seconds`; a first try has eight times what earlier reports took, at least 1,800 s",
        "`Poller`",
        "a new report, `report_attempts` in all; where the service could not be asked, the dataset fails and the "
        "report stays",
    ),
    Wait(
        "pipeline/steps/report_limits.py",
        "a place among the reports in flight",
        "until one of ours is made, each of which has `report_timeout_seconds`",
        "`ReportsInFlight`",
        "created then",
    ),
    Wait(
        "pipeline/steps/report_limits.py",
        "room in the quota of one-off reports",
        "`one_off_quota_window_seconds` for each refusal",
        "`OneOffQuota`",
        "created then",
    ),
    Wait(
        "pipeline/steps/convert.py",
        "a small file's turn in the conversion process that small files share",
        f"{convert.TURN_S:g} s",
        "`convert_report`",
        "another process converts it",
    ),
    Wait(
        "pipeline/steps/converter_process.py",
        "a heartbeat of the conversion process",
        f"{2 * converter_process.SILENCE_S:g} s",
        "`Converter`",
        "it is killed; a second one, then the dataset fails, report and download stay",
    ),
    Wait(
        "pipeline/steps/converter_process.py",
        "the conversion process to work",
        f"{converter_process.STILL_S:g} s without processor time",
        "`Converter`",
        "the same",
    ),
    Wait(
        "pipeline/steps/download.py",
        "the journal of an interrupted download",
        f"{download._SAVING_S:g} s",
        "`download_report`",
        "the rest is fetched again",
    ),
    Wait(
        "pipeline/resource_limits.py",
        "the run",
        "`run_timeout_seconds`",
        "`Run`",
        "it ends with what it has, exit status 3, resumable",
    ),
    Wait(
        "pipeline/run.py",
        "the manifest of an interrupted run",
        f"{run._CLOSING_S:g} s",
        "`Run`",
        "the ledger has it for the next run",
    ),
    Wait(
        "pipeline/context.py",
        "deletions that are left when all datasets are done",
        f"{context._TIDYING_S:g} s",
        "`Run`",
        "the next run deletes them",
    ),
    Wait(
        "output/verify.py",
        "a pointer that moves while it is checked",
        f"{verify._PAUSE_S:g} s",
        "`verify`",
        "looked at once more",
    ),
    Wait(
        "output/lock.py",
        "who holds the lock to be written down",
        f"{lock._LOOKS * lock._LOOK_S:g} s",
        "the lock",
        "reported without a name, exit status 5",
    ),
    Wait(
        "output/ledger_db.py",
        "another reader of the ledger",
        f"{ledger_db.BUSY_S:g} s",
        "SQLite",
        "an error of the ledger",
    ),
    Wait(
        "observability/recorder.py",
        "the notifications about a run's end",
        f"`notify_seconds`, and {recorder._GRACE_S:g} s",
        "`RunRecorder`",
        "a warning",
    ),
    Wait(
        "observability/notifications.py",
        "the notify command and address",
        "`notify_seconds`",
        "`RunRecorder`",
        "a warning",
    ),
    Wait("observability/run_log.py", "the log's last lines", f"{run_log._CLOSING_S:g} s", "the log", "they are lost"),
    Wait(
        "observability/telemetry/spans.py",
        "the receiver of traces and metrics",
        f"{spans._CLOSING_S:g} s",
        "the exporter",
        "they are lost",
    ),
)


def waits_page() -> str:
    """The page, as it has to stand in the repository."""
    rows = [f"| {wait.what} (`{wait.module}`) | {wait.limit} | {wait.counter} | {wait.then} |" for wait in WAITS]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(waits_page(), encoding="utf-8")
