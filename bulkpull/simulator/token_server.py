"""The token endpoint, version 1 and version 2, and the tokens that the API accepts (behaviours 1 to 21)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bulkpull.simulator.api_replies import forbidden, unauthorized
from bulkpull.simulator.simulator_context import Context

API = "https://api.partnercenter.microsoft.com"
# Older material asks for it; the token is issued and has the wrong audience (behaviour 2).
_GRAPH = "https://graph.windows.net"
# Behaviour 5: a token's `not_before` lies this far before its issue.
_BACKDATED_S = 301
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_DEVICE_CODE_LIVES_S = 900
# Letters and digits that are not mistaken for one another.
_USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ23456789"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Entra tolerates clocks that differ by this much.
_ASSERTION_LEEWAY_S = 300


_TOKEN_ERRORS: Mapping[int, tuple[int, str, str]] = {
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
_SUBERRORS = {50076: "basic_action", 50079: "basic_action", 65001: "consent_required"}


class TokenRefused(Exception):
    """An error reply of the token endpoint."""

    def __init__(self, code: int, *, words: str | None = None) -> None:
        self.status, self.error, usual = _TOKEN_ERRORS.get(code, (400, "invalid_request", "the request was refused"))
        self.code, self.description = code, f"AADSTS{code}: {words or usual}"
        super().__init__(self.description)

    def body(self, *, now: datetime) -> dict[str, Any]:
        return {
            "error": self.error,
            "error_description": self.description,
            "error_codes": [self.code],
            "timestamp": now.strftime("%Y-%m-%d %H:%M:%SZ"),
            **({"suberror": _SUBERRORS[self.code]} if self.code in _SUBERRORS else {}),
        }


@dataclass(frozen=True, slots=True)
class _Token:
    """An issued access token."""

    tenant: str
    expires_at: datetime
    for_api: bool
    app_only: bool
    has_mfa: bool


@dataclass(slots=True)
class _Device:
    """An issued device code: the person signs in after `device_polls` requests of the program."""

    expires_at: datetime
    scope: str
    polls: int = 0


class TokenIssuer:
    """Issues tokens and knows which the API accepts."""

    def __init__(self, context: Context) -> None:
        self._scenario, self._clock, self._faults = context.scenario, context.clock, context.faults
        self._devices: dict[str, _Device] = {}
        self._issued: dict[str, _Token] = {}
        # A redeemed refresh token is not revoked, it ends with its own lifetime (behaviour 8); whether it was given to
        # a client without a secret.
        self._refresh_tokens = {context.scenario.refresh_token: False}

    def issue(self, form: Mapping[str, str], *, tenant: str, address: str) -> dict[str, Any]:
        """Answer a token request; blanks around values do not count (behaviour 1)."""
        fields = {name.casefold(): value.strip() for name, value in form.items()}
        fault = self._faults.take("token_error")
        if fault is not None:
            raise TokenRefused(int(fault.args.get("code", 50126)), words=fault.args.get("words"))
        self._check_tenant(tenant)
        grant, is_first_version = fields.get("grant_type", ""), "v2.0" not in address
        if grant == _DEVICE_GRANT:
            device = self._devices.get(fields.get("device_code", ""))
            # The token request need not repeat the scope that the device code was asked for with.
            fields.setdefault("scope", device.scope if device else "")
        public = self._is_public(fields, grant=grant)
        self._check_client(fields, path=f"/{tenant}/{address}", public=public)
        self._check_grant(fields, grant=grant)
        for_api = self._is_for_api(fields, is_first_version=is_first_version)
        lifetime_s = self._scenario.token_lifetime_s
        token = self._mint(grant=grant, tenant=tenant, for_api=for_api)
        # Version 1 replies with numbers as strings, version 2 with numbers (behaviour 4).
        expires_in = str(lifetime_s) if is_first_version else lifetime_s
        reply: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": "user_impersonation" if is_first_version else fields.get("scope") or "user_impersonation",
            "expires_in": expires_in,
            "ext_expires_in": expires_in,
            "access_token": token,
        }
        now_s = int(self._clock.now().timestamp())
        if is_first_version:
            reply |= {"expires_on": str(now_s + lifetime_s), "not_before": str(now_s - _BACKDATED_S)}
            reply["resource"] = fields.get("resource", API)
        if grant != "client_credentials":
            reply["refresh_token"] = self._next_refresh_token(fields.get("refresh_token"), public=public)
        if "openid" in fields.get("scope", "").split() and not is_first_version:
            reply["id_token"] = _made_up_jwt(
                {
                    "aud": self._scenario.client_id,
                    "iss": f"https://login.microsoftonline.com/{tenant}/v2.0",
                    "iat": now_s,
                    "nbf": now_s,
                    "exp": now_s + lifetime_s,
                    "sub": "simulated-user",
                    "tid": tenant,
                    "preferred_username": self._scenario.username,
                }
            )
        fault = self._faults.take("expires_in_form")
        if fault is not None:
            reply = {name: value for name, value in reply.items() if not name.endswith(("expires_in", "expires_on"))}
            if fault.args.get("value") is not None:
                reply["expires_in"] = fault.args["value"]
        return reply

    def begin_device(self, form: Mapping[str, str], *, tenant: str, origin: str) -> dict[str, Any]:
        self._check_tenant(tenant)
        fields = {name.casefold(): value.strip() for name, value in form.items()}
        self._check_client(fields, path="", public=True)
        if not self._scenario.public_client:
            raise TokenRefused(7000218)
        if not fields.get("scope"):
            raise TokenRefused(900144)
        code = secrets.token_urlsafe(48)
        user_code = "".join(secrets.choice(_USER_CODE_LETTERS) for _ in range(9))
        expires_at = self._clock.now() + timedelta(seconds=_DEVICE_CODE_LIVES_S)
        self._devices[code] = _Device(expires_at, fields["scope"])
        address = f"{origin}/devicelogin"
        return {
            "user_code": user_code,
            "device_code": code,
            "verification_uri": address,
            "expires_in": _DEVICE_CODE_LIVES_S,
            "interval": self._scenario.device_interval_s,
            "message": f"To sign in, open the page {address} and enter the code {user_code} to authenticate.",
        }

    def describe(self, *, tenant: str, origin: str) -> dict[str, Any]:
        """What the directory says of itself, to clients that ask before they sign in."""
        self._check_tenant(tenant)
        root = f"{origin}/{tenant}"
        return {
            "issuer": f"{root}/v2.0",
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
            "token_endpoint": f"{root}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
        }

    def check(self, token: str | None) -> None:
        known = self._issued.get(token or "")
        if known is None or not known.for_api or known.expires_at <= self._clock.now():
            raise unauthorized()
        if known.app_only and self._scenario.app_only == "refused":
            raise forbidden()
        if self._scenario.mfa == "api" and not known.has_mfa:
            # A token without the claim of multi-factor authentication (behaviours 10 and 12).
            message = "Unauthorized - MFA required"
            raise unauthorized(message, extra={"code": 900421}, reason=message)

    def tenant_of(self, token: str | None) -> str:
        """The tenant that a token was issued for, in lower case; the first one for an unknown token."""
        known = self._issued.get(token or "")
        return known.tenant if known else self._scenario.tenant_id.casefold()

    def is_mfa_compliant(self, token: str | None) -> bool:
        """What the reply header says when it is asked for (behaviour 13); false means that the token is refused."""
        known = self._issued.get(token or "")
        return known is not None and (known.has_mfa or self._scenario.mfa is None)

    def _check_tenant(self, tenant: str) -> None:
        if tenant.casefold() not in self._scenario.tenants:
            raise TokenRefused(90002)

    def _is_public(self, fields: Mapping[str, str], *, grant: str) -> bool:
        """Whether this request needs no secret: what it redeems was given to a client without one, or is unknown."""
        if grant == _DEVICE_GRANT:
            return self._scenario.public_client
        known = self._refresh_tokens.get(fields.get("refresh_token", ""), self._scenario.public_client)
        return grant == "refresh_token" and known

    def _check_client(self, fields: Mapping[str, str], *, path: str, public: bool) -> None:
        if not fields.get("client_id"):
            raise TokenRefused(900144)
        if fields["client_id"].casefold() != self._scenario.client_id.casefold():
            raise TokenRefused(700016)
        if assertion := fields.get("client_assertion"):
            if fields.get("client_assertion_type") != _ASSERTION_TYPE:
                raise TokenRefused(900144)
            self._check_assertion(assertion, client_id=fields["client_id"], path=path)
        elif not fields.get("client_secret"):
            if not public:
                raise TokenRefused(7000218)
        elif fields["client_secret"] != self._scenario.client_secret:
            raise TokenRefused(7000215)

    def _check_assertion(self, assertion: str, *, client_id: str, path: str) -> None:
        """A signed assertion in place of the secret (RFC 7523), as Entra documents it; `path` is the endpoint's."""
        import jwt  # noqa: PLC0415 - for this check alone
        from cryptography import x509  # noqa: PLC0415 - the same
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - the same

        if self._scenario.client_certificate is None:
            raise TokenRefused(700027)
        certificate = x509.load_pem_x509_certificate(self._scenario.client_certificate)
        digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
        try:
            key: Any = certificate.public_key()
            decoded = jwt.decode_complete(
                assertion,
                key,
                algorithms=["PS256"],
                # The times are checked below, by the simulator's clock; the audience by its end.
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False},
            )
        except (jwt.InvalidTokenError, TypeError) as error:  # the latter for a key that is not RSA
            raise TokenRefused(700027) from error
        claims = decoded["payload"]
        is_ours = str(decoded["header"].get("x5t#S256", "")).rstrip("=") == _base64(digest)
        is_meant = claims.get("iss") == claims.get("sub") == client_id
        if not (is_ours and is_meant and str(claims.get("aud", "")).casefold().endswith(path.casefold())):
            raise TokenRefused(700027)
        first, last, now_s = claims.get("nbf"), claims.get("exp"), self._clock.now().timestamp()
        if not isinstance(first, int | float) or not isinstance(last, int | float):
            raise TokenRefused(700024)
        if not first - _ASSERTION_LEEWAY_S <= now_s <= last + _ASSERTION_LEEWAY_S:
            raise TokenRefused(700024)

    def _is_for_api(self, fields: Mapping[str, str], *, is_first_version: bool) -> bool:
        if is_first_version:
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
            case "password":
                is_user = fields.get("username", "").casefold() == self._scenario.username.casefold()
                if not is_user or fields.get("password") != self._scenario.password:
                    raise TokenRefused(50126)
                if self._scenario.mfa == "token":
                    raise TokenRefused(50076)
            case "refresh_token":
                if fields.get("refresh_token") not in self._refresh_tokens:
                    raise TokenRefused(700082 if fields.get("refresh_token") else 900144)
            case "authorization_code":
                if fields.get("code") != self._scenario.authorization_code:
                    raise TokenRefused(70000)
            case "client_credentials":
                pass
            case _ if grant == _DEVICE_GRANT:
                self._redeem_device(fields.get("device_code", ""))
            case _:
                raise TokenRefused(70003 if grant else 900144)

    def _redeem_device(self, code: str) -> None:
        """Refuse a device code as long as the person has not signed in, or for good."""
        device, answer = self._devices.get(code), self._scenario.device_answer
        if device is None:
            raise TokenRefused(70018)
        device.polls += 1
        if device.expires_at <= self._clock.now() or answer == "expired":
            raise TokenRefused(70019)
        if device.polls <= self._scenario.device_polls:
            raise TokenRefused(70016)
        if answer == "declined":
            raise TokenRefused(65004)
        del self._devices[code]  # it is redeemed once

    def _mint(self, *, grant: str, tenant: str, for_api: bool) -> str:
        now = self._clock.now()
        # The password grant cannot satisfy multi-factor authentication (behaviour 11).
        has_mfa = grant in ("refresh_token", "authorization_code", _DEVICE_GRANT)
        app_only = grant == "client_credentials"
        claims = {"aud": API if for_api else _GRAPH, "tid": tenant, "iat": int(now.timestamp())}
        claims |= {"idtyp": "app"} if app_only else {"scp": "user_impersonation", "amr": ["pwd", "mfa"][: 1 + has_mfa]}
        token = _made_up_jwt(claims)
        fault = self._faults.take("token_expires_early")
        lives_s = float(fault.args.get("seconds", 0.0)) if fault else self._scenario.token_lifetime_s
        self._issued[token] = _Token(
            tenant=tenant.casefold(),
            expires_at=now + timedelta(seconds=lives_s),
            for_api=for_api,
            app_only=app_only,
            has_mfa=has_mfa,
        )
        return token

    def _next_refresh_token(self, redeemed: str | None, *, public: bool) -> str:
        if not self._scenario.rotate_refresh_token:
            return redeemed or self._scenario.refresh_token
        fresh = f"simulated-refresh-{secrets.token_urlsafe(18)}"
        self._refresh_tokens[fresh] = public
        if self._scenario.single_use_refresh_tokens and redeemed:
            del self._refresh_tokens[redeemed]
        return fresh


def _made_up_jwt(claims: Mapping[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in ({"typ": "JWT", "alg": "RS256"}, claims))
    return ".".join((*map(_base64, parts), secrets.token_urlsafe(24)))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
