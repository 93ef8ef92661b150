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
        'null_values="" if batch.quotes_empty or layout.fields == 1 else None,',
        "null_values=None,",
        ("tests/conversion/test_round_trip.py::test_an_empty_field_is_null_whether_it_is_quoted_or_not",),
    ),
    Change("restarts of a transfer are not counted", "self._restarts += 1", "self._restarts += 0", _TRANSFER),
    Change(
        "unchanged data make a new snapshot",
        "if current is not None and current.content_hash == snapshot.content_hash:",
        "if current is not None and current.content_hash == str(snapshot):",
        _RUNS,
    ),
    Change(
        "a damaged gzip is not fetched again",
        "if isinstance(error, NotTheReport) or fetch == _FETCHES:",
        "if fetch:",
        _RUNS,
    ),
    Change(
        "rows on a window's edge are dropped though they came once",
        "if one.edge and (is_later or not other.first_day):",
        "if one.edge and is_later:",
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
        "        aside.replace(link)\n    sync_folder(link.parent)",
        "        link.unlink(missing_ok=True)\n        aside.rename(link)\n    sync_folder(link.parent)",
        ("tests/pipeline/publication/test_publish.py::test_a_reader_of_latest_finds_a_snapshot_at_every_moment",),
    ),
)
"""The changes of case C44."""

