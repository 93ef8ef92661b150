"""Replies: nothing of an answer is believed that is not what was asked for."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from bulkpull.errors import BulkpullError, FileGone, LinkExpired, StorageTrouble, TransferError
from bulkpull.transfer.byte_ranges import ByteRange
from bulkpull.transfer.range_responses import (
    FileReplaced,
    InvalidRangeResponse,
    RangeNotSatisfiable,
    Version,
    check_response,
    error_for_status,
    refuse_error_page,
    version_of,
)

NOW = datetime(2026, 11, 23, tzinfo=UTC)
KNOWN = Version(size_bytes=1_000, etag='"a"', modified="Mon, 23 Nov 2026 00:00:00 GMT")
ASKED = ByteRange(100, 200)
GOOD = {"Content-Range": "bytes 100-199/1000", "Content-Length": "100", "ETag": '"a"'}
DIGEST = base64.b64encode(bytes(16)).decode()


@pytest.mark.behaviour(130)
def test_the_range_that_was_asked_for_is_taken() -> None:
    offer = check_response(206, GOOD, asked=ASKED, known=KNOWN)

    assert (offer.end, offer.whole) == (200, False)


def test_a_shorter_range_is_taken_as_far_as_it_goes() -> None:
    offer = check_response(206, {"Content-Range": "bytes 100-149/1000"}, asked=ASKED, known=KNOWN)

    assert offer.end == 150


@pytest.mark.fault(64)
@pytest.mark.parametrize(
    "change",
    [
        {"Content-Range": "bytes 99-199/1000"},
        {"Content-Range": "bytes 99-198/1000"},
        {"Content-Range": "bytes 101-199/1000"},
        {"Content-Range": "bytes 100-200/1000", "Content-Length": "101"},
        {"Content-Range": "bytes 100-99/1000"},
        {"Content-Length": "99"},
        {"Content-Range": ""},
        {"Content-Range": "bytes */1000"},
        {"Content-Range": "bytes 100-199/1000, 300-399/1000"},
        {"Content-Range": "rows 100-199/1000"},
    ],
)
def test_another_range_than_the_one_asked_for_is_not_trusted(change: dict[str, str]) -> None:
    with pytest.raises(InvalidRangeResponse):
        check_response(206, GOOD | change, asked=ASKED, known=KNOWN)


@pytest.mark.behaviour(131)
@pytest.mark.fault(55, 64, 67)
@pytest.mark.parametrize(
    "change",
    [
        {"Content-Range": "bytes 100-199/1001"},
        {"ETag": '"b"'},
        {"Last-Modified": "Mon, 23 Nov 2026 00:00:01 GMT"},
        {"Content-Encoding": "gzip"},
    ],
)
@pytest.mark.parametrize("status", [200, 206])
def test_another_version_is_never_joined_to_what_is_there(status: int, change: dict[str, str]) -> None:
    headers = GOOD | change
    if status == 200:
        headers["Content-Length"] = headers["Content-Range"].split("/")[1]

    with pytest.raises(FileReplaced):
        check_response(status, headers, asked=ASKED, known=KNOWN)


def test_a_partial_answer_to_a_request_for_the_whole_file_is_not_taken() -> None:
    with pytest.raises(InvalidRangeResponse):
        check_response(206, GOOD, asked=None, known=None)


@pytest.mark.behaviour(132)
def test_the_md5_of_a_range_is_not_mistaken_for_that_of_the_file() -> None:
    headers = {"Content-MD5": DIGEST, "x-ms-blob-content-md5": base64.b64encode(b"1" * 16).decode()}

    whole, part = {"Content-Length": "1000"}, {"Content-Range": "bytes 100-199/1000"}

    assert check_response(200, whole | headers, asked=None, known=None).version.md5 == bytes(16)
    assert check_response(206, part | headers, asked=ASKED, known=None).version.md5 == b"1" * 16
    assert check_response(206, part | {"Content-MD5": DIGEST}, asked=ASKED, known=None).version.md5 is None


@pytest.mark.parametrize("header", [None, "", "rubbish", "====", base64.b64encode(b"short").decode()])
def test_an_md5_that_is_none_is_as_good_as_a_missing_one(header: str | None) -> None:
    headers = {} if header is None else {"Content-MD5": header}

    assert version_of(headers, size="10", md5="Content-MD5").md5 is None


@pytest.mark.fault(66)
def test_a_weak_etag_pins_nothing() -> None:
    assert not version_of({"ETag": 'W/"a"'}, size="10", md5="Content-MD5").is_pinned
    assert version_of({"ETag": '"a"'}, size="10", md5="Content-MD5").is_pinned


@pytest.mark.case("C24")
@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (409, "BlobArchived", FileGone, "archive"),
        (409, "BlobBeingRehydrated", StorageTrouble, "archive"),
        (403, "AuthorizationSourceIPMismatch", TransferError, "this machine's network address"),
        (403, "AuthenticationFailed", LinkExpired, "refuses the link"),
        (409, "ContainerBeingDeleted", FileGone, "gone"),
        (400, "NeverHeardOf", StorageTrouble, "NeverHeardOf"),
    ],
)
def test_a_code_of_the_storage_host_decides_whatever_its_status(
    status: int, code: str, kind: type[BulkpullError], words: str
) -> None:
    headers = {"x-ms-error-code": code, "x-ms-request-id": "0aa1b2c3-0000-4000-8000-000000000001"}

    error = error_for_status(status, headers, b"", now=NOW)

    assert type(error) is kind
    assert words in str(error)
    assert f"HTTP {status}, {code}, x-ms-request-id 0aa1b2c3-0000-4000-8000-000000000001" in str(error)


@pytest.mark.case("C24")
@pytest.mark.parametrize(("status", "headers"), [(407, {}), (401, {"WWW-Authenticate": "Basic"}), (511, {})])
def test_a_sign_in_that_a_proxy_asks_for_is_told_as_such_and_not_blamed_on_the_clock(
    status: int, headers: dict[str, str]
) -> None:
    error = error_for_status(status, headers, b"<html>sign in</html>", now=NOW)

    assert type(error) is TransferError
    assert "proxy or gateway" in str(error)
    assert "clock" not in str(error)


@pytest.mark.case("C24")
def test_a_401_of_the_storage_host_itself_asks_for_a_fresh_link() -> None:
    headers = {
        "x-ms-request-id": "0aa1b2c3-0000-4000-8000-000000000001",
        "x-ms-error-code": "NoAuthenticationInformation",
    }

    assert type(error_for_status(401, headers, b"", now=NOW)) is LinkExpired


@pytest.mark.behaviour(124, 131, 133)
@pytest.mark.fault(53, 57, 58, 65)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, LinkExpired),
        (400, StorageTrouble),
        (418, StorageTrouble),
        (404, FileGone),
        (410, FileGone),
        (412, FileReplaced),
        (416, RangeNotSatisfiable),
        (429, StorageTrouble),
        (500, StorageTrouble),
        (503, StorageTrouble),
    ],
)
def test_each_refusal_means_something_else(status: int, kind: type[BulkpullError]) -> None:
    error = error_for_status(status, {"Retry-After": "7"}, b"<Error><Code>SomeCode</Code></Error>", now=NOW)

    assert type(error) is kind
    assert "SomeCode" in str(error)
    if isinstance(error, StorageTrouble):
        assert error.retry_after_s == 7


def test_a_range_beyond_the_end_tells_the_size() -> None:
    error = error_for_status(416, {"Content-Range": "bytes */1000"}, b"", now=NOW)

    assert isinstance(error, RangeNotSatisfiable)
    assert error.size_bytes == 1_000


@pytest.mark.fault(70)
@pytest.mark.parametrize(
    ("code", "kind"),
    [("AuthenticationFailed", LinkExpired), ("ServerBusy", StorageTrouble), ("BlobNotFound", FileGone)],
)
def test_an_error_page_under_status_200_is_no_data(code: str, kind: type[BulkpullError]) -> None:
    with pytest.raises(kind, match=code):
        refuse_error_page(b"\xef\xbb\xbf<?xml version='1.0'?><Error><Code>%s</Code></Error>" % code.encode(), {})


def test_an_error_page_under_status_200_is_quoted_with_the_request_id() -> None:
    headers = {"X-Ms-Request-Id": "0a1b2c3d-0000-4000-8000-00000000000f"}

    with pytest.raises(StorageTrouble, match=r"ServerBusy .*, x-ms-request-id 0a1b2c3d-0000-4000-8000-00000000000f"):
        refuse_error_page(b"<Error><Code>ServerBusy</Code></Error>", headers)


@pytest.mark.parametrize("first", [b"\x1f\x8b\x08\x00", b"<Code>Unknown</Code>", b"MPNId,<Code>ServerBusy</Code>"])
def test_what_is_no_error_page_is_left_to_the_converter(first: bytes) -> None:
    refuse_error_page(first, {})
