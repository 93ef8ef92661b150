"""What one check found: a line that a person can read, and the next step where it is trouble. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bulkpull.errors import AuthError, BulkpullError, SettingsError

# Wrong settings hide everything else, and without credentials the service cannot be asked.
_WORST_FIRST = (SettingsError.exit_code, AuthError.exit_code, BulkpullError.exit_code)


class CheckStatus(StrEnum):
    """How a check ended."""

    OK = "ok"
    TROUBLE = "trouble"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """
    What one check found.

    Attributes:
        check: The check's name.
        message: One sentence.
        fix: The next step; only where it is trouble.
        exit_code: The exit status that the trouble asks for; 0 where there is none.
        facts: The same for programs.
    """

    check: str
    verdict: CheckStatus
    message: str
    fix: str | None = None
    exit_code: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_values(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "told": self.message,
            "fix": self.fix,
            "facts": dict(self.facts),
        }


def fine(check: str, message: str, *, facts: Mapping[str, Any] | None = None) -> CheckResult:
    """A check that found all well."""
    return CheckResult(check, CheckStatus.OK, message, facts=facts or {})


def problem(
    check: str,
    message: str,
    *,
    fix: str | None,
    exit_code: int = BulkpullError.exit_code,
    facts: Mapping[str, Any] | None = None,
) -> CheckResult:
    """A check that found something a person has to see to."""
    return CheckResult(check, CheckStatus.TROUBLE, message, fix, exit_code, facts or {})


def unchecked(check: str, why: str) -> CheckResult:
    """A check that could not be made, because of another one's trouble."""
    return CheckResult(check, CheckStatus.UNCHECKED, why)


def problem_from(check: str, error: BulkpullError, *, exit_code: int | None = None) -> CheckResult:
    """An error of ours as a finding, with its own words and exit status."""
    return problem(check, error.message, fix=error.fix, exit_code=error.exit_code if exit_code is None else exit_code)


def exit_code_of(findings: Iterable[CheckResult]) -> int:
    """The exit status of the worst trouble; 0 when there is none."""
    codes = {finding.exit_code for finding in findings} - {0}
    return next((code for code in _WORST_FIRST if code in codes), BulkpullError.exit_code if codes else 0)
