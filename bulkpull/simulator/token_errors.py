"""Error replies of the token endpoint: AADSTS codes with status, error and text (behaviour 17)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

_ERRORS: Mapping[int, tuple[int, str, str]] = {
    50011: (400, "invalid_request", "the redirect address does not match the registered ones"),
    50076: (400, "invalid_grant", "multifactor authentication needed"),
    50079: (400, "invalid_grant", "the user has to register for multifactor authentication"),
    50126: (400, "invalid_grant", "wrong user name or password"),
    65001: (400, "invalid_grant", "no consent for the application"),
    65004: (400, "authorization_declined", "the user declined"),
    70000: (400, "invalid_grant", "the code is not valid"),
    70016: (400, "authorization_pending", "the user has not signed in yet"),
    70018: (400, "bad_verification_code", "the device code is not known"),
    70019: (400, "expired_token", "the device code is expired"),
    70003: (400, "unsupported_grant_type", "the grant type is not supported"),
    90002: (400, "invalid_request", "tenant not found"),
    500011: (400, "invalid_resource", "the resource principal was not found in the tenant"),
    700024: (401, "invalid_client", "the assertion is not within its valid time range"),
    700027: (401, "invalid_client", "the assertion's signature cannot be validated"),
    700016: (400, "unauthorized_client", "application not found in the tenant"),
    700082: (400, "invalid_grant", "refresh token expired"),
    900144: (400, "invalid_request", "the request body must contain the parameter"),
    7000215: (401, "invalid_client", "invalid client secret"),
    7000218: (401, "invalid_client", "the request body must contain client_assertion or client_secret"),
    7000222: (401, "invalid_client", "the client secret is expired"),
}
"""Status, error and words of each AADSTS code (behaviour 17)."""


class TokenRefused(Exception):
    """An error reply of the token endpoint."""

    def __init__(self, code: int, *, words: str | None = None) -> None:
        self.status, self.error, usual = _ERRORS.get(code, (400, "invalid_request", "the request was refused"))
        self.code, self.description = code, f"AADSTS{code}: {words or usual}"
        super().__init__(self.description)

    def body(self, *, now: datetime) -> dict[str, Any]:
        """The reply's JSON."""
        body: dict[str, Any] = {
            "error": self.error,
            "error_description": self.description,
            "error_codes": [self.code],
            "timestamp": now.strftime("%Y-%m-%d %H:%M:%SZ"),
        }
        if self.code in (50076, 50079):
            body["suberror"] = "basic_action"
        if self.code == 65001:  # noqa: PLR2004 - the code of missing consent
            body["suberror"] = "consent_required"
        return body
