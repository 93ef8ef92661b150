"""The storage host: links, ranges, conditions."""

from __future__ import annotations

import base64
import hashlib

import pytest
from simulator_caller import calling
from yarl import URL

from bulkpull.simulator import Fault, Simulator


@pytest.mark.behaviour(120, 121, 183)
async def test_a_link_lies_on_another_origin_than_the_api_and_has_the_observed_shape() -> None:
    async with calling() as caller:
        query_id = await caller.query()
        report_id = await caller.report(query_id, ReportName="Ä report, with blanks")
        execution_id = (await caller.execution(report_id)).records[0]["executionId"]
        link = await caller.link(report_id)
        file = await caller.fetch(link)

        assert link.startswith(caller.simulator.blob_url + "/")
        assert not caller.simulator.api_base_url.startswith(caller.simulator.blob_url)
    path, query = link.split("?")
    assert "/programmatic-export-pi/%C3%84%20report%2C%20with%20blanks_" in path
    assert path.endswith(".csv")
    assert execution_id not in path
    assert [pair.split("=")[0] for pair in query.split("&")] == ["sv", "sr", "sig", "se", "sp"]
    assert file.status == 200


@pytest.mark.behaviour(120)
@pytest.mark.parametrize("name", ["Authorization", "authorization"])
async def test_a_request_with_authorization_is_refused(name: str) -> None:
    async with calling() as caller:
        file = await caller.fetch(await caller.link(), **{name: f"Bearer {caller.token}"})

        assert caller.simulator.calls[-1].has_authorization
    assert (file.status, file.headers["x-ms-error-code"]) == (403, "AuthenticationFailed")


@pytest.mark.behaviour(123)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("%3A", ":"),
        ("%3A", "%3a"),
        ("&sp=r", "&sp=rw"),
        ("sv=2018-03-28&sr=b", "sr=b&sv=2018-03-28"),
        ("&sig=", "&sig=x"),
        ("_", "__"),
    ],
)
async def test_a_link_that_differs_by_a_byte_is_refused(old: str, new: str) -> None:
    async with calling() as caller:
        link = await caller.link()
        file = await caller.fetch(link.replace(old, new, 1))

    assert file.status == 403
    assert b"<Code>AuthenticationFailed</Code>" in file.raw


@pytest.mark.behaviour(123)
async def test_a_signature_that_was_encoded_anew_is_refused() -> None:
    async with calling() as caller:
        report_id = await caller.report()
        link = await caller.link(report_id)
        while "%2B" not in link:  # not every signature has a plus sign; the next second brings another
            caller.clock.move(seconds=1)
            link = await caller.link(report_id)

        assert (await caller.fetch(link.replace("%2B", "+"))).status == 403
        assert (await caller.fetch(link)).status == 200


@pytest.mark.behaviour(121, 124, 125)
async def test_a_link_ends_with_its_lifetime_and_a_fresh_one_opens_the_same_file() -> None:
    async with calling(link_lifetime_s=60) as caller:
        report_id = await caller.report()
        link = await caller.link(report_id)
        good = await caller.fetch(link)
        caller.clock.move(seconds=60)
        late = await caller.fetch(link, Range="bytes=5-")
        fresh = await caller.fetch(await caller.link(report_id), If_Match=good.headers["ETag"])

    assert (late.status, late.headers["Content-Type"]) == (403, "application/xml")
    assert b"<AuthenticationErrorDetail>Signature not valid in the specified time frame: Start [" in late.raw
    assert b"Expiry [Mon, 23 Nov 2026 02:01:00 GMT] - Current [Mon, 23 Nov 2026 02:01:00 GMT]" in late.raw
    assert fresh.raw == good.raw


