"""The result of a check: one line, and the next step if there is a problem. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bulkpull.errors import AuthError, BulkpullError, SettingsError

# Wrong settings hide everything else, and without credentials the service cannot be asked.
_WORST_FIRST = (SettingsError.exit_code, AuthError.exit_code, BulkpullError.exit_code)


class CheckStatus(StrEnum):
    OK = "ok"
    TROUBLE = "trouble"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check; `fix` is the next step for a problem, `exit_code` its exit status, else 0."""

    check: str
    verdict: CheckStatus
    message: str
    fix: str | None = None
    exit_code: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_values(self) -> dict[str, Any]:
        names = ("check", "verdict", "message", "fix")
        return {name: getattr(self, name) for name in names} | {"facts": dict(self.facts)}


def fine(check: str, message: str, **facts: Any) -> CheckResult:
    return CheckResult(check, CheckStatus.OK, message, facts=facts)


def problem(check: str, message: str, *, fix: str | None, exit_code: int = 1, **facts: Any) -> CheckResult:
    return CheckResult(check, CheckStatus.TROUBLE, message, fix, exit_code, facts)


def unchecked(check: str, why: str) -> CheckResult:
    """A check that could not run because another one failed."""
    return CheckResult(check, CheckStatus.UNCHECKED, why)


def problem_from(check: str, error: BulkpullError, *, exit_code: int | None = None) -> CheckResult:
    """The check result for one of our errors, with its message and exit status; the fix does not name the doctor."""
    exit_code = error.exit_code if exit_code is None else exit_code
    return problem(check, error.message, fix=error.doctor_fix, exit_code=exit_code)


def exit_code_of(findings: Iterable[CheckResult]) -> int:
    """The exit status of the worst trouble; 0 when there is none."""
    codes = {finding.exit_code for finding in findings} - {0}
    return next((code for code in _WORST_FIRST if code in codes), BulkpullError.exit_code if codes else 0)