FURTHER = (
    Change(
        "a thread reads below the TLS of an https proxy",
        "may_tap = proxy is None or not proxy.is_tls",
        "may_tap = True",
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

_ALLOWANCE = ("tests/transport/test_reported_rate_limit.py",)
_PACE = ("tests/transport/test_rate_limit.py",)
_RETRY = ("tests/transport/test_retry.py",)
_HTTP = ("tests/transport/test_http.py",)
_LIMITS = ("tests/transport/test_limits_of_waiting.py",)
_CLIENT = ("tests/insights/test_client.py",)
_CREATION = ("tests/insights/test_idempotent_create.py",)
_TOKENS = ("tests/auth/test_token_endpoint.py",)
_VERDICT = ("tests/insights/test_error_mapping.py",)
_REPLIES = ("tests/transfer/test_range_responses.py",)
_DOWNLOAD = ("tests/pipeline/steps/test_download.py",)
_PARTIAL = ("tests/transfer/test_partial_file.py", "tests/transfer/test_journal.py")
_POLL = ("tests/pipeline/steps/test_poll.py",)
_USUAL = ("tests/pipeline/test_usual_durations.py",)
_PUBLISH = ("tests/pipeline/publication/test_publish.py",)
_RETIRE = ("tests/output/test_retention.py",)
_LEFTOVERS = ("tests/pipeline/test_reusable_work.py",)
_QUOTA = ("tests/pipeline/steps/test_report_quota.py",)
_WINDOWS = (
    "tests/pipeline/windows/test_date_windows.py",
    "tests/pipeline/windows/test_window_merge.py",
    "tests/pipeline/windows/test_window_handling.py",
)
_CUT = ("tests/conversion/test_window_filter.py",)
_READER = (
    "tests/conversion/test_one_reader.py",
    "tests/conversion/test_csv_index.py",
    "tests/conversion/test_csv_validator.py",
)
_HEADER = ("tests/conversion/test_header.py",)
_NARROW = ("tests/conversion/test_type_inference.py", "tests/conversion/test_round_trip.py")
_NO_FOLLOW = ("tests/output/test_symlink_safety.py",)

BY_LAYER = (
    # transport
    Change(
        "an allowance below zero lets later calls go early",
        "remaining=None if remaining is None else max(0, remaining)",
        "remaining=remaining",
        _ALLOWANCE,
    ),
    Change(
        "one call more than is left may go",
        "if left is None or left > reserve:",
        "if left is None or left >= reserve:",
        _ALLOWANCE,
    ),
    Change(
        "calls under way are not held against the allowance",
        "left = state.remaining + renewed - waiting",
        "left = state.remaining + renewed",
        _ALLOWANCE,
    ),
    Change(
        "an answer that was overtaken raises the allowance",
        "return replace(state, remaining=min(known, remaining), lowest=lowest, answered=answered)",
        "return replace(state, remaining=remaining, lowest=lowest, answered=answered)",
        _ALLOWANCE,
    ),
    Change(
        "a call whose answer was lost does not count",
        "    if was_sent:\n        return after_answer",
        "    if not was_sent:\n        return after_answer",
        _ALLOWANCE,
    ),
    Change("a 429 does not slow down", "slowed = max(state.rate / 2,", "slowed = max(state.rate,", _PACE),
    Change(
        "calls go within a Retry-After",
        "return max(state.closed_until - at, missing / state.rate, 0.0)",
        "return max(missing / state.rate, 0.0)",
        _PACE,
    ),
    Change(
        "a Retry-After by date is measured by our clock",
        "(moment - (sent or now)).total_seconds()",
        "(moment - now).total_seconds()",
        _PACE,
    ),
    Change(
        "a pause that the service asks for is shortened",
        "return pause_s + min(pause_s * _SPREAD",
        "return pause_s - min(pause_s * _SPREAD",
        _RETRY,
    ),
    Change(
        "tidying uses up the allowance",
        "reserve = math.ceil(self.allowance.limit * _LOOKS_SHARE)",
        "reserve = 0",
        _ALLOWANCE,
    ),
    Change(
        "looks starve behind other calls",
        "if looks and self._since_look >= _CALLS_PER_LOOK:",
        "if looks and self._since_look >= 100 * _CALLS_PER_LOOK:",
        _ALLOWANCE,
    ),
    Change(
        "a full burst goes before the service has told what it bears",
        "burst=min(burst, _CAREFUL_BURST)",
        "burst=burst",
        _ALLOWANCE,
    ),
    Change(
        "a creation is repeated after a doubtful answer",
        "if creates and not isinstance(error, NotConnected | Throttled):",
        "if creates and not isinstance(error, NotConnected | Throttled | AnswerLost):",
        _RETRY,
    ),
    Change("one try more than is allowed", "if attempt >= policy.attempts:", "if attempt > policy.attempts:", _RETRY),
    Change(
        "a network that is gone is waited for ten times as long",
        "left_s = down_since + self.policy.outage_s - now",
        "left_s = down_since + 10 * self.policy.outage_s - now",
        _RETRY,
    ),
    Change(
        "retries do not come out of the budget",
        "wait_s = advice if is_free else max(advice, self._reserve_retry())",
        "wait_s = advice",
        (*_RETRY, "tests/journeys/test_edges_and_repeats.py"),
    ),
    Change(
        "progress gives no new count of tries",
        "attempt = 0 if has_progressed else attempt + 1",
        "attempt += 1",
        ("tests/transfer/test_transfer.py", "tests/transfer/test_hostile_host.py"),
    ),
    Change(
        "the token follows a redirect to another host",
        "    if not same_origin(request.url, target):",
        "    if not target:",
        _HTTP,
    ),
    Change(
        "the storage host gets our credentials",
        "for name, value in request.headers.items() if name.lower() not in _CREDENTIALS}",
        "for name, value in request.headers.items()}",
        _HTTP,
    ),
    Change("an answer of any length is kept", "if len(body) > MAX_BODY_BYTES:", "if len(body) < 0:", _HTTP),
    Change(
        "a wrong proxy password is repeated",
        "            self._proxy_refusal = failure",
        "            self._proxy_refusal = None",
        ("tests/transport/test_proxies.py",),
    ),
    Change("the HTTP client repeats calls by itself", "middlewares=(_prevent_repetition,),", "middlewares=(),", _HTTP),
    Change(
        "the head of an answer may take for ever",
        "with anyio.fail_after(times.head_s):",
        "with anyio.fail_after(None):",
        _LIMITS,
    ),
    Change(
        "the body of a refusal may take for ever",
        "anyio.move_on_after(self._error_body_s)",
        "anyio.move_on_after(None)",
        _LIMITS,
    ),
    Change(
        "a link may lead to this machine",
        "if self.api_base_url is not None:\n            check_reach(url,",
        "if self.api_base_url is None:\n            check_reach(url,",
        ("tests/transport/test_link_reach.py",),
    ),
    # insights and auth
    Change(
        "the next page on another host gets the token",
        "if not same_origin(url, self.api_base_url):",
        "if not url:",
        _CLIENT,
    ),
    Change("pages that lead in a circle are read for ever", "if url in visited:", "if not url:", _CLIENT),
    Change(
        "empty pages are read for ever",
        "if len(pages) > 1 and len(known) == number:",
        "if len(pages) < 0:",
        ("tests/insights/test_client.py", "tests/journeys/test_hostile_service.py"),
    ),
    Change(
        "a deletion that finds nothing counts as done",
        "if not doubtful:\n                    raise",
        "if doubtful:\n                    raise",
        _CLIENT,
    ),
    Change(
        "executions of other reports are taken",
        "if execution.report_id.casefold() in reports",
        "if execution.report_id",
        _CLIENT,
    ),
    Change("a list that is null counts as empty", "if any(page.is_null for page in pages):", "if not pages:", _CLIENT),
    Change(
        "something older than an order is taken for its answer",
        "created_at is not None and created_at >= self.not_before",
        "created_at is not None",
        _CREATION,
    ),
    Change(
        "a report of another window is taken for the answer",
        "            and report.window == self.window\n",
        "",
        (*_CREATION, "tests/cli/test_ordering_commands.py"),
    ),
    Change(
        "the older of two answers to an order is taken",
        "found.sort(key=_age_key)",
        "found.sort(key=_age_key, reverse=True)",
        _CREATION,
    ),
    Change(
        "a listing that lags is not waited for",
        "await clock.sleep(SECOND_LOOK_UP_S)",
        "await clock.sleep(0)",
        _CREATION,
    ),
    Change(
        "who joins a look-up late gets a listing from before",
        "self._open = None  # later",
        "self._open = mine  # later",
        _CREATION,
    ),
    Change(
        "a refusal of 400 within a 200 counts as success",
        "inner is not None and inner >= HTTPStatus.BAD_REQUEST:",
        "inner is not None and inner > HTTPStatus.BAD_REQUEST:",
        _VERDICT,
    ),
    Change(
        "a gateway's page under 404 means that nothing is there",
        "if status == HTTPStatus.NOT_FOUND and in_its_words:",
        "if status == HTTPStatus.NOT_FOUND:",
        _VERDICT,
    ),
    Change(
        "an unknown status is final",
        "return _PASSING if status in _FAULTS else _UNKNOWN",
        "return _PASSING if status in _FAULTS else _FINAL",
        _VERDICT,
    ),
    Change(
        "refused credentials are tried again",
        "if isinstance(self._failure, AuthError):",
        "if self._failure is attempts:",
        _TOKENS,
    ),
    Change(
        "a token that is still good is dropped while the endpoint is down",
        "if token is not None and self.clock.monotonic() < token.expires_at:",
        "if token is not None and self.clock.monotonic() > token.expires_at:",
        _TOKENS,
    ),
    Change(
        "a new refresh token is not kept",
        'await self._keep(_token_in(raw, "refresh_token"))',
        '_token_in(raw, "refresh_token")',
        _TOKENS,
    ),
    Change(
        "a token that no header carries is used",
        "        if not _TOKEN.fullmatch(value):",
        "        if not value:",
        _TOKENS,
    ),
    Change(
        "an unknown refusal of the token endpoint is asked for without end",
        "if unknown_answers >= UNKNOWN_TRIES:",
        "if unknown_answers > 100 * UNKNOWN_TRIES:",
        _TOKENS,
    ),
    # transfer
    Change(
        "a resumed download does not name its version",
        'headers["If-Match"] = self.version.etag',
        "pass",
        ("tests/transfer/test_transfer.py",),
    ),
    Change(
        "a range that begins elsewhere is taken",
        "is_fit = start == asked.start < end",
        "is_fit = start <= asked.start < end",
        _REPLIES,
    ),
    Change(
        "bytes of two versions are joined",
        "    if word is not None:\n        raise FileReplaced",
        "    if word is None:\n        return\n    if not word:\n        raise FileReplaced",
        _REPLIES,
    ),
    Change(
        "a weak ETag pins a version",
        'etag=None if etag is None or etag.startswith("W/") else etag,',
        "etag=etag,",
        _REPLIES,
    ),
    Change(
        "the storage host's 503 means that the file is gone",
        "known = _BUSY if status >=",
        "known = _GONE if status >=",
        _REPLIES,
    ),
    Change(
        "each stream fetches a fresh link of its own",
        "            if self.link is not refused:\n                return",
        "            if self.link is None:\n                return",
        ("tests/transfer/test_signed_link.py",),
    ),
    Change(
        "a request that brought a share of the file is followed by a backoff",
        "claim.position - began_at < share_of(self._size_bytes):",
        "claim.position >= began_at:",
        ("tests/transfer/test_cut_downloads.py",),
    ),
    Change(
        "a link that worked is renewed as late as one that never did",
        "if refused is self._proven:",
        "if refused is None:",
        ("tests/transfer/test_cut_downloads.py",),
    ),
    Change(
        "what a crash left beyond the end of a file stays",
        "os.ftruncate(self._descriptor, size_bytes)",
        "pass",
        _PARTIAL,
    ),
    Change("a journal of another file is believed", 'check != b"%08x" % crc32(text[:-1])', "len(check) != 8", _PARTIAL),
    Change(
        "a file that is shorter than announced is whole",
        "if version.size_bytes is not None and partial.done_bytes != version.size_bytes:",
        "if version.size_bytes is not None and partial.done_bytes > version.size_bytes:",
        (*_DOWNLOAD, "tests/transfer/test_short_bodies_and_restarts.py"),
    ),
    Change("an MD5 that does not fit is not noticed", "if digest != version.md5:", "if not digest:", _DOWNLOAD),
    Change(
        "a file without a byte is whole",
        "if partial.done_bytes == 0:",
        "if partial.done_bytes < 0:",
        (*_DOWNLOAD, "tests/journeys/test_damage.py"),
    ),
    Change(
        "a passing fault throws away what has arrived",
        "if is_passing or isinstance(error, anyio",
        "if isinstance(error, anyio",
        ("tests/journeys/test_run_limits.py",),
    ),
    Change(
        "damaged bytes are kept for the next run",
        "return is_passing and not isinstance(error, FileDamaged)",
        "return is_passing",
        ("tests/journeys/test_run_limits.py",),
    ),
    # conversion
    Change(
        "a carriage return alone ends no row and is no fault",
        "    if alone.size:\n",
        "    if alone.size < 0:\n",
        _READER,
    ),
    Change(
        "a quote in the middle of a field is content",
        "    if wrong.any():\n        row =",
        "    if not wrong.size:\n        row =",
        _READER,
    ),
    Change(
        "a row of other length is taken",
        "if data[whole] not in _LINE_ENDS:",
        "if found > fields:",
        _READER,
    ),
    Change(
        "a blank line inside is left out",
        "if data[whole:].strip(_LINE_ENDS):",
        "if data[whole:] is None:",
        _READER,
    ),
    Change(
        "marks are off by one at the edge of a word",
        "moved[1:] |= bits[:-1] >> np.uint64(_WORD - 1)",
        "moved[1:] |= bits[:-1] >> np.uint64(_WORD - 2)",
        _READER,
    ),
    Change(
        "bytes that nobody accounts for are dropped",
        "if self._accounted_bytes != self._unpacked_bytes:",
        "if self._accounted_bytes > self._unpacked_bytes:",
        (
            "tests/conversion/test_one_reader.py",
            "tests/conversion/test_write_table.py",
            "tests/pipeline/steps/test_convert.py",
        ),
    ),
    Change(
        "rows that the file lacks are not noticed",
        "if not wanted == file.rows == found:",
        "if not wanted >= file.rows:",
        ("tests/conversion/test_round_trip.py",),
    ),
    Change("a column that is there twice is taken", "    if doubled:\n", "    if len(doubled) > 99:\n", _HEADER),
    Change(
        "a column that may be either of two is guessed",
        "        if len(indices) > 1:\n",
        "        if len(indices) > 2:\n",
        _HEADER,
    ),
    Change(
        "a missing column is not noticed",
        "    if missing and not is_withheld:",
        "    if len(missing) > 1 and not is_withheld:",
        _HEADER,
    ),
    Change("an identifier becomes a number", "elif plan.identifier:", "elif plan.identifier is None:", _NARROW),
    Change(
        "a row at the window's start is left out",
        "first_day=has_time & (at >= start)",
        "first_day=has_time & (at > start)",
        _CUT,
    ),
    Change(
        "a row before the window is kept", 'kept = ~(kinds["before"] | kinds["after"]', 'kept = ~(kinds["after"]', _CUT
    ),
    Change(
        "a row at the window's end is published", "if not self._bounds.keep_edge:", "if self._bounds.keep_edge:", _CUT
    ),
    # pipeline
    Change(
        "an execution of an earlier order is taken",
        "if answer.report_id == report.report_id and not _is_dated_before(answer, report)",
        "if answer.report_id == report.report_id",
        _POLL,
    ),
    Change(
        "a report is waited for twice as long",
        "elif self._trouble is None and age_s >= deadline_s:",
        "elif self._trouble is None and age_s >= 2 * deadline_s:",
        _POLL,
    ),
    Change(
        "the learnt deadline may be longer than the setting",
        "return min(self.deadline_s, max(_SHORTEST_DEADLINE_S",
        "return max(self.deadline_s, max(_SHORTEST_DEADLINE_S",
        _POLL,
    ),
    Change(
        "a failed look ends every wait",
        "except (ReportingError, TransferError) as error:\n            # A failed poll",
        "except TransferError as error:\n            # A failed poll",
        _POLL,
    ),
    Change("the oldest durations count", "median(lengths_s[-_LATEST:])", "median(lengths_s[:_LATEST])", _USUAL),
    Change(
        "a failed report stays beside its successor",
        "await run.withdraw_report(report, dataset=pull.dataset)\n                if attempt",
        "pass\n                if attempt",
        ("tests/journeys/test_edges_and_repeats.py", "tests/journeys/test_fault_matrix.py"),
    ),
    Change(
        "reports of other folders are swept",
        "        if run is None:\n            continue",
        "        if run is None:\n            result.orphans.append(report)\n            continue",
        _LEFTOVERS,
    ),
    Change("an old report serves again", "now - name.ordered_at < FRESH", "now - name.ordered_at > FRESH", _LEFTOVERS),
    Change(
        "the quota's window is cut short",
        "return oldest + window_s * (1 + _MARGIN)",
        "return oldest + window_s / 2",
        _QUOTA,
    ),
    Change(
        "a day of the month's end is in two windows",
        "return tuple(Window(start, end) for start, end in pairwise(edges))",
        "return tuple(Window(start, end + _DAY) for start, end in pairwise(edges))",
        _WINDOWS,
    ),
    Change(
        "a window that is ignored counts as kept",
        "if not (rows.before or rows.after):",
        "if not (rows.before and rows.after):",
        _WINDOWS,
    ),
    # output
    Change(
        "the pointer moves before the snapshot is durable",
        "        rename_beneath(folder, target, root=Layout(self.root).private, target_root=self.root)\n"
        "        sync_folder(target.parent)",
        "        rename_beneath(folder, target, root=Layout(self.root).private, target_root=self.root)",
        ("tests/trials/test_power_loss.py",),
    ),
    Change(
        "a pointer is not durable",
        "platforms.current().sync_file(file.fileno())\n        platforms.current().replace_file",
        "platforms.current().replace_file",
        ("tests/trials/test_power_loss.py",),
    ),
    Change(
        "somebody else's output is written to",
        "        self.check_lock()\n",
        "",
        (
            "tests/pipeline/publication/test_publish.py",
            "tests/journeys/test_changed_nights.py",
            "tests/output/test_other_file_systems.py",
            "tests/journeys/test_planted_links.py",
        ),
    ),
    Change(
        "the newest snapshots are retired",
        "runs = sorted((name for name in names if RUN_ID.fullmatch(run_of_snapshot(name))), reverse=True)",
        "runs = sorted(name for name in names if RUN_ID.fullmatch(run_of_snapshot(name)))",
        _RETIRE,
    ),
    Change(
        "a snapshot is retired while readers may have it open",
        "at < a_day_ago",
        "datetime.fromisoformat(at) <= now",
        _RETIRE,
    ),
    Change(
        "runs with data are retired",
        "if run_id not in needed and run_id < _stamp(now - _A_DAY)]",
        "if run_id < _stamp(now - _A_DAY)]",
        _RETIRE,
    ),
    Change(
        "a path that climbs is read",
        'if not parts or ".." in parts or ".." in windows.parts:',
        "if not parts:",
        _NO_FOLLOW,
    ),
    Change("a link is followed for reading", "_READ = os.O_RDONLY | _NO_FOLLOW |", "_READ = os.O_RDONLY |", _NO_FOLLOW),
    Change(
        "a snapshot of another size counts as whole",
        "if expected_bytes is not None and size_bytes != expected_bytes:",
        "if expected_bytes is not None and not size_bytes:",
        ("tests/journeys/test_damage.py", "tests/cli/test_runs_verify.py"),
    ),
    Change("no rows replace many", "if rows == 0 and", "if rows < 0 and", _PUBLISH),
    # decisions
    Change(
        "a night without a scheduled report waits a whole day",
        "now - seen_at < refresh - _HALF_A_DAY",
        "now - seen_at < refresh",
        ("tests/pipeline/nightly/test_decision_rules.py",),
    ),
    Change(
        "a history gets a scheduled report",
        "    elif pull.keeps_history:\n        decision = _decide_history",
        "    elif pull.keeps_history and facts.published is None:\n        decision = _decide_history",
        ("tests/pipeline/nightly/test_decision_rules.py",),
    ),
    Change(
        "windows whose files were cleared count as kept",
        "if size_beneath(entry.facts.stored.path, root=private) is not None]",
        "if entry.facts]",
        ("tests/cli/test_plans.py",),
    ),
    Change(
        "a plan counts reports that an earlier run ordered",
        "sum(not decided.reusable.has(pull_fingerprint(window)) for window in windows)",
        "sum(bool(pull_fingerprint(window)) for window in windows)",
        ("tests/cli/test_plans.py",),
    ),
    Change(
        "a column that is gone from a history is no drift",
        "return frozenset(column.name.casefold() for column in columns) - came",
        "return frozenset(column.name.casefold() for column in columns) & came - came",
        ("tests/journeys/test_history.py",),
    ),
    # what is told
    Change(
        "a secret is left in the text",
        "            text = text.replace(value, STARS)",
        "            text = str(text)",
        ("tests/test_redact_properties.py",),
    ),
    Change(
        "a secret is cut before it is redacted",
        "    text = redact(text[:examined])\n",
        "    text = redact(text[:most])\n",
        ("tests/test_redact_properties.py", "tests/test_untrusted_text.py"),
    ),
)
"""Small changes of the dangerous kind (a comparison, a swallowed error, a sync that is missing), by layer."""

ALL = (*NAMED, *FURTHER, *BY_LAYER)