@pytest.mark.behaviour(128, 129, 132)
async def test_a_whole_read_tells_length_md5_and_encoding_of_the_stored_bytes() -> None:
    async with calling() as caller:
        file = await caller.fetch(await caller.link(), Accept_Encoding="identity")

    assert int(file.headers["Content-Length"]) == len(file.raw)
    assert base64.b64decode(file.headers["Content-MD5"]) == hashlib.md5(file.raw, usedforsecurity=False).digest()
    assert (file.headers["Content-Encoding"], file.headers["Accept-Ranges"]) == ("gzip", "bytes")
    assert file.headers["ETag"].startswith('"0x8D')
    assert {"Last-Modified", "x-ms-request-id"} <= set(file.headers)


@pytest.mark.behaviour(130, 132)
@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=100-", 100, None),
        ("bytes=0-999999999", 0, None),
    ],
)
async def test_a_range_addresses_the_stored_bytes(header: str, first: int, last: int | None) -> None:
    async with calling() as caller:
        link = await caller.link()
        whole = await caller.fetch(link)
        part = await caller.fetch(link, Range=header)
    size = len(whole.raw)
    begin, end = first, size if last is None else last + 1

    assert part.status == 206
    assert part.raw == whole.raw[begin:end]
    assert part.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{size}"
    assert part.headers["x-ms-blob-content-md5"] == whole.headers["Content-MD5"]
    assert "Content-MD5" not in part.headers


@pytest.mark.behaviour(130)
async def test_the_whole_file_is_its_ranges_joined() -> None:
    async with calling() as caller:
        link = await caller.link()
        whole = await caller.fetch(link)
        step = len(whole.raw) // 5 + 1
        parts = [
            (await caller.fetch(link, Range=f"bytes={at}-{at + step - 1}")).raw for at in range(0, len(whole.raw), step)
        ]

    assert len(parts) == 5
    assert b"".join(parts) == whole.raw


@pytest.mark.behaviour(130)
@pytest.mark.parametrize("header", ["bytes={size}-", "bytes={size}-{size}", "bytes=9999999-"])
async def test_a_range_that_begins_at_the_end_or_beyond_it_is_416(header: str) -> None:
    async with calling() as caller:
        link = await caller.link()
        size = len((await caller.fetch(link)).raw)
        part = await caller.fetch(link, Range=header.format(size=size))

    assert (part.status, part.headers["x-ms-error-code"]) == (416, "InvalidRange")
    assert part.headers["Content-Range"] == f"bytes */{size}"


@pytest.mark.parametrize("header", ["rows=0-5", "bytes=5-1", "bytes=-", "bytes=-5", "bytes=-0", "bytes=0-1,5-6"])
async def test_a_range_of_no_known_form_is_ignored(header: str) -> None:
    async with calling() as caller:
        assert (await caller.fetch(await caller.link(), Range=header)).status == 200


@pytest.mark.behaviour(131)
async def test_conditions_are_held_against_the_etag() -> None:
    async with calling() as caller:
        link = await caller.link()
        etag = (await caller.fetch(link)).headers["ETag"]
        other = '"0x8D0000000000000"'
        statuses = [
            (await caller.fetch(link, If_Match=etag)).status,
            (await caller.fetch(link, If_Match="*")).status,
            (await caller.fetch(link, If_Match=other)).status,
            (await caller.fetch(link, If_Match=f"{other}, {etag}")).status,
            (await caller.fetch(link, If_Match=etag.strip('"'))).status,
            (await caller.fetch(link, If_None_Match=etag)).status,
            (await caller.fetch(link, If_None_Match=other)).status,
            (await caller.fetch(link, Range="bytes=1-2", If_Match=other)).status,
        ]

    assert statuses == [200, 200, 412, 200, 200, 304, 200, 412]


@pytest.mark.behaviour(131)
async def test_if_range_guards_nothing() -> None:
    """It is not among the conditions that the storage host documents, so only `If-Match` pins a version."""
    async with calling() as caller:
        part = await caller.fetch(await caller.link(), Range="bytes=1-2", If_Range='"0x8D0000000000000"')

    assert part.status == 206


async def test_head_tells_what_get_would() -> None:
    async with calling() as caller:
        link = await caller.link()
        head = await caller.fetch(link, "HEAD")
        file = await caller.fetch(link)

    assert (head.status, head.raw) == (200, b"")
    kept = ("Content-Length", "ETag", "Content-MD5", "Content-Encoding")
    assert [head.headers[name] for name in kept] == [file.headers[name] for name in kept]


