"""Faults by name: each does what its story says, to whom and as often as it is armed."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from typing import Any

import aiohttp
import pytest
from simulator_caller import Caller, calling

from bulkpull.simulator import STORIES, Fault
from bulkpull.simulator.faults import CONTENT_FAULTS, FaultBox

QUERY = "SELECT CustomerTpid, CustomerName, Month FROM OfficeUsage"


def fault(name: str, *, times: int | None = 1, endpoint: str | None = None, **args: Any) -> Fault:
    return Fault(name, dataset="OfficeUsage", times=times, endpoint=endpoint, args=args)


def test_an_unknown_fault_cannot_be_armed() -> None:
    with pytest.raises(ValueError, match="no fault 'gremlins'"):
        Fault("gremlins")


def test_a_fault_strikes_where_and_as_often_as_it_says() -> None:
    box = FaultBox([Fault("throttle", dataset="A", endpoint="POST X", times=2, skip=1, args={"every": 2})])

    def firings(dataset: str, method: str) -> bool:
        return box.take("throttle", datasets=(dataset,), endpoint="X", method=method) is not None

    assert not firings("B", "POST")
    assert not firings("A", "GET")
    assert [firings("A", "POST") for _ in range(7)] == [False, False, True, False, True, False, False]
    assert box.times_fired("throttle") == 2


def test_disarmed_faults_do_not_strike() -> None:
    box = FaultBox([Fault("throttle", times=None)])
    assert box.take("throttle")
    box.disarm_all()

    assert not box.take("throttle")


@pytest.mark.fault(36, 37, 47, 105, 107)
@pytest.mark.behaviour(36, 37)
@pytest.mark.parametrize(
    ("args", "status", "retry_after", "body"),
    [
        ({}, 503, None, b'{"message": "Service unavailable", "statusCode": 503}'),
        ({"status": 500, "body": "empty"}, 500, None, b""),
        ({"status": 502, "body": "html", "retry_after": 3}, 502, "3", b"<!DOCTYPE html>"),
        ({"status": 409, "message": "Conflict"}, 409, None, b'{"message": "Conflict", "statusCode": 409}'),
        ({"body": "generic"}, 503, None, b'{"code": "3000", "description": "Service unavailable"'),
        ({"body": "envelope"}, 503, None, b'{"value": null, "nextLink": null'),
        ({"status": 429, "retry_after_date": 57}, 429, "Mon, 23 Nov 2026 02:00:57 GMT", b'{"message"'),
        ({"status": 429, "retry_after": "soon"}, 429, "soon", b'{"message"'),
    ],
)
async def test_http_status_takes_the_form_it_is_told(
    args: dict[str, Any], status: int, retry_after: str | None, body: bytes
) -> None:
    async with (
        calling(Fault("http_status", endpoint="GET ScheduledDataset", args=args)) as caller,
        caller.session.get(f"{caller.simulator.api_base_url}/ScheduledDataset") as reply,
    ):
        raw = await reply.read()

        assert caller.simulator.calls[-1].fault == "http_status"
    assert (reply.status, reply.headers.get("Retry-After")) == (status, retry_after)
    assert raw.startswith(body)


async def test_throttle_has_the_documented_body() -> None:
    async with calling(Fault("throttle", endpoint="ScheduledDataset", args={"retry_after": 57})) as caller:
        reply = await caller.get("/ScheduledDataset")

    assert (reply.status, reply.headers["Retry-After"]) == (429, "57")
    assert reply.body == {"message": "Rate limit is exceeded. Try again in 57 seconds.", "statusCode": 429}


@pytest.mark.fault(30, 31, 35)
@pytest.mark.behaviour(45)
@pytest.mark.parametrize(
    ("name", "made"), [("reset_before_acting", 0), ("reset_after_acting", 1), ("acts_twice", 2), ("name_taken", 0)]
)
async def test_a_lost_answer_leaves_as_many_objects_as_its_story_says(name: str, made: int) -> None:
    async with calling(fault(name)) as caller:
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await caller.query(QUERY, name="Doubtful")
        names = [query.name for query in caller.simulator.service.queries.values() if not query.is_system]

        assert caller.simulator.service.created_queries["OfficeUsage"] == made
        assert names == ["Doubtful"] * (1 if name == "name_taken" else made)
        assert caller.simulator.calls[-1].status is None


@pytest.mark.fault(25, 26, 27, 34)
@pytest.mark.behaviour(30, 36)
@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("html_body", b"<!DOCTYPE html>"),
        ("cut_json", b'{"value": [{'),
        ("empty_body", b""),
        ("wrong_charset", b"\xff\xfe{\0"),
        ("idless_body", b'{"value": [{"queryId": null, "name": "A query"'),
        ("null_value", b'{"value": null'),
        ("error_in_ok_envelope", b'{"value": [], "nextLink": null, "totalCount": 0, "message": "Invalid query"'),
    ],
)
async def test_a_spoiled_reply_says_200_all_the_same(name: str, beginning: bytes) -> None:
    async with calling(fault(name, endpoint="POST ScheduledQueries")) as caller:
        url = f"{caller.simulator.api_base_url}/ScheduledQueries"
        headers = {"Authorization": f"Bearer {caller.token}"}
        async with caller.session.post(url, headers=headers, json={"Name": "A query", "Query": QUERY}) as reply:
            raw = await reply.read()
        made = caller.simulator.service.created_queries["OfficeUsage"]

    assert reply.status == 200
    assert raw.startswith(beginning)
    assert made == (0 if name == "error_in_ok_envelope" else 1)


@pytest.mark.fault(31)
async def test_a_gateway_can_fail_after_the_service_acted() -> None:
    async with calling(fault("status_after_acting", status=502)) as caller:
        reply = await caller.post("/ScheduledQueries", Name="A query", Query=QUERY)

        assert caller.simulator.service.created_queries["OfficeUsage"] == 1
    assert reply.status == 502


@pytest.mark.fault(108)
async def test_a_slow_answer_comes_late() -> None:
    async with calling(Fault("slow_answer", endpoint="ScheduledDataset", args={"seconds": 30})) as caller:
        await caller.get("/ScheduledDataset")

        assert caller.clock.sleeps_s == [30]


@pytest.mark.fault(24)
@pytest.mark.parametrize("name", ["next_link_loops", "next_link_foreign_host"])
async def test_a_next_link_can_lead_astray(name: str) -> None:
    async with calling(Fault(name, endpoint="ScheduledDataset")) as caller:
        link = (await caller.get("/ScheduledDataset")).body["nextLink"]
        blob_url = caller.simulator.blob_url

    assert link.startswith("ScheduledDataset?" if name == "next_link_loops" else blob_url)


@pytest.mark.fault(110)
async def test_two_versions_can_answer_in_turn() -> None:
    async with calling(Fault("alternating_versions", times=None)) as caller:
        bodies = [(await caller.get("/ScheduledDataset")).body for _ in range(3)]

    assert ["ApiVersion" in body for body in bodies] == [True, False, True]
    assert bodies[0]["Value"][0]["DatasetName"] == bodies[1]["value"][0]["datasetName"]


@pytest.mark.fault(17, 52)
async def test_a_good_token_can_be_refused_and_good_data_called_redacted() -> None:
    async with calling(Fault("token_refused"), Fault("redacted", times=None)) as caller:
        first, second = await caller.get("/ScheduledDataset"), await caller.get("/ScheduledDataset")

    assert (first.status, second.status, second.body["dataRedacted"]) == (401, 200, True)


async def seen(caller: Caller, report_id: str, reads: int) -> list[tuple[str, bool]]:
    """Status and whether there is a link, reading by reading."""
    found = []
    for _ in range(reads):
        params = {"executionStatus": "Pending;Running;Paused;Completed"}
        url = f"{caller.simulator.api_base_url}/ScheduledReport/execution/{report_id}"
        headers = {"Authorization": f"Bearer {caller.token}"}
        async with caller.session.get(url, params=params, headers=headers) as reply:
            body = await reply.json()
        record = (body.get("value") or [{}])[-1]
        found.append((record.get("executionStatus", "404"), bool(record.get("reportAccessSecureLink"))))
    return found


DONE = ("Completed", True)


@pytest.mark.fault(43, 44, 45, 46, 48, 49)
@pytest.mark.parametrize(
    ("name", "args", "readings"),
    [
        ("execution_stuck", {}, [("Running", False)] * 3),
        ("execution_flips_back", {}, [("Completed", False), ("Pending", False), DONE]),
        ("completed_without_link", {"reads": 1}, [("Completed", False), DONE, DONE]),
        ("completed_without_link", {"reads": None}, [("Completed", False)] * 3),
        ("execution_paused", {}, [("Paused", False)] * 3),
    ],
)
async def test_an_execution_with_a_fault_shows_what_the_fault_says(
    name: str, args: dict[str, Any], readings: list[tuple[str, bool]]
) -> None:
    async with calling(fault(name, **args)) as caller:
        report_id = await caller.report()
        healthy = await caller.report()

        assert await seen(caller, report_id, 3) == readings
        assert await seen(caller, healthy, 1) == [DONE]


@pytest.mark.fault(43, 45)
@pytest.mark.behaviour(109, 110)
@pytest.mark.parametrize(
    ("name", "args", "word"),
    [
        ("execution_fails", {}, "Failed"),
        ("execution_fails", {"status": "Cancelled"}, "Cancelled"),
        ("execution_status_unknown_word", {"status": "Queued"}, "Queued"),
    ],
)
async def test_an_undocumented_status_shows_among_those_that_are_not_completed(
    name: str, args: dict[str, Any], word: str
) -> None:
    async with calling(fault(name, **args)) as caller:
        report_id = await caller.report()
        completed = await caller.execution(report_id, executionStatus="Completed")
        reply = await caller.execution(report_id, executionStatus="Running")

    assert completed.status == 404
    assert [record["executionStatus"] for record in reply.records] == [word]


@pytest.mark.fault(44)
async def test_a_paused_execution_goes_on_when_its_report_is_resumed() -> None:
    async with calling(fault("execution_paused")) as caller:
        report_id = await caller.report()
        await caller.call("PUT", f"/ScheduledReport/resume/{report_id}")

        assert await seen(caller, report_id, 1) == [DONE]


@pytest.mark.fault(50)
@pytest.mark.behaviour(112)
async def test_an_execution_older_than_its_report_can_come_first() -> None:
    async with calling(fault("old_execution_first", reads=2)) as caller:
        report_id = await caller.report()
        times = [(await caller.execution(report_id)).records[0]["reportGeneratedTime"] for _ in range(3)]

    assert times == ["2026-11-22T02:00:00Z", "2026-11-22T02:00:00Z", "2026-11-23T02:00:00Z"]


@pytest.mark.fault(51)
async def test_the_time_of_generation_can_be_odd() -> None:
    async with calling(fault("generated_time_odd", value="yesterday")) as caller:
        record = (await caller.execution(await caller.report())).records[0]

    assert record["reportGeneratedTime"] == "yesterday"


@pytest.mark.fault(41, 42)
async def test_calls_for_several_reports_can_go_wrong() -> None:
    async with calling() as caller:
        ids = ";".join([await caller.report(), await caller.report(await caller.query("SELECT MpnId FROM Profile"))])
        caller.simulator.arm(fault("batch_lacks_ids"))
        lacking = await caller.execution(ids)
        caller.simulator.arm(fault("one_id_spoils_batch"))
        spoiled = await caller.execution(ids)
        caller.simulator.arm(Fault("strangers_in_batch"))
        stranger = await caller.execution(ids)
        caller.simulator.arm(Fault("joined_form_refused", times=None, args={"form": "ids"}))
        refused = await caller.execution(ids)

    assert (len(lacking.records), spoiled.status, len(stranger.records), refused.status) == (1, 400, 3, 400)


@pytest.mark.fault(39, 57)
async def test_reports_and_queries_can_vanish() -> None:
    async with calling() as caller:
        query_id, report_id = await caller.query(), await caller.report()
        caller.simulator.arm(fault("query_vanishes"))
        refused = await caller.post("/ScheduledReport", ReportName="R", QueryId=query_id, ExecuteNow=True)
        caller.simulator.arm(fault("report_vanishes"))
        gone = await caller.execution(report_id)

        assert query_id not in caller.simulator.service.queries
    assert (refused.message, gone.status) == ("Invalid QueryId", 404)


async def fetched(caller: Caller, link: str | None = None, **headers: str) -> Any:
    return await caller.fetch(link or await caller.link(await caller.report(await caller.query(QUERY))), **headers)


@pytest.mark.fault(56, 57, 58, 68, 70, 71)
@pytest.mark.parametrize(
    ("name", "args", "status", "code"),
    [
        ("link_always_refused", {}, 403, "AuthenticationFailed"),
        ("blob_gone", {}, 404, "BlobNotFound"),
        ("blob_busy", {}, 503, "ServerBusy"),
        ("blob_busy", {"status": 500}, 500, "InternalError"),
        ("xml_under_200", {}, 200, None),
        ("redirect", {}, 302, None),
        ("empty_file", {}, 200, None),
    ],
)
async def test_the_storage_host_can_answer_something_else_once(
    name: str, args: dict[str, Any], status: int, code: str | None
) -> None:
    async with calling(Fault(name, endpoint="blob", args=args)) as caller:
        link = await caller.link()
        odd, good = await fetched(caller, link), await fetched(caller, link)

    assert (odd.status, odd.headers.get("x-ms-error-code")) == (status, code)
    assert good.text.count(b"\r\n") >= 61
    assert odd.raw.startswith(b"\xef\xbb\xbf<?xml") == (code is not None or name == "xml_under_200")


@pytest.mark.fault(54, 59, 60)
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("cut_after_bytes", {"after": 200}),
        ("cut_after_bytes", {"after": 200, "delimit": "chunked"}),
        ("cut_after_bytes", {"after": 200, "resets": True}),
        ("reset_every_bytes", {"after": 200}),
        ("link_expires_mid_file", {"after": 200}),
    ],
)
async def test_a_cut_transfer_is_noticed_by_any_client(name: str, args: dict[str, Any]) -> None:
    async with calling(fault(name, **args)) as caller:
        link = await caller.link(await caller.report(await caller.query(QUERY)))
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
            await fetched(caller, link)

        assert (await fetched(caller, link)).status == (403 if name == "link_expires_mid_file" else 200)


@pytest.mark.fault(60)
async def test_a_cut_without_a_length_looks_like_the_end() -> None:
    async with calling(fault("cut_after_bytes", after=200, delimit="close")) as caller:
        file = await fetched(caller)

    assert len(file.raw) == 200
    assert "Content-Length" not in file.headers


@pytest.mark.fault(61)
async def test_more_bytes_than_announced_lie_behind_the_end() -> None:
    async with calling(fault("more_bytes_than_announced")) as caller:
        link = await caller.link(await caller.report(await caller.query(QUERY)))
        file = await fetched(caller, link)

    assert len(file.raw) == int(file.headers["Content-Length"])


@pytest.mark.fault(62)
@pytest.mark.parametrize(("name", "sleeps"), [("stall_after_bytes", [3600.0]), ("trickle", [20.0] * 3)])
async def test_a_stalled_transfer_takes_the_clocks_time(name: str, sleeps: list[float]) -> None:
    async with calling() as caller:
        link = await caller.link(await caller.report(await caller.query(QUERY)))
        size = len((await fetched(caller, link)).raw)
        caller.simulator.arm(fault(name, after=size - 3))
        file = await fetched(caller, link)

    assert len(file.raw) == size
    assert caller.clock.sleeps_s == pytest.approx(sleeps)


@pytest.mark.fault(63, 64, 65, 75)
@pytest.mark.parametrize(
    ("name", "status", "content_range"),
    [
        ("range_ignored", 200, None),
        ("range_wrong_start", 206, "bytes 9-19/{size}"),
        ("range_other_total", 206, "bytes 10-19/{more}"),
        ("range_multipart", 206, "bytes 10-19/{size}"),
        ("range_not_satisfiable", 416, "bytes */{size}"),
        ("segment_refused", 500, None),
    ],
)
async def test_a_range_can_be_answered_wrongly(name: str, status: int, content_range: str | None) -> None:
    async with calling(fault(name)) as caller:
        link = await caller.link(await caller.report(await caller.query(QUERY)))
        size = len((await fetched(caller, link)).raw)
        odd = await fetched(caller, link, Range="bytes=10-19")
        good = await fetched(caller, link, Range="bytes=10-19")

    expected = content_range.format(size=size, more=size + 1) if content_range else None
    assert (odd.status, odd.headers.get("Content-Range")) == (status, expected)
    assert (good.status, good.headers["Content-Range"]) == (206, f"bytes 10-19/{size}")


@pytest.mark.fault(55, 66, 67, 69)
async def test_etag_md5_and_encoding_can_be_wrong() -> None:
    async with calling() as caller:
        link = await caller.link(await caller.report(await caller.query(QUERY)))
        good = await fetched(caller, link)
        odd = {}
        for name in ("etag_missing", "etag_weak", "md5_wrong", "encoding_by_proxy"):
            caller.simulator.arm(fault(name))
            odd[name] = await fetched(caller, link)
        caller.simulator.arm(fault("etag_changes"))
        resumed = await fetched(caller, link, Range="bytes=10-", If_Match=good.headers["ETag"])
        again = await fetched(caller, link)

    assert "ETag" not in odd["etag_missing"].headers
    assert odd["etag_weak"].headers["ETag"] == f"W/{good.headers['ETag']}"
    assert odd["md5_wrong"].headers["Content-MD5"] != good.headers["Content-MD5"]
    assert "Content-Length" not in odd["encoding_by_proxy"].headers
    assert gzip.decompress(odd["encoding_by_proxy"].raw) == good.raw
    assert resumed.status == 412
    assert again.headers["ETag"] != good.headers["ETag"]
    assert len(again.raw) != len(good.raw)
    assert again.text == good.text


@pytest.mark.fault(76, 77, 78, 79, 80, 81, 82, 83, 84, 86, 90)
@pytest.mark.parametrize("name", sorted(CONTENT_FAULTS))
async def test_a_content_fault_spoils_one_fetch_and_keeps_lengths_and_md5_true(name: str) -> None:
    args: dict[str, Any] = {"bytes": 1 << 20} if name == "bomb" else {}
    async with calling(fault(name, **args), line_ending="\n") as caller:
        link = await caller.link(await caller.report(await caller.query(QUERY)))
        odd, good = await fetched(caller, link), await fetched(caller, link)

    assert odd.raw != good.raw
    assert len(odd.raw) == int(odd.headers["Content-Length"])
    assert good.text.startswith(b"CustomerTpid,CustomerName,Month\n")


def unpacked(raw: bytes) -> bytes:
    """Every member, as far as they go."""
    text = b""
    while raw:
        packer = zlib.decompressobj(31)
        text += packer.decompress(raw)
        raw = packer.unused_data
    return text


@pytest.mark.fault(80, 81, 82, 83, 84, 86)
@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("short_row", lambda text, _: sorted({len(row) for row in rows(text)}) == [2, 3]),
        ("long_row", lambda text, _: sorted({len(row) for row in rows(text)}) == [3, 4]),
        ("missing_column", lambda text, _: {len(row) for row in rows(text)} == {2}),
        ("extra_column", lambda text, _: {len(row) for row in rows(text)} == {4}),
        ("reordered_header", lambda text, good: [row[::-1] for row in rows(text)] == rows(good)),
        ("duplicate_header", lambda text, _: rows(text)[0] == ["CustomerTpid", "CustomerTpid", "Month"]),
        ("header_other_case", lambda text, _: text.split(b"\n")[0] == b"cUSTOMERtPID,cUSTOMERnAME,mONTH"),
        ("blank_lines_inside", lambda text, good: [row for row in rows(text) if row] == rows(good)),
        ("blank_lines_at_end", lambda text, good: text == good + b"\n\n"),
        ("no_final_newline", lambda text, good: text + b"\n" == good),
        ("cut_row", lambda text, good: good.startswith(text) and not text.endswith(b"\n")),
        ("open_quote", lambda text, _: text.endswith(b'"unfinished')),
        ("two_members", lambda text, good: text == good),
        ("header_only", lambda text, _: len(rows(text)) == 1),
        ("bom", lambda text, good: text == b"\xef\xbb\xbf" + good),
        ("crlf", lambda text, good: rows(text) == rows(good) and b"\r\n" in text),
        ("tsv", lambda text, _: text.startswith(b"CustomerTpid\tCustomerName\tMonth\n")),
        ("utf16", lambda text, good: text.decode("utf-16").encode() == good),
        ("nul_bytes", lambda text, _: text.count(b"\0") == 1),
        ("latin1", lambda text, _: b"Soci\xe9t\xe9" in text),
    ],
)
async def test_a_spoiled_text_is_wrong_in_just_the_way_it_says(name: str, check: Any) -> None:
    async with calling(fault(name), line_ending="\n") as caller:
        link = await caller.link(await caller.report(await caller.query(QUERY)))
        odd, good = await fetched(caller, link), await fetched(caller, link)

    assert check(unpacked(odd.raw), good.text)


def rows(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline="")))


@pytest.mark.fault(76, 77)
@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("cut_gzip", "end-of-stream"),
        ("bad_crc", "CRC check failed"),
        ("bad_gzip_length", "Incorrect length"),
        ("bit_flip", "CRC check failed|invalid|incorrect|Incorrect|end-of-stream"),
        ("rubbish_after_gzip", "Not a gzipped file"),
    ],
)
async def test_a_damaged_gzip_file_is_damaged_to_any_reader(name: str, complaint: str) -> None:
    async with calling(fault(name)) as caller:
        odd = await fetched(caller)

    with pytest.raises((OSError, EOFError, zlib.error), match=complaint):
        gzip.decompress(odd.raw)


@pytest.mark.fault(81, 86)
@pytest.mark.parametrize("name", ["short_row", "latin1"])
async def test_a_fault_in_a_row_beyond_the_end_strikes_the_last_row(name: str) -> None:
    async with calling(fault(name, row=100), rows=20, line_ending="\n") as caller:
        link = await caller.link(await caller.report(await caller.query(QUERY)))
        odd, good = await fetched(caller, link), await fetched(caller, link)

    spoiled, whole = unpacked(odd.raw), good.text
    before = whole[: whole.index(b"\n")]
    assert odd.status == 200
    assert spoiled != whole
    assert spoiled.startswith(before)


async def test_a_spoiled_file_stays_spoiled_for_the_ranges_of_the_same_fetch() -> None:
    async with calling(fault("short_row")) as caller:
        link = await caller.link(await caller.report(await caller.query(QUERY)))
        odd = await fetched(caller, link, Range="bytes=0-99")
        rest = await fetched(caller, link, Range="bytes=100-", If_Match=odd.headers["ETag"])
        good = await fetched(caller, link)

    assert rest.status == 206
    assert gzip.decompress(odd.raw + rest.raw) != good.text


async def test_a_look_at_the_first_bytes_does_not_use_a_content_fault_up() -> None:
    async with calling(fault("short_row")) as caller:
        link = await caller.link(await caller.report(await caller.query(QUERY)))
        await caller.fetch(link, "HEAD")
        await fetched(caller, link, Range="bytes=0-0")
        odd, good = await fetched(caller, link), await fetched(caller, link)

    assert odd.text != good.text


def test_every_story_is_told_in_a_line() -> None:
    assert all(0 < len(story) <= 100 for story in STORIES.values())
