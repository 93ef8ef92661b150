"""Wrong settings of all sources as one error: names that are no settings, and values that are not allowed (pure)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from bulkpull.errors import SettingsError
from bulkpull.suggestions import nearest, nearest_names, suggest

# Of the names that are allowed: more are not listed where there is little room, and so many of the nearest are.
_MOST_LISTED, _MOST_NEAR = 15, 5
_WHERE_ALL_ARE = "the file that `bulkpull init` writes explains them"


class RefusedSetting(ValueError):
    """A setting is wrong, for reasons that its own error gives; raised by a validator, so that others still run."""

    def __init__(self, error: SettingsError) -> None:
        self.error = error
        super().__init__(error.reason)


@dataclass(frozen=True, slots=True)
class WrongSetting:
    """
    One fault of the settings.

    Attributes:
        where: The source, such as `settings file x.toml`; empty where `what` names it.
        hint: What was probably meant, as a question.
        near: Names like the unknown ones, the nearest first.
        is_unknown: There is no setting of that name.
        lists_allowed: All settings are named, also where the nearest one says enough.
        error: The error by which it was found.
    """

    where: str
    what: str
    why: str | None = None
    hint: str | None = None
    near: Sequence[str] = ()
    is_unknown: bool = False
    lists_allowed: bool = True
    error: SettingsError | None = None

    @classmethod
    def of_error(cls, error: SettingsError) -> WrongSetting:
        return cls("", error.what, why=error.why, error=error)


def unknown_names(
    names: Sequence[str], *, where: str, known: Collection[str], lists_allowed: bool = True
) -> list[WrongSetting]:
    """One fault for all names of a source that are no settings; none without names."""
    if not names:
        return []
    likely = [nearest(name, known) for name in names]
    meant = " and ".join(dict.fromkeys(f"`{name}`" for name in likely if name))
    hint = suggest(meant) if meant else None
    lists_allowed = lists_allowed or not all(likely)
    # So few of each that the message stays short; without a cutoff, since it is the shape of a name that helps.
    most = max(1, _MOST_NEAR // len(names))
    others = [name for name in known if name not in likely]
    near = [name for word in names for name in nearest_names(word, others, n=most, cutoff=0.0)][:_MOST_NEAR]
    facts: dict[str, Any] = {"hint": hint, "near": near, "is_unknown": True, "lists_allowed": lists_allowed}
    if len(names) == 1:
        return [WrongSetting(where, f"unknown setting `{names[0]}`", **facts)]
    listed = ", ".join(f"`{name}`" for name in names)
    return [WrongSetting(where, f"unknown settings {listed}", **facts)]


def settings_error(faults: Sequence[WrongSetting], *, known: Collection[str]) -> SettingsError:
    """
    One error for all faults, which are one or more; its `why` has one line for each.

    The next step begins with what was probably meant. Where a name is unknown, the list of all settings comes last, and
    where there is little room, the nearest names stand for it.
    """
    hints = list(dict.fromkeys(fault.hint for fault in faults if fault.hint))
    unknown = [fault for fault in faults if fault.is_unknown]
    correct = "correct it and try again"
    last, doctor_fix, short = correct if hints else SettingsError.remedy, None, None
    if unknown:
        last, doctor_fix = "`bulkpull doctor` shows every setting", correct
    if any(fault.lists_allowed for fault in unknown):
        doctor_fix, last = None, f"allowed are: {', '.join(sorted(known))}"
        if len(known) > _MOST_LISTED:
            near = ", ".join(dict.fromkeys(f"`{name}`" for fault in unknown for name in fault.near))
            short = f"allowed are {len(known)} settings, such as {near}; {_WHERE_ALL_ARE}"
    if len(faults) == 1:
        (fault,) = faults
        if fault.error is not None:
            return fault.error
        what = f"{fault.where}: {fault.what}" if fault.where else fault.what
        short = " ".join((*hints, short)) if short else None
        return SettingsError(what, why=fault.why, fix=" ".join((*hints, last)), short_fix=short, doctor_fix=doctor_fix)
    sources = {fault.where for fault in faults}
    where = sources.pop() if len(sources) == 1 else ""
    lines = [
        (f"{fault.where}: " if fault.where and not where else "")
        + (f"{fault.what}: {fault.why}" if fault.why else fault.what)
        + (f" ({fault.hint})" if fault.hint else "")
        for fault in faults
    ]
    number = f"{len(faults)} things are wrong"
    what = f"{where}: {number}" if where else number
    return SettingsError(what, why="; ".join(lines), fix=last, why_lines=lines, short_fix=short, doctor_fix=doctor_fix)
