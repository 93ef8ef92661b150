"""
The same requests to Azurite and to the simulator's storage host, and the same answers expected.

Azurite is an emulator too. Where it differs from what the service's documents say, or from what was seen of the service
itself, the check says so, and the simulator is held to the service's side.
"""

from __future__ import annotations

import base64
import hashlib
import re
from email.utils import parsedate_to_datetime

import pytest
from storage.hosts import Host
from storage.plain_http import Answer, ask

# The first test that needs Azurite may have to install it.
pytestmark = pytest.mark.timeout(330)

OTHER_ETAG = '"0x8D0000000000000"'
ETAG = re.compile(r'"0x[0-9A-F]{15}"')


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def assert_refused(answer: Answer, host: Host, *, status: int, code: str) -> None:
    """Status, header, and a page whose code is the same, with a message that names request and time."""
    assert (answer.status, answer.headers["x-ms-error-code"]) == (status, code)
    assert answer.headers["content-type"] == "application/xml"
    assert answer.body.startswith(host.bom + b"<?xml ")
    assert answer.error["Code"] == code
    request_id = re.escape(answer.headers["x-ms-request-id"])
    assert re.fullmatch(rf".+\nRequestId:{request_id}\nTime:[-\dT:.]+Z", answer.error["Message"])


@pytest.mark.behaviour(126, 128, 129, 132, 134)
@pytest.mark.parametrize("accepted", ["identity", "gzip", "br"])
async def test_a_whole_read_gives_the_stored_bytes_and_all_that_describes_them(host: Host, accepted: str) -> None:
    """No version is named: the signature's is enough. What the client accepts changes nothing."""
    answer = await ask(host.link, Accept_Encoding=accepted)

    assert answer.status == 200
    assert answer.body == host.content
    assert answer.headers["content-length"] == str(len(host.content))
    assert answer.headers["content-md5"] == md5(host.content)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-ms-blob-type"] == "BlockBlob"
    assert ETAG.fullmatch(answer.headers["etag"])
    assert parsedate_to_datetime(answer.headers["last-modified"]).tzinfo
    assert {"x-ms-request-id", "x-ms-version", "date"} <= set(answer.headers)
    assert not {"content-range", "transfer-encoding"} & set(answer.headers)


@pytest.mark.behaviour(129)
async def test_head_describes_the_whole_file(host: Host) -> None:
    whole, head = await ask(host.link), await ask(host.link, "HEAD")

    assert (head.status, head.body) == (200, b"")
    reported = ("content-length", "content-md5", "content-encoding", "content-type", "accept-ranges", "etag")
    assert [head.headers[name] for name in reported] == [whole.headers[name] for name in reported]
    assert head.headers["last-modified"] == whole.headers["last-modified"]


async def test_head_knows_no_ranges(host: Host) -> None:
    """It is Get Blob Properties, which documents none."""
    head = await ask(host.link, "HEAD", Range="bytes=5-9")

    assert (head.status, head.headers["content-length"]) == (200, str(len(host.content)))


@pytest.mark.behaviour(130, 132, 134)
@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, -1),
        ("bytes=5-9", 5, 9),
        ("bytes=5-", 5, -1),
        ("bytes=5-99999999", 5, -1),
        ("bytes={last}-", -1, -1),
        ("bytes={last}-{last}", -1, -1),
    ],
)
async def test_a_range_gives_these_bytes_of_the_stored_file(host: Host, header: str, first: int, last: int) -> None:
    """The digest of the whole moves to a header of its own, and the encoding is named although a part is no gzip."""
    size = len(host.content)
    first, last = first % size, last % size
    whole, part = await ask(host.link), await ask(host.link, Range=header.format(last=size - 1))

    assert part.status == 206
    assert part.body == host.content[first : last + 1]
    assert part.headers["content-length"] == str(len(part.body))
    assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
    assert part.headers["x-ms-blob-content-md5"] == md5(host.content)
    assert "content-md5" not in part.headers
    kept = ("etag", "last-modified", "content-encoding", "content-type", "accept-ranges")
    assert [part.headers[name] for name in kept] == [whole.headers[name] for name in kept]


