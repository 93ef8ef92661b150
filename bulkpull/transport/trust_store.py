"""The TLS trust store of all connections: apart from `http.py`, because it reads the disk and is made once a run."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bulkpull.errors import SettingsError
from bulkpull.transport.threaded_tls_reader import TappableContext


def trusted_certificates(ca_file: Path | None) -> TappableContext:
    """
    The system's certificates, and those of the PEM file `ca_file`; verification is never switched off.

    Reads the disk. Raises `SettingsError` where the file cannot be read, or holds no certificate.
    """
    # Otherwise as `ssl.create_default_context`, which makes no other class; a test holds the two together. Only its
    # `VERIFY_X509_STRICT` (Python 3.13) is left out: companies' own authorities often lack an authority key identifier,
    # which neither curl nor a browser minds (case C39).
    context = TappableContext(ssl.PROTOCOL_TLS_CLIENT)
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
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


@contextmanager
def certificates_read_late() -> Iterator[None]:
    """
    Let a context that is made in this block read the system's certificates when it is first used.

    For the import of aiohttp, which makes two that we never use: reading them takes a tenth of a short run.
    """
    read = ssl.SSLContext.set_default_verify_paths

    def read_late(context: ssl.SSLContext) -> None:
        if type(context) is ssl.SSLContext:
            context.__class__ = _LateContext
        else:
            read(context)

    ssl.SSLContext.set_default_verify_paths = read_late  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        del ssl.SSLContext.set_default_verify_paths  # what it inherits is visible again


class _LateContext(ssl.SSLContext):
    """A context without the system's certificates; its first connection makes it one with them."""

    def wrap_bio(self, *given: Any, **options: Any) -> ssl.SSLObject:
        return self._complete().wrap_bio(*given, **options)

    def wrap_socket(self, *given: Any, **options: Any) -> ssl.SSLSocket:
        return self._complete().wrap_socket(*given, **options)

    def _complete(self) -> ssl.SSLContext:
        self.__class__ = ssl.SSLContext  # type: ignore[assignment]
        self.set_default_verify_paths()
        return self
