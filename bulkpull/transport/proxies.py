"""
Proxies from the environment, read as curl reads them (case C37), and what their refusals mean.

`HTTPS_PROXY` takes precedence over `ALL_PROXY`; without a scheme it is `http://`; user and password are percent-encoded
UTF-8 or plain. `NO_PROXY` lists hosts (with their subdomains), addresses and networks (`10.0.0.0/8`), each optionally
with a port, or `*`. An unusable value is an error at the start: data must not bypass a configured proxy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from bulkpull.errors import ProxyRefused, SettingsError, TransferError
from bulkpull.redact import register_secret
from bulkpull.url_safety import is_loopback

_DEFAULT_PORTS = {"http": 80, "https": 443}
# Busy or slow: the same request may be let through a moment later.
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True)
class Proxy:
    """A valid proxy: its URL without credentials, and user and password decoded, as they are sent."""

    url: str
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @property
    def is_tls(self) -> bool:
        """Whether it is spoken to by TLS, so that the TLS to the host runs within that."""
        return self.url.startswith("https:")


class Proxies:
    """
    The proxies of the environment, read once, or of `by_scheme`: by `https`, `http` and `all`, and exceptions by `no`.

    aiohttp could read them as well, but then it also reads `.netrc` and would send its credentials to the storage host,
    which refuses any request that carries some (behaviour 120). `SettingsError` where a variable names no usable proxy.
    """

    def __init__(self, by_scheme: Mapping[str, str] | None = None) -> None:
        self._asks_system = by_scheme is None and not getproxies_environment()
        named = getproxies() if by_scheme is None else by_scheme
        self._exceptions = [host.casefold() for host in named.get("no", "").replace(",", " ").split()]
        self._by_scheme: dict[str, Proxy] = {}
        for scheme in ("https", "http"):
            name = scheme if named.get(scheme, "").strip() else "all"
            if address := named.get(name, "").strip():
                self._by_scheme[scheme] = _read_proxy(address, variable=f"{name.upper()}_PROXY")

    def proxy_for(self, url: str) -> Proxy | None:
        """The proxy to use for `url`; none for loopback and for the hosts of `NO_PROXY`."""
        parts = urlsplit(url)
        proxy = self._by_scheme.get(parts.scheme)
        if proxy is None or is_loopback(url):
            return None
        host, port = (parts.hostname or "").rstrip("."), parts.port or _DEFAULT_PORTS.get(parts.scheme)
        is_excepted = any(_names(exception, host, port) for exception in self._exceptions)
        if is_excepted or (self._asks_system and proxy_bypass(parts.hostname or "")):  # exceptions of macOS and Windows
            return None
        return proxy


def _read_proxy(address: str, *, variable: str) -> Proxy:
    if "://" not in address:
        address = f"http://{address}"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise SettingsError(f"{variable} is not a valid proxy address", fix="write http://HOST:PORT") from None
    if parts.scheme not in _DEFAULT_PORTS:
        kind = "a SOCKS proxy" if parts.scheme.startswith("socks") else f"a proxy of the kind {parts.scheme[:20]!r}"
        raise SettingsError(
            f"{variable} names {kind}, which is not supported",
            fix="name an HTTP proxy (http://HOST:PORT), or except the hosts by NO_PROXY",
        )
    host = parts.hostname or ""
    if not host or any(character.isspace() for character in host):
        raise SettingsError(f"{variable} names no host", fix="write http://HOST:PORT")
    user = None if parts.username is None else unquote(parts.username)
    password = unquote(parts.password or "")
    register_secret(password)
    if any(character < " " for character in (user or "") + password) or ":" in (user or ""):
        raise SettingsError(
            f"{variable} has a user name or password that cannot be sent",
            why="a colon in the user name, or a control character",
        )
    host = f"[{host}]" if ":" in host else host
    return Proxy(f"{parts.scheme}://{host}:{port or _DEFAULT_PORTS[parts.scheme]}", user, password)


def _names(exception: str, host: str, port: int | None) -> bool:
    """Whether an entry of `NO_PROXY` means this host."""
    if exception == "*":
        return True
    name, _, number = exception.rpartition(":")
    # One colon is a port; several are an IPv6 address, unless it stands in brackets.
    if number.isdigit() and (name.endswith("]") or (name and ":" not in name)):
        if int(number) != port:
            return False
        exception = name
    exception = exception.strip("[]").removeprefix("*").strip(".")
    try:
        address = ip_address(host)
    except ValueError:
        return bool(exception) and (host == exception or host.endswith(f".{exception}"))
    try:
        return address in ip_network(exception, strict=False)
    except ValueError:
        return False


def connect_refusal(status: int, *, label: str) -> ProxyRefused | None:
    """The error for a reply to CONNECT, which is certainly the proxy's; `None` where another try may help."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return ProxyRefused(f"{label}: the proxy refuses the credentials")
    if not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING:
        return None
    return ProxyRefused(
        f"{label}: the proxy refuses the connection",
        why=f"the proxy said {status}",
        fix="ask the operator of the proxy to allow this host, or exclude the host from the proxy (NO_PROXY)",
    )


def proxy_refusal(status: int, *, operation: str, is_the_services: bool) -> TransferError | None:
    """The error for an answer of a proxy or of the network on the way; `None` when it may be the service's own."""
    if status == HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:
        return TransferError(
            f"cannot {operation}: the network requires a sign-in",
            why="511, which a captive portal sends instead of the service",
            fix="sign in to the network of this machine, then run the same command again",
        )
    is_refused = status == HTTPStatus.UNAUTHORIZED and not is_the_services
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED or is_refused:
        return TransferError(
            f"cannot {operation}: a proxy or gateway requires a sign-in",
            why=f"{status}, which is not a reply of the service",
            fix="check user name and password in HTTPS_PROXY, or exclude the host from the proxy (NO_PROXY)",
        )
    return None
