"""An application that proves itself by a certificate."""

from __future__ import annotations

import sys
from pathlib import Path

import jwt
import pytest
from certificates import PASSPHRASE, made
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from support import TOKEN_URL, FakeClock

from bulkpull.auth.certificate import load_certificate
from bulkpull.auth.grants import Credentials, Grant, token_form
from bulkpull.errors import SettingsError
from bulkpull.redact import redact


def write(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"\n".join(parts))
    return path


def test_an_assertion_is_signed_short_lived_and_for_one_endpoint(tmp_path: Path) -> None:
    pem = made()
    clock = FakeClock()
    certificate = load_certificate(write(tmp_path / "x.pem", pem.certificate, pem.key), password=None)

    assertion = certificate.assertion(TOKEN_URL, client_id="app-1", clock=clock)

    key = x509.load_pem_x509_certificate(pem.certificate).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    claims = jwt.decode(
        assertion, key, algorithms=["PS256"], audience=TOKEN_URL, options={"verify_exp": False, "verify_nbf": False}
    )
    now = clock.now().timestamp()
    assert (claims["iss"], claims["sub"]) == ("app-1", "app-1")
    assert claims["nbf"] < now < claims["exp"] <= now + 600
    assert jwt.get_unverified_header(assertion)["x5t#S256"] == certificate.thumbprint
    assert redact(assertion) == "***"
    assert certificate.assertion(TOKEN_URL, client_id="app-1", clock=clock) != assertion


@pytest.mark.parametrize("sealed", [False, True])
def test_key_and_certificate_come_in_any_order_and_the_key_may_be_encrypted(tmp_path: Path, *, sealed: bool) -> None:
    pem = made()
    key = pem.sealed_key if sealed else pem.key
    thumbprints = {
        load_certificate(write(tmp_path / "x.pem", *parts), password=PASSPHRASE if sealed else None).thumbprint
        for parts in ((key, pem.certificate), (pem.certificate, key))
    }

    assert len(thumbprints) == 1


@pytest.mark.parametrize(
    ("parts", "password", "words"),
    [
        ((made().key,), None, "no certificate"),
        ((made().certificate,), None, "no private key"),
        ((made().sealed_key, made().certificate), None, "set `client_certificate_password`"),
        ((made().sealed_key, made().certificate), "canary-wrong", "passphrase is wrong"),
        ((made().key, made().certificate), "canary-needless", "unset `client_certificate_password`"),
        ((made(1).key, made().certificate), None, "does not belong to the certificate"),
        ((made(elliptic=True).key, made(elliptic=True).certificate), None, "not an RSA key"),
        ((made().key, made().certificate[:200] + b"\n-----END CERTIFICATE-----"), None, "damaged"),
    ],
)
def test_a_file_that_cannot_serve_is_told_with_what_is_wrong(
    tmp_path: Path, parts: tuple[bytes, ...], password: str | None, words: str
) -> None:
    file = write(tmp_path / "x.pem", *parts)

    with pytest.raises(SettingsError, match=words) as refused:
        load_certificate(file, password=password)

    assert f"`client_certificate_file` {file}" in str(refused.value)
    assert "canary" not in str(refused.value)


def test_without_the_libraries_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)

    with pytest.raises(SettingsError, match="install bulkpull again"):
        load_certificate(tmp_path / "x.pem", password=None)


@pytest.mark.parametrize("grant", list(Grant))
def test_an_assertion_stands_in_for_the_secret_in_every_grant(grant: Grant) -> None:
    credentials = Credentials(
        "app-1", username="u", password="p", refresh_token="r", sign=lambda token_url: f"signed for {token_url}"
    )

    form = token_form(grant, credentials=credentials, resource="https://x.contoso.example", token_url=TOKEN_URL)

    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert form["client_assertion"] == f"signed for {TOKEN_URL}"
    assert "client_secret" not in form
