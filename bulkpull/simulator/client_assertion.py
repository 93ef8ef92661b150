"""Checks a signed client assertion, used instead of a client secret (RFC 7523), as Entra documents it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Entra tolerates clocks that differ by this much.
_TOLERANCE_S = 300
_DIGEST_BYTES = 32


def is_signed_by(assertion: str, certificate_pem: bytes) -> bool:
    """Whether the header names this certificate and the signature (PS256) is its key's."""
    from cryptography import x509  # noqa: PLC0415 - for this check alone
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - the same
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415 - the same
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - the same
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - the same

    certificate = x509.load_pem_x509_certificate(certificate_pem)
    thumbprint = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    header = _part(assertion, 0)
    named = str(header.get("x5t#S256", ""))
    key = certificate.public_key()
    if header.get("alg") != "PS256" or _bytes(named) != thumbprint or not isinstance(key, rsa.RSAPublicKey):
        return False
    signed, _, signature = assertion.rpartition(".")
    try:
        key.verify(
            _bytes(signature),
            signed.encode(),
            padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=_DIGEST_BYTES),
            SHA256(),
        )
    except InvalidSignature:
        return False
    return True


def is_meant_for(assertion: str, *, client_id: str, path: str) -> bool:
    """Whether the claims speak of this application and of the token endpoint at `path`."""
    claims = _part(assertion, 1)
    audience = str(claims.get("aud", ""))
    return claims.get("iss") == claims.get("sub") == client_id and audience.casefold().endswith(path.casefold())


def is_valid_at(assertion: str, now: datetime) -> bool:
    """Whether it is neither too early nor too late for it, and it is short-lived."""
    claims = _part(assertion, 1)
    first, last = claims.get("nbf"), claims.get("exp")
    if not isinstance(first, int | float) or not isinstance(last, int | float):
        return False
    moment = now.timestamp()
    return first - _TOLERANCE_S <= moment <= last + _TOLERANCE_S


def _part(assertion: str, number: int) -> Mapping[str, Any]:
    parts = assertion.split(".")
    try:
        value = json.loads(_bytes(parts[number]))
    except (ValueError, IndexError):
        return {}
    return value if isinstance(value, dict) else {}


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