@pytest.mark.behaviour(130)
@pytest.mark.parametrize("beyond", [1, 2, 10**9])
async def test_a_range_that_begins_beyond_the_end_is_416_and_tells_the_length(host: Host, beyond: int) -> None:
    size = len(host.content)
    answer = await ask(host.link, Range=f"bytes={size + beyond}-")

    assert_refused(answer, host, status=416, code="InvalidRange")
    assert answer.headers["content-range"] == f"bytes */{size}"


@pytest.mark.behaviour(130)
@pytest.mark.parametrize("kind", ["report", "empty"])
async def test_a_range_that_begins_right_at_the_end(host: Host, kind: str) -> None:
    """
    416 as well, which the service was seen to say of `bytes=0-0` of an empty file.

    Azurite takes "exceeds the length" by its letter: 206 with no bytes, and a Content-Range that runs backwards.
    """
    link, size = (host.link, len(host.content)) if kind == "report" else (host.empty, 0)
    answer = await ask(link, Range=f"bytes={size}-")

    if host.name == "azurite":
        assert (answer.status, answer.body) == (206, b"")
        assert answer.headers["content-range"] == f"bytes {size}-{size - 1}/{size}"
    else:
        assert_refused(answer, host, status=416, code="InvalidRange")
        assert answer.headers["content-range"] == f"bytes */{size}"


@pytest.mark.behaviour(138)
async def test_an_empty_file_is_a_whole_answer_of_no_bytes(host: Host) -> None:
    answer = await ask(host.empty)

    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
    assert answer.headers["content-md5"] == md5(b"")


@pytest.mark.parametrize("header", ["bytes=5-1", "bytes=0-1,5-6", "nonsense"])
async def test_a_range_of_no_documented_form_is_ignored(host: Host, header: str) -> None:
    answer = await ask(host.link, Range=header)

    assert (answer.status, answer.body) == (200, host.content)
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("header", ["bytes=-5", "bytes=-0", "bytes=-"])
async def test_a_suffix_range_gives_no_suffix(host: Host, header: str) -> None:
    """
    Two forms are documented, and a suffix is neither; clients of the service refuse to send one.

    Azurite answers with the whole file under 206 and lengths that are no numbers.
    """
    answer = await ask(host.link, Range=header)

    assert answer.body == host.content
    if host.name == "azurite":
        assert (answer.status, answer.headers["content-length"]) == (206, "NaN")
    else:
        assert (answer.status, answer.headers["content-length"]) == (200, str(len(host.content)))


@pytest.mark.behaviour(131)
async def test_an_etag_stays_as_long_as_the_file(host: Host) -> None:
    answers = [await ask(host.link), await ask(host.link, Range="bytes=3-"), await ask(host.link, "HEAD")]
    other = await ask(host.other)

    assert len({answer.headers["etag"] for answer in answers}) == 1
    assert other.headers["etag"] != answers[0].headers["etag"]


@pytest.mark.behaviour(131)
@pytest.mark.parametrize("form", ["{quoted}", "{bare}", "*"])
async def test_if_match_lets_the_right_version_pass(host: Host, form: str) -> None:
    etag = (await ask(host.link)).headers["etag"]
    wanted = form.format(quoted=etag, bare=etag.strip('"'))
    whole, part = await ask(host.link, If_Match=wanted), await ask(host.link, If_Match=wanted, Range="bytes=5-")

    assert (whole.status, whole.body) == (200, host.content)
    assert (part.status, part.body) == (206, host.content[5:])


@pytest.mark.behaviour(131)
@pytest.mark.parametrize("requested", [None, "bytes=5-9", "bytes=999999999-"])
@pytest.mark.parametrize("form", [OTHER_ETAG, "W/{etag}"])
async def test_if_match_refuses_another_version_whatever_range_is_asked_for(
    host: Host, form: str, requested: str | None
) -> None:
    etag = (await ask(host.link)).headers["etag"]
    headers = {"If_Match": form.format(etag=etag)} | ({"Range": requested} if requested else {})

    assert_refused(await ask(host.link, **headers), host, status=412, code="ConditionNotMet")


@pytest.mark.behaviour(131)
async def test_a_refused_head_tells_its_code_in_a_header_alone(host: Host) -> None:
    answer = await ask(host.link, "HEAD", If_Match=OTHER_ETAG)

    assert (answer.status, answer.body, answer.headers["x-ms-error-code"]) == (412, b"", "ConditionNotMet")


