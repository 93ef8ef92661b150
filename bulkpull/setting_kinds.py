"""What kinds of values settings have, and what each kind allows."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from bulkpull.address import is_loopback
from bulkpull.redact import register_secret
from bulkpull.secret_sources import vault_reference


def _trimmed(value: object) -> object:
    # The documented token request prints a blank before every value (behaviour 1): people paste them so.
    return value.strip() if isinstance(value, str) else value


def _remembered(secret: SecretStr) -> SecretStr:
    if vault_reference(secret.get_secret_value()) is None:
        register_secret(secret.get_secret_value())
    return secret


def check_setting_address(address: str) -> str:
    """
    An address that a setting may name, without the slash at its end.

    Raises:
        ValueError: Another scheme than https, plain http off loopback, or a user name within.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address that begins with https://")
    if parts.scheme == "http" and not is_loopback(address):
        raise ValueError("plain http:// is accepted for loopback addresses only; use https://")
    if parts.username or parts.password:
        raise ValueError("must not carry a user name or password")
    return address.rstrip("/")


Text = Annotated[str, BeforeValidator(_trimmed)]
Secret = Annotated[SecretStr, BeforeValidator(_trimmed), AfterValidator(_remembered)]
"""A secret itself, kept out of every text from now on, or a reference to one in a vault."""
Address = Annotated[Text, AfterValidator(check_setting_address)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(ge=1)]
