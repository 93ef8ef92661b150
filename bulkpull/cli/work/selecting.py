"""What of one dataset is exported, as the options of `bulkpull export` say it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bulkpull.clock import iso_utc
from bulkpull.config.settings import Settings
from bulkpull.custom_query import Selection, derived_name
from bulkpull.errors import SettingsError
from bulkpull.model import Window
from bulkpull.pipeline.request import ExportRequest, asked_for

_OPTIONS = {
    "select": "--select",
    "where": "--where",
    "order_by": "--order-by",
    "limit": "--limit",
    "distinct": "--distinct",
    "name": "--as",
}


@dataclass(frozen=True, slots=True)
class Selecting:
    """The options that shape one dataset; `None` and `False` where not given."""

    select: str | None = None
    where: str | None = None
    order_by: str | None = None
    limit: int | None = None
    distinct: bool = False
    name: str | None = None


def request_of(names: tuple[str, ...], selecting: Selecting, *, settings: Settings, **rest: Any) -> ExportRequest:
    """
    The request that names and options make.

    Args:
        rest: The other attributes of the request.

    Raises:
        SettingsError: The options shape a dataset, and not exactly one is named; or one of them is wrong.
    """
    given = {part: value for part, value in asdict(selecting).items() if value}
    if not given:
        return asked_for(names, settings=settings, **rest)
    option = _OPTIONS[next(iter(given))]
    if len(names) != 1 or rest.get("everything"):
        asked = (
            "all are asked for" if rest.get("everything") else f"{len(names)} are named" if names else "none is named"
        )
        raise SettingsError(
            f"{option} shapes one dataset, and {asked}", fix=f"name one: bulkpull export AzureUsage {option} …"
        )
    (dataset,) = names
    query = next((each.name for each in settings.queries if each.name.casefold() == dataset.strip().casefold()), None)
    if query is not None:
        raise SettingsError(
            f"{option} shapes a dataset, and {query} is a query of the settings",
            fix="change the query there, or name the dataset that it reads",
        )
    if "name" in given and rest.get("window") is not None and rest.get("open_ended"):
        given["keep"] = "append"
    name = given.pop("name", None) or derived_name(dataset, **given, **_span_of(settings, **rest))
    try:
        selection = Selection(name=name, dataset=dataset, **given)
    except SettingsError as error:
        raise error.within("options") from None
    taken = next((each.name for each in settings.queries if each.name.casefold() == name.casefold()), None)
    if taken is not None:
        raise SettingsError(f"--as {name} is the name of a query of the settings", fix="choose another name")
    return asked_for((), settings=settings, selections=(selection,), **rest)


def _span_of(settings: Settings, *, window: Window | None = None, open_ended: bool = False, **_: Any) -> dict[str, str]:
    """The time that is asked for, where it is not the default: two spans of one selection are two selections."""
    if window is None:
        return {"timespan": settings.timespan} if settings.timespan else {}
    return {"since": iso_utc(window.start)} | ({} if open_ended else {"until": iso_utc(window.end)})
