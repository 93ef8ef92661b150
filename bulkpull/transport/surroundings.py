"""What the machine brings along for every connection: trusted certificates and the proxy."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from bulkpull.address import is_loopback
from bulkpull.errors import SettingsError
from bulkpull.transport.tap import TappableContext


def trusted_certificates(ca_file: Path | None) -> TappableContext:
    """
    The system's certificates, and those of `ca_file` besides; verification is never switched off.

    Reads the disk.

    Raises:
        SettingsError: The file cannot be read, or holds no PEM certificate.
    """
    # Otherwise as `ssl.create_default_context`, which makes no other class; a test holds the two together.
    context = TappableContext(ssl.PROTOCOL_TLS_CLIENT)
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    if key_log := os.environ.get("SSLKEYLOGFILE"):
        context.keylog_filename = key_log
    context.load_default_certs()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except ssl.SSLError:
            raise SettingsError(f"`ca_file` {ca_file} cannot be used", why="it holds no PEM certificate") from None
        except OSError as error:
            raise SettingsError(f"`ca_file` {ca_file} cannot be read", why=error.strerror) from None
    return context


class Proxies:
    """
    The proxies that the environment names (`HTTPS_PROXY`, `NO_PROXY`), looked up once.

    aiohttp could read them as well, but then it also reads `.netrc` and would send its credentials to the storage
    host, which refuses any request that carries some (behaviour 120).
    """

    def __init__(self, by_scheme: Mapping[str, str] | None = None) -> None:
        self._by_scheme = getproxies() if by_scheme is None else by_scheme

    def proxy_for(self, url: str) -> str | None:
        """The proxy to use for `url`; none for loopback and for the hosts of `NO_PROXY`."""
        parts = urlsplit(url)
        proxy = self._by_scheme.get(parts.scheme)
        if proxy is None or is_loopback(url) or proxy_bypass(parts.hostname or ""):
            return None
        return proxy
