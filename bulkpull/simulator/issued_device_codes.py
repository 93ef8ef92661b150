"""Device code sign-in: issues user and device codes and answers the polls of the program."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bulkpull.simulator.scenario import Scenario, SimulatorClock

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_LIVES_S = 900
_PENDING, _BAD_CODE, _EXPIRED, _DECLINED = 70016, 70018, 70019, 65004
# Letters and digits that nobody mistakes for one another.
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ23456789"


@dataclass(slots=True)
class _Device:
    expires_at: datetime
    scope: str
    polls: int = 0


class DeviceCodeStore:
    """Hands out device codes; the simulated person signs in after `device_polls` questions of the program."""

    def __init__(self, scenario: Scenario, *, clock: SimulatorClock) -> None:
        self._scenario, self._clock = scenario, clock
        self._devices: dict[str, _Device] = {}

    def begin(self, *, scope: str, origin: str) -> dict[str, Any]:
        """The answer to a request for a device code for this scope."""
        code = secrets.token_urlsafe(48)
        user_code = "".join(secrets.choice(_ALPHABET) for _ in range(9))
        self._devices[code] = _Device(self._clock.now() + timedelta(seconds=_LIVES_S), scope)
        address = f"{origin}/devicelogin"
        return {
            "user_code": user_code,
            "device_code": code,
            "verification_uri": address,
            "expires_in": _LIVES_S,
            "interval": self._scenario.device_interval_s,
            "message": f"To sign in, open the page {address} and enter the code {user_code} to authenticate.",
        }

    def scope_of(self, code: str) -> str:
        """The scope that the device code was asked for with; the token request need not repeat it."""
        device = self._devices.get(code)
        return device.scope if device else ""

    def refusal(self, code: str) -> int | None:
        """The AADSTS code of why there is no token for this device code yet, or ever; `None` when there is one."""
        device = self._devices.get(code)
        if device is None:
            return _BAD_CODE
        device.polls += 1
        if device.expires_at <= self._clock.now() or self._scenario.device_answer == "expired":
            return _EXPIRED
        if device.polls <= self._scenario.device_polls:
            return _PENDING
        if self._scenario.device_answer == "declined":
            return _DECLINED
        del self._devices[code]  # it is redeemed once
        return None
