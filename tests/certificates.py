"""Certificates of test applications and of a test authority, made anew for each test process."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

PASSPHRASE = "the-keys-passphrase"


@dataclass(frozen=True)
class Made:
    """A key and its certificate, in PEM."""

    key: bytes
    sealed_key: bytes
    certificate: bytes


@cache
def made(number: int = 0, *, elliptic: bool = False) -> Made:
    """Each number has a key of its own."""
    del number
    key = ec.generate_private_key(ec.SECP256R1()) if elliptic else rsa.generate_private_key(65_537, 2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bulkpull.contoso.example")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=36_500)).sign(
        key, SHA256()
    )

    def pem(encryption: KeySerializationEncryption) -> bytes:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    return Made(
        key=pem(NoEncryption()),
        sealed_key=pem(BestAvailableEncryption(PASSPHRASE.encode())),
        certificate=certificate.public_bytes(Encoding.PEM),
    )


@cache
def loopback_authority() -> tuple[ssl.SSLContext, bytes]:
    """
    A context to serve loopback and `*.contoso.example` with, and the certificate (PEM) of the authority that its own is
    signed by.
    """
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "*.contoso.example").configure_cert(context)
    return context, authority.cert_pem.bytes()
