"""
Certificate sign-in: a signed assertion instead of a client secret, valid for ten minutes and one token endpoint.

Source: the identity platform's certificate credentials (PS256, `x5t#S256`), RFC 7523.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bulkpull.clock import Clock
from bulkpull.errors import SettingsError
from bulkpull.redact import register_token

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

LIVES_S = 600
# Clocks differ: a start in the other side's future would make the assertion invalid.
_BACKDATED_S = 60
# What lies between two marks holds no five dashes, so that a search never reads past the next mark (case C14).
_PEM_BODY = rb"(?:[^-]|-(?!----))+"
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----" + _PEM_BODY + rb"-----END CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN ([A-Z ]*)PRIVATE KEY-----" + _PEM_BODY + rb"-----END \1PRIVATE KEY-----")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A private key, and the thumbprint by which the application's registration knows its certificate."""

    thumbprint: str
    _key: RSAPrivateKey = field(repr=False)

    def assertion(self, token_url: str, *, client_id: str, clock: Clock) -> str:
        """The signed assertion for `token_url`; a secret as long as it is valid."""
        import jwt  # noqa: PLC0415 - an extra, and slow to load

        now = int(clock.now().timestamp())
        claims = {
            "aud": token_url,
            "iss": client_id,
            "sub": client_id,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now - _BACKDATED_S,
            "exp": now + LIVES_S,
        }
        signed = jwt.encode(claims, self._key, algorithm="PS256", headers={"x5t#S256": self.thumbprint})
        register_token(signed)
        return signed


def load_certificate(path: Path, *, password: str | None) -> Certificate:
    """Read a PEM file that holds a private key (RSA) and its certificate, in any order. Reads the disk."""
    what = f"`client_certificate_file` {path} cannot be used"
    try:
        import jwt  # noqa: F401, PLC0415 - for `assertion`: loaded here, where reading the disk holds nobody up
        from cryptography import x509  # noqa: PLC0415 - an extra, and slow to load
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 - the same
        from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key  # noqa: PLC0415
    except ImportError:
        raise SettingsError(
            what,
            why="the libraries for certificates are not installed",
            fix="install bulkpull again: they are among its dependencies",
        ) from None
    try:
        content = path.read_bytes()
    except OSError as trouble:
        raise SettingsError(what, why=trouble.strerror) from None
    found, pem = _CERTIFICATE.search(content), _KEY.search(content)
    if found is None or pem is None:
        missing = "certificate" if found is None else "private key"
        raise SettingsError(
            what, why=f"it holds no {missing} in PEM form", fix="put key and certificate into one PEM file"
        )
    try:
        certificate = x509.load_pem_x509_certificate(found[0])
        key = load_pem_private_key(pem[0], password.encode() if password else None)
    except TypeError:
        why = "its private key is encrypted" if password is None else "its private key is not encrypted"
        fix = "set `client_certificate_password`" if password is None else "unset `client_certificate_password`"
        raise SettingsError(what, why=why, fix=fix) from None
    except ValueError:
        raise SettingsError(
            what, why="key or certificate is damaged, or the passphrase is wrong", fix="check both"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise SettingsError(what, why="its key is not an RSA key, which Entra requires")
    if key.public_key() != certificate.public_key():
        raise SettingsError(what, why="its private key does not belong to the certificate")
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    return Certificate(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), key)
