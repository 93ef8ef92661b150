"""Credentials and data go to https, and to this machine."""

from __future__ import annotations

import pytest

from bulkpull.errors import UnsafeAddress
from bulkpull.url_safety import check_address, is_loopback, origin, same_origin


@pytest.mark.parametrize(
    "url",
    [
        "https://api.partnercenter.microsoft.com/insights/v1/mpn",
        "https://account.blob.core.windows.net:443/c/f.csv?sig=abc%2Bdef",
        "http://127.0.0.1:8080/x",
        "http://localhost/x",
        "http://[::1]:8080/x",
        "HTTPS://EXAMPLE.COM/",
    ],
)
def test_https_and_loopback_may_be_asked(url: str) -> None:
    check_address(url, what="the address")


@pytest.mark.fault(68)
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/x", "plain http"),
        ("http://127.0.0.1.example.com/x", "plain http"),
        ("http://localhost.example.com/", "plain http"),
        ("ftp://example.com/x", "scheme is ftp"),
        ("file:///etc/passwd", "no host"),
        ("/relative", "no host"),
        ("https://user:word@example.com/", "user name"),
        ("https://example.com@evil.example/", "user name"),
        ("https://example.com\\@evil.example/", "backslash"),
        ("https://example.com/a b", "blanks"),
        ("https://example.com/\r\nHost: evil.example", "control characters"),
        ("https://example.com:port/", "not an address"),
        ("https://[::1/", "not an address"),
        ("", "no host"),
    ],
)
def test_other_addresses_are_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(UnsafeAddress, match=why):
        check_address(url, what="the address")


def test_a_refusal_does_not_repeat_the_query_of_the_address() -> None:
    with pytest.raises(UnsafeAddress) as caught:
        check_address("http://example.com/f.csv?sv=1&other=verysecret", what="the secure link")

    assert "verysecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example/x", "https://a.example:443/y?z", True),
        ("https://A.example", "https://a.EXAMPLE/", True),
        ("http://localhost:80", "http://localhost", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "https://b.example", False),
        ("http://[::1]:8080/a", "http://[::1]:8080/b", True),
    ],
)
def test_an_origin_is_scheme_host_and_port(one: str, other: str, *, same: bool) -> None:
    assert same_origin(one, other) is same


def test_an_origin_tells_nothing_but_scheme_host_and_port() -> None:
    assert origin("https://a.example/path?sig=secret#f") == "https://a.example:443"


@pytest.mark.parametrize(
    ("url", "loopback"),
    [("http://127.8.9.10/", True), ("http://[::1]/", True), ("http://10.0.0.1/", False), ("http://example.com", False)],
)
def test_loopback_is_this_machine_alone(url: str, *, loopback: bool) -> None:
    assert is_loopback(url) is loopback
