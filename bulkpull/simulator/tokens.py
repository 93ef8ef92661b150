"""The token endpoint, version 1 and version 2, and the tokens that the API accepts (behaviours 1 to 21)."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bulkpull.simulator import refusals
from bulkpull.simulator.faults import FaultBox
from bulkpull.simulator.scenario import Scenario, SimulatorClock

API = "https://api.partnercenter.microsoft.com"
# Older material asks for it; the token is issued and has the wrong audience (behaviour 2).
_GRAPH = "https://graph.windows.net"
# Behaviour 5: a token's `not_before` lies this far before its issue.
_BACKDATED_S = 301

_ERRORS: Mapping[int, tuple[int, str, str]] = {
    50011: (400, "invalid_request", "the redirect address does not match the registered ones"),
    50076: (400, "invalid_grant", "multifactor authentication needed"),
    50079: (400, "invalid_grant", "the user has to register for multifactor authentication"),
    50126: (400, "invalid_grant", "wrong user name or password"),
    65001: (400, "invalid_grant", "no consent for the application"),
    70000: (400, "invalid_grant", "the code is not valid"),
    70003: (400, "unsupported_grant_type", "the grant type is not supported"),
    90002: (400, "invalid_request", "tenant not found"),
    500011: (400, "invalid_resource", "the resource principal was not found in the tenant"),
    700016: (400, "unauthorized_client", "application not found in the tenant"),
    700082: (400, "invalid_grant", "refresh token expired"),
    900144: (400, "invalid_request", "the request body must contain the parameter"),
    7000215: (401, "invalid_client", "invalid client secret"),
    7000218: (401, "invalid_client", "the request body must contain client_assertion or client_secret"),
    7000222: (401, "invalid_client", "the client secret is expired"),
}
"""Status, error and words of each AADSTS code (behaviour 17)."""


@dataclass(frozen=True, slots=True)
class _Token:
    """An issued access token."""

    expires_at: datetime
    for_api: bool
    app_only: bool
    has_mfa: bool


class TokenRefused(Exception):
    """The token endpoint says no."""

    def __init__(self, code: int) -> None:
        self.status, self.error, words = _ERRORS.get(code, (400, "invalid_request", "the request was refused"))
        self.code, self.description = code, f"AADSTS{code}: {words}"
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


class TokenDesk:
    """Issues tokens and knows which the API accepts."""

    def __init__(self, scenario: Scenario, *, clock: SimulatorClock, faults: FaultBox) -> None:
        self._scenario, self._clock, self._faults = scenario, clock, faults
        self._issued: dict[str, _Token] = {}
        # A redeemed refresh token is not revoked, it ends with its own lifetime (behaviour 8).
        self._refresh_tokens = {scenario.refresh_token}

    def issue(self, form: Mapping[str, str], *, tenant: str, version: int) -> dict[str, Any]:
        """
        Answer a token request.

        Args:
            form: The body's fields; blanks around values do not count (behaviour 1).
            version: 1 replies with numbers as strings, 2 with numbers (behaviour 4).

        Raises:
            TokenRefused: With the AADSTS code of what is wrong.
        """
        fields = {name.casefold(): value.strip() for name, value in form.items()}
        fault = self._faults.take("token_error")
        if fault is not None:
            raise TokenRefused(int(fault.args.get("code", 50126)))
        if tenant.casefold() != self._scenario.tenant_id.casefold():
            raise TokenRefused(90002)
        self._check_client(fields)
        for_api = self._audience(fields, version=version)
        grant = fields.get("grant_type", "")
        self._check_grant(fields, grant=grant)
        lifetime_s = self._scenario.token_lifetime_s
        token = self._mint(grant=grant, for_api=for_api, lifetime_s=lifetime_s)
        reply: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": fields.get("scope") or "user_impersonation",
            "expires_in": lifetime_s,
            "ext_expires_in": lifetime_s,
        }
        if version == 1:
            now_s = int(self._clock.now().timestamp())
            reply |= {"scope": "user_impersonation", "expires_in": str(lifetime_s), "ext_expires_in": str(lifetime_s)}
            reply |= {"expires_on": str(now_s + lifetime_s), "not_before": str(now_s - _BACKDATED_S)}
            reply["resource"] = fields.get("resource", API)
        reply["access_token"] = token
        if grant != "client_credentials":
            reply["refresh_token"] = self._next_refresh_token()
        return self._with_odd_expiry(reply)

    def check(self, token: str | None) -> None:
        """
        Accept or refuse a token at the API.

        Raises:
            Refusal: 401 or 403, as the documents have it.
        """
        known = self._issued.get(token or "")
        if known is None or not known.for_api or known.expires_at <= self._clock.now():
            raise refusals.unauthorized()
        if known.app_only and self._scenario.app_only == "refused":
            raise refusals.forbidden()
        if self._scenario.mfa == "api" and not known.has_mfa:
            raise refusals.mfa_required()

    def is_mfa_compliant(self, token: str | None) -> bool:
        """What the reply header says when it is asked for (behaviour 13); false means that the token is refused."""
        known = self._issued.get(token or "")
        return known is not None and (known.has_mfa or self._scenario.mfa is None)

    def _check_client(self, fields: Mapping[str, str]) -> None:
        if not fields.get("client_id"):
            raise TokenRefused(900144)
        if fields["client_id"].casefold() != self._scenario.client_id.casefold():
            raise TokenRefused(700016)
        if not fields.get("client_secret"):
            raise TokenRefused(7000218)
        if fields["client_secret"] != self._scenario.client_secret:
            raise TokenRefused(7000215)

    def _audience(self, fields: Mapping[str, str], *, version: int) -> bool:
        """Whether the token will be for the API."""
        if version == 1:
            resource = fields.get("resource", "").rstrip("/")
            if resource not in (API, _GRAPH):
                raise TokenRefused(500011 if resource else 900144)
            return resource == API
        scopes = fields.get("scope", "").split()
        if not scopes:
            raise TokenRefused(900144)
        return any(scope.startswith(API + "/") for scope in scopes)

    def _check_grant(self, fields: Mapping[str, str], *, grant: str) -> None:
        match grant:
            case "":
                raise TokenRefused(900144)
            case "password":
                self._check_password(fields)
            case "refresh_token":
                if fields.get("refresh_token") not in self._refresh_tokens:
                    raise TokenRefused(700082 if fields.get("refresh_token") else 900144)
            case "authorization_code":
                if fields.get("code") != self._scenario.authorization_code:
                    raise TokenRefused(70000)
            case "client_credentials":
                pass
            case _:
                raise TokenRefused(70003)

    def _check_password(self, fields: Mapping[str, str]) -> None:
        is_user = fields.get("username", "").casefold() == self._scenario.username.casefold()
        if not is_user or fields.get("password") != self._scenario.password:
            raise TokenRefused(50126)
        if self._scenario.mfa == "token":
            raise TokenRefused(50076)

    def _mint(self, *, grant: str, for_api: bool, lifetime_s: int) -> str:
        now = self._clock.now()
        claims = {"aud": API if for_api else _GRAPH, "tid": self._scenario.tenant_id, "iat": int(now.timestamp())}
        token = ".".join((_base64({"typ": "JWT", "alg": "RS256"}), _base64(claims), secrets.token_urlsafe(24)))
        fault = self._faults.take("token_expires_early")
        lives_s = float(fault.args.get("seconds", 0.0)) if fault else lifetime_s
        self._issued[token] = _Token(
            expires_at=now + timedelta(seconds=lives_s),
            for_api=for_api,
            app_only=grant == "client_credentials",
            # The password grant cannot satisfy multi-factor authentication (behaviour 11).
            has_mfa=grant in ("refresh_token", "authorization_code"),
        )
        return token

    def _next_refresh_token(self) -> str:
        if not self._scenario.rotate_refresh_token:
            return self._scenario.refresh_token
        fresh = f"simulated-refresh-{secrets.token_urlsafe(18)}"
        self._refresh_tokens.add(fresh)
        return fresh

    def _with_odd_expiry(self, reply: dict[str, Any]) -> dict[str, Any]:
        fault = self._faults.take("expires_in_form")
        if fault is not None:
            value = fault.args.get("value")
            for name in ("expires_in", "ext_expires_in", "expires_on"):
                reply.pop(name, None)
            if value is not None:
                reply["expires_in"] = value
        return reply


def _base64(claims: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