async def test_if_none_match_spares_a_known_version(host: Host) -> None:
    etag = (await ask(host.link)).headers["etag"]
    known, changed = await ask(host.link, If_None_Match=etag), await ask(host.link, If_None_Match=OTHER_ETAG)

    assert (known.status, known.body, known.headers["x-ms-error-code"]) == (304, b"", "ConditionNotMet")
    assert (changed.status, changed.body) == (200, host.content)


@pytest.mark.behaviour(131)
async def test_if_range_guards_nothing(host: Host) -> None:
    """A resume that leaned on it would be joined to another version: only `If-Match` pins one."""
    part = await ask(host.link, Range="bytes=5-9", If_Range=OTHER_ETAG)

    assert (part.status, part.body) == (206, host.content[5:10])


@pytest.mark.behaviour(124)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_expired_link_is_403(host: Host, method: str) -> None:
    answer = await ask(host.expired, method)

    if method == "GET":
        assert_refused(answer, host, status=403, code=host.refusal)
    else:
        assert (answer.status, answer.body, answer.headers["x-ms-error-code"]) == (403, b"", host.refusal)


@pytest.mark.behaviour(124)
async def test_the_page_says_why_a_signature_is_refused(host: Host) -> None:
    """As documented; Azurite's pages have no details."""
    details = [
        answer.error.get("AuthenticationErrorDetail", "").partition(".")[0].partition(":")[0]
        for answer in (await ask(host.expired), await ask(host.link + "x"))
    ]

    expected = ["Signature not valid in the specified time frame", "Signature did not match"]
    assert details == (["", ""] if host.name == "azurite" else expected)


@pytest.mark.behaviour(123, 124)
@pytest.mark.parametrize("damage", ["another", "longer", "another end", "more rights", "none", "no query at all"])
async def test_a_damaged_signature_is_403(host: Host, damage: str) -> None:
    """The service may say 404 or 409 to a request without any query, as its account is set."""
    path, query = host.link.split("?")
    bare = query.partition("&sig=")[0]
    link = {
        "another": f"{path}?{bare}&sig={'A' * 43}%3D",
        "longer": f"{host.link}AAAA",
        "another end": host.link.replace("&se=20", "&se=21"),
        "more rights": re.sub(r"&sp=r(?=&|$)", "&sp=rw", host.link),
        "none": f"{path}?{bare}",
        "no query at all": path,
    }[damage]

    assert_refused(await ask(link), host, status=403, code=host.refusal)


@pytest.mark.behaviour(123)
async def test_the_signature_of_another_file_opens_nothing(host: Host) -> None:
    link = f"{host.other.split('?')[0]}?{host.link.split('?')[1]}"

    assert_refused(await ask(link), host, status=403, code=host.refusal)


@pytest.mark.behaviour(133)
async def test_a_missing_file_is_404(host: Host) -> None:
    whole, part = await ask(host.missing), await ask(host.missing, Range="bytes=5-")
    head = await ask(host.missing, "HEAD")

    assert_refused(whole, host, status=404, code="BlobNotFound")
    assert_refused(part, host, status=404, code="BlobNotFound")
    assert (head.status, head.body, head.headers["x-ms-error-code"]) == (404, b"", "BlobNotFound")


@pytest.mark.behaviour(131, 133)
async def test_a_missing_file_may_hide_behind_a_condition(host: Host) -> None:
    """Azurite looks at the condition first. Nothing documents the order, so a client has to live with both."""
    answer = await ask(host.missing, If_Match=OTHER_ETAG)

    status, code = (412, "ConditionNotMet") if host.name == "azurite" else (404, "BlobNotFound")
    assert_refused(answer, host, status=status, code=code)


@pytest.mark.behaviour(120)
async def test_a_credential_besides_the_signature(host: Host) -> None:
    """The service refuses two ways to authenticate at once, as was observed; Azurite looks at the signature alone."""
    answer = await ask(host.link, Authorization="Bearer of-nobody")

    if host.name == "azurite":
        assert (answer.status, answer.body) == (200, host.content)
    else:
        assert_refused(answer, host, status=403, code="AuthenticationFailed")


@pytest.mark.behaviour(121)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_link_is_for_reading_only(host: Host, method: str) -> None:
    answer = await ask(host.link, method, x_ms_blob_type="BlockBlob")

    assert_refused(answer, host, status=403, code="AuthorizationPermissionMismatch")
    assert (await ask(host.link)).body == host.content
