"""
A selection: a custom export under a name of its own, as `[[queries]]` and the options of `bulkpull export` describe it.

It is published like a dataset, and can never stand in for one: its name is none that a dataset has or is known by.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bulkpull.allowed_values import wrong_values
from bulkpull.catalog import load_catalog
from bulkpull.errors import QueryError, SettingsError
from bulkpull.query import Name, Statement, normalise, parse, parse_conditions, parse_names, parse_orderings
from bulkpull.suggestions import did_you_mean
from bulkpull.timespans import WIDEST, is_span_name
from bulkpull.wrong_settings import WrongSetting, settings_error

# It becomes a folder's name and a part of a report's name.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,79}")
_PARTS = ("select", "where", "order_by", "limit", "timespan", "distinct", "keep")
_KINDS = ("dataset", "query", "system_query")
T = TypeVar("T")


class Selection(BaseModel):
    """
    What to export, in one of three ways: a dataset and what of it, a whole query, or the id of a system query.

    Attributes:
        name: Under which it is published.
        select: Columns and metrics, parted by commas; without it every column that the service lists that day, and the
            metrics that the setting `metrics` chooses.
        where, order_by: As they stand in a query, without the keyword.
        timespan: Without it the one that datasets are exported with; a whole query says its own.
        keep: `append` lets its snapshot grow from `--since` on: older months stay when the service forgets them.

    Raises:
        SettingsError: A key is unknown, missing or wrong; the message names it.
        QueryError: A part cannot be read; the error points at the place.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(description="each query needs one, under which it is published")
    dataset: str | None = None
    select: str | None = None
    where: str | None = None
    order_by: str | None = None
    limit: int | None = Field(None, ge=1, lt=10**18, strict=True)
    timespan: str | None = None
    distinct: bool = Field(default=False, strict=True)
    query: str | None = None
    system_query: str | None = None
    keep: Literal["append"] | None = None

    def __init__(self, **keys: Any) -> None:
        try:
            super().__init__(**keys)
        except ValidationError as error:
            faults, unknown = wrong_values(error, Selection.model_fields)
            for key in unknown:
                hint = did_you_mean(key, Selection.model_fields, quote="`")
                faults.append(WrongSetting("", f"unknown key `{key}`", hint=hint, is_unknown=True))
            raise settings_error(faults, known=Selection.model_fields) from None

    @field_validator("select", mode="before")
    @classmethod
    def _joined(cls, names: object) -> object:
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return ", ".join(names)
        return names

    @field_validator("dataset", "select", "where", "order_by", "timespan", "query", "system_query", mode="after")
    @classmethod
    def _said(cls, text: str | None) -> str | None:
        if text is not None and not text.strip():
            raise ValueError("is empty; leave it out instead")
        return text.strip() if text else None

    @field_validator("name", mode="after")
    @classmethod
    def _free_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("begin with a letter and go on with letters, digits, - and _, 80 characters at most")
        known = load_catalog().find(name)
        if known is not None:
            raise ValueError(f"that is the dataset {known.name}, whose snapshots it would replace; choose another name")
        return name

    @field_validator("timespan", mode="after")
    @classmethod
    def _known_timespan(cls, timespan: str | None) -> str | None:
        if timespan and timespan.casefold() == WIDEST:
            raise ValueError(
                f"name one span, such as LAST_3_MONTHS; without it the setting `timespan` counts, which may be {WIDEST}"
            )
        if timespan and not is_span_name(timespan):
            raise ValueError("write it as the service does, such as LAST_3_MONTHS")
        return timespan.upper() if timespan else None

    @model_validator(mode="after")
    def _readable(self) -> Self:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = f"it has {' and '.join(given)}" if given else "it has none of them"
            raise ValueError(f"give one of `dataset`, `query` and `system_query`; {found}")
        parts = [part for part in _PARTS if getattr(self, part)]
        if parts and self.dataset is None:
            raise ValueError(f"`{parts[0]}` goes only with `dataset`; write it into the query itself")
        self.statement()
        return self

    def statement(self) -> Statement | None:
        """The selection as a tree, with what it says; `None` for a system query, whose text only the service knows."""
        if self.query is not None:
            return _read("query", parse, self.query)
        if self.dataset is None:
            return None
        return Statement(
            names=_read("select", parse_names, self.select) or (),
            dataset=Name(self.dataset),
            distinct=self.distinct,
            conditions=_read("where", parse_conditions, self.where) or (),
            orderings=_read("order_by", parse_orderings, self.order_by) or (),
            limit=self.limit,
            timespan=Name(self.timespan) if self.timespan else None,
        )

    @property
    def reads(self) -> str:
        """The dataset that it reads, as it is written there; for a system query its id."""
        statement = self.statement()
        return statement.dataset.text if statement else self.system_query or ""

    def as_key(self) -> dict[str, Any]:
        """What makes it this selection and no other, as JSON values; `Selection(**key)` gives it back."""
        return self.model_dump(mode="json", exclude_defaults=True)


def derived_name(dataset: str, **parts: object) -> str:
    """The name of a selection that was given none: its dataset, and six digits so that no other one shares its name."""
    normalised = {part: normalise(value) if isinstance(value, str) else value for part, value in parts.items()}
    digits = hashlib.sha256(json.dumps(normalised, sort_keys=True).encode()).hexdigest()[:6]
    return f"{load_catalog().canonical(dataset)}-selection-{digits}"


def read_selections(given: object) -> tuple[Selection, ...]:
    """The selections of a list; raises `SettingsError` where one of them is wrong, or two have the same name."""
    if not isinstance(given, list | tuple):
        raise SettingsError("`queries` is not a list of tables", fix="write each query as [[queries]]")
    found: dict[str, Selection] = {}
    for number, entry in enumerate(given, start=1):
        name = entry.get("name") if isinstance(entry, Mapping) else None
        place = f"[[queries]] entry {number}" + (f" ({name})" if isinstance(name, str) else "")
        if not isinstance(entry, Mapping | Selection):
            raise SettingsError(f"{place} is not a table", fix="write each query as [[queries]]")
        try:
            selection = Selection(**entry) if isinstance(entry, Mapping) else entry
        except SettingsError as error:
            raise error.within(place) from None
        if selection.name.casefold() in found:
            why = "an entry before has the same"
            raise SettingsError(f"{place}: `name` is taken", why=why, fix="choose another name")
        found[selection.name.casefold()] = selection
    return tuple(found.values())


def _read(key: str, read: Callable[..., T], text: str | None) -> T | None:
    try:
        return None if text is None else read(text, names=load_catalog().column_names)
    except QueryError as error:
        raise error.within(f"`{key}`") from None
