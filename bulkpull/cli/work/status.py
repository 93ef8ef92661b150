"""How old the published data is, read from the output folder; nothing is created or changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from bulkpull import formatting as figures
from bulkpull import platforms
from bulkpull.catalog import load_catalog
from bulkpull.cli.errors import OutputOptions, write_error
from bulkpull.cli.stdio import print_json
from bulkpull.cli.work.consoles import error_console, print_table
from bulkpull.clock import iso_utc
from bulkpull.config.settings import Settings
from bulkpull.output.freshness import Freshness, State, find_freshness
from bulkpull.pipeline.plan import check_names
from bulkpull.pipeline.publish import describe_shrink

LATE = 3
_MOST_TOLD = 3


def show_status(
    names: tuple[str, ...],
    *,
    max_age: timedelta | None,
    output: Path | None,
    config: Path | None,
    as_json: bool,
    speech: OutputOptions,
) -> int:
    """
    Print the ages; returns the exit status: 3 when `max_age` is given and a dataset is late or was never published.

    Raises:
        SettingsError: A setting is wrong, or a dataset's name is known neither to the catalog nor to the folder.
        DiskTrouble: `current.json` is damaged.
    """
    settings = Settings.load(config, output=output)
    folder = settings.output
    now = datetime.now(UTC)
    found = find_freshness(folder, now=now)
    queries = [query.name for query in settings.queries]
    chosen = _pick(names, found, queries=queries) if names else found
    # A custom export is expected every night only if the settings name it.
    expected = [each for each in chosen if names or each.source is None or each.dataset in queries]
    states = {each.dataset: each.state(now=now, max_age=max_age if each in expected else None) for each in chosen}
    # Who names a dataset wants it, whatever the service offers.
    amiss = ("late", "missing", "unavailable") if names else ("late", "missing")
    troubled = [each for each in expected if states[each.dataset] in amiss] if max_age else []
    nothing = not any(each.run_id for each in found)
    is_well = not troubled and not (max_age and nothing)
    if as_json:
        print_json(
            {
                "version": 1,
                "output": str(folder),
                "now": iso_utc(now),
                "max_age_seconds": max_age.total_seconds() if max_age else None,
                "ok": is_well,
                "datasets": [_as_values(each, states[each.dataset], now=now) for each in chosen],
            }
        )
    elif not nothing:
        print_table(_table(chosen, states, now=now))
        for each in chosen:
            if each.rows_before is not None and each.rows is not None and not speech.quiet:
                told = f"{each.dataset}: {describe_shrink(each.rows, before=each.rows_before)}"
                error_console().print(Text.assemble(("note:  ", "yellow"), told), soft_wrap=True)
    elif not max_age:
        error_console().print(f"nothing is published in {folder} yet", soft_wrap=True)
    if is_well:
        return 0
    _tell(folder, troubled, now=now, nothing=nothing, speech=speech)
    return LATE


def _pick(names: Sequence[str], found: Sequence[Freshness], *, queries: Sequence[str]) -> list[Freshness]:
    folded = {query.casefold(): query for query in queries}
    by_name = {each.dataset.casefold(): each for each in found}
    catalog = load_catalog()
    picked: dict[str, Freshness] = {}
    for name in names:
        known = catalog.find(name)
        canonical = known.name if known else folded.get(name.strip().casefold(), name.strip())
        each = by_name.get(canonical.casefold())
        if each is None:
            check_names((name,), catalog=catalog, queries=queries)
            each = Freshness(canonical)
        picked[each.dataset] = each
    return list(picked.values())


def _tell(folder: Path, troubled: Sequence[Freshness], *, now: datetime, nothing: bool, speech: OutputOptions) -> None:
    listing = platforms.current().join_command(["bulkpull", "runs", "list", "--output", str(folder)])
    fix = f"see `{listing}`, and whether the job that runs the export is still started"
    if nothing:
        write_error(speech, f"nothing is published in {folder} yet", fix=fix, exit_code=LATE)
        return
    told = [
        f"{each.dataset} ({f'last looked for {_age(each.checked_at, now)} ago' if each.run_id else 'never published'})"
        for each in troubled
    ]
    words = "is late" if len(told) == 1 else "are late"
    why = [each.reason for each in troubled if each.reason]
    write_error(
        speech,
        f"{figures.count(len(told), 'dataset')} {words}: {figures.some(told, most=_MOST_TOLD)}",
        why=f"the newest run said: {why[0]}" if why else None,
        fix=fix,
        exit_code=LATE,
    )


def _as_values(each: Freshness, state: State, *, now: datetime) -> dict[str, Any]:
    return {
        "dataset": each.dataset,
        "source": each.source,
        "state": state,
        "run_id": each.run_id,
        "rows": each.rows,
        "rows_before": each.rows_before,
        "generated_at": _iso(each.generated_at),
        "published_at": _iso(each.published_at),
        "checked_at": _iso(each.checked_at),
        "data_age_seconds": _seconds(_made(each), now),
        "check_age_seconds": _seconds(each.checked_at, now),
        "reason": each.reason,
    }


def _table(chosen: Sequence[Freshness], states: dict[str, State], *, now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("dataset", max_width=31, overflow="fold")
    table.add_column("state", no_wrap=True)
    for name in ("rows", "data age", "looked for"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in chosen:
        table.add_row(
            each.dataset,
            states[each.dataset],
            "" if each.rows is None else f"{each.rows:,}",
            _age(_made(each), now),
            f"{_age(each.checked_at, now)} ago" if each.checked_at else "",
        )
    return table


def _made(each: Freshness) -> datetime | None:
    """The moment that the data speaks of, as well as it is known."""
    return each.generated_at or each.published_at


def _age(moment: datetime | None, now: datetime) -> str:
    return figures.age((now - moment).total_seconds()) if moment else ""


def _seconds(moment: datetime | None, now: datetime) -> int | None:
    return max(0, int((now - moment).total_seconds())) if moment else None


def _iso(moment: datetime | None) -> str | None:
    return iso_utc(moment) if moment else None