async def test_head_knows_no_ranges() -> None:
    async with calling() as caller:
        link = await caller.link()
        head = await caller.fetch(link, "HEAD", Range="bytes=5-9")
        file = await caller.fetch(link)

    assert (head.status, head.headers["Content-Length"]) == (200, str(len(file.raw)))


@pytest.mark.parametrize(
    ("method", "status", "code"),
    [
        ("PUT", 403, "AuthorizationPermissionMismatch"),
        ("DELETE", 403, "AuthorizationPermissionMismatch"),
        ("POST", 405, "UnsupportedHttpVerb"),
    ],
)
async def test_a_link_is_for_reading_only(method: str, status: int, code: str) -> None:
    async with calling() as caller:
        refused = await caller.fetch(await caller.link(), method)

    assert (refused.status, refused.headers["x-ms-error-code"]) == (status, code)


async def test_an_unsigned_or_unknown_address_is_refused() -> None:
    async with calling() as caller:
        link = await caller.link()

        assert (await caller.fetch(link.split("?")[0])).status == 403
        assert (await caller.fetch(f"{caller.simulator.blob_url}/somewhere/else")).status == 403


@pytest.mark.parametrize(
    ("parameter", "header"),
    [
        ("etag", "ETag"),
        ("content_md5", "Content-MD5"),
        ("ranges", "Accept-Ranges"),
        ("content_encoding", "Content-Encoding"),
    ],
)
async def test_a_scenario_can_leave_a_header_out(parameter: str, header: str) -> None:
    without = {parameter: False}
    async with calling(**without) as caller:  # type: ignore[arg-type]  # a parameter of the scenario
        link = await caller.link()
        file, part = await caller.fetch(link), await caller.fetch(link, Range="bytes=5-9")

    assert header not in file.headers
    assert part.status == (200 if parameter == "ranges" else 206)


async def test_a_connection_is_held_to_its_bandwidth() -> None:
    async with calling(bandwidth_bytes_per_s=1_000) as caller:
        link = await caller.link()
        began_at = caller.clock.elapsed_s
        file = await caller.fetch(link)

    assert caller.clock.elapsed_s - began_at == pytest.approx(len(file.raw) / 1_000, rel=0.01)


async def test_files_and_folder_are_gone_when_the_simulator_ends() -> None:
    async with calling() as caller:
        await caller.fetch(await caller.link())
        workdir = caller.simulator._workdir
        assert list(workdir.iterdir())

    assert not workdir.exists()


async def test_a_port_that_is_taken_leaves_nothing_behind() -> None:
    async with calling() as caller:
        taken = int(caller.simulator.blob_url.rpartition(":")[2])
        other = Simulator(blob_port=taken)
        with pytest.raises(OSError, match="address already in use"):
            await other.__aenter__()

        assert not other._workdir.exists()


async def test_files_can_be_made_before_anyone_asks_for_them() -> None:
    async with calling() as caller:
        await caller.simulator.prepare(["OfficeUsage", "Profile"])

        assert len(list(caller.simulator._workdir.iterdir())) == 2


@pytest.mark.fault(53)
async def test_an_expired_link_is_handed_out_as_often_as_armed() -> None:
    async with calling(Fault("link_expired", dataset="OfficeUsage")) as caller:
        report_id = await caller.report()
        statuses = [(await caller.fetch(await caller.link(report_id))).status for _ in range(2)]

    assert statuses == [403, 200]


async def test_a_client_that_hangs_up_in_the_middle_is_nothing_to_complain_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with calling(rows=60_000) as caller:
        link = await caller.link()
        for headers in ({}, {"Range": "bytes=10-"}):
            async with caller.session.get(URL(link, encoded=True), headers=headers) as reply:
                await reply.content.readany()
                reply.close()

        assert (await caller.fetch(link)).status == 200
    assert [record.getMessage() for record in caplog.records] == []
