"""`bulkpull status`: how old each dataset is; the check that notices a cron job that never ran."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from bulkpull import platforms
from bulkpull.cli import options
from bulkpull.cli.command_decorator import command, new_app
from bulkpull.cli.console import DATASET_WIDTH, new_table, print_message, print_note, print_table
from bulkpull.cli.error_output import write_error
from bulkpull.cli.json_output import format_time
from bulkpull.cli.options import CommonOptions, option, read_span
from bulkpull.cli.service_call import load_settings
from bulkpull.cli.stdio import print_json
from bulkpull.clock import iso_utc
from bulkpull.errors import LedgerError, NotDone
from bulkpull.formatting import format_age, join_some, plural

if TYPE_CHECKING:
    from bulkpull.output.freshness import Freshness, State

app = new_app()

LATE = 3
_MOST_NAMED = 3
_HOW_IT_ENDED = {
    "interrupted": "was interrupted",
    "submitted": "has submitted its reports and not collected them",
    "unfinished": "was killed",
}
_MAX_AGE = "Exit with status 3 when a dataset was not checked for this long: 36h, 2d, 90m."
MaxAge = Annotated[timedelta | None, option("--max-age", _MAX_AGE, metavar="TIME", parser=read_span)]


@command(app)
def status(
    datasets: options.Names = None, *, max_age: MaxAge = None, output: options.Output = None, common: CommonOptions
) -> int:
    """
    Show how old the data of each dataset is, and when it was last checked; of all, or those named as DATASET.

    A run that finds no new data still counts as a check. A run that was interrupted is named, with the command that
    continues it. Reads the output folder only; needs no credentials.

    Examples:
        bulkpull status
        bulkpull status --max-age 36h
        bulkpull status AzureUsage Profile --max-age 2d --output data
        bulkpull status --json
    """
    from bulkpull.output.freshness import find_freshness  # slow to load, as all of these
    from bulkpull.output.run_history import check_export, nothing_published
    from bulkpull.output.store import open_store
    from bulkpull.read_output import choose_freshness

    settings = load_settings(common, output=output)
    folder = settings.output
    now = datetime.now(UTC)
    found = find_freshness(open_store(folder), now=now)
    queries = [query.name for query in settings.queries]
    chosen = choose_freshness(datasets, found, queries=queries) if datasets else found
    if not max_age:  # with it, a folder without an export is status 3, as for a job that never ran
        check_export(folder)
    # A custom query is expected in every nightly run only if the settings name it.
    expected = [dataset for dataset in chosen if datasets or dataset.source is None or dataset.dataset in queries]
    states = {
        dataset.dataset: dataset.state(now=now, max_age=max_age if dataset in expected else None) for dataset in chosen
    }
    # A named dataset is included even if the service does not offer it.
    bad_states = ("late", "missing", "unavailable") if datasets else ("late", "missing")
    late = [dataset for dataset in expected if states[dataset.dataset] in bad_states] if max_age else []
    unfinished = _find_unfinished_run(folder, config=common.config, now=now)
    nothing = not any(dataset.run_id for dataset in found)
    is_fresh = not late and not (max_age and nothing)
    if common.as_json:
        print_json(
            {
                "version": 1,
                "output": str(folder),
                "now": iso_utc(now),
                "max_age_seconds": max_age.total_seconds() if max_age else None,
                "ok": is_fresh,
                "unfinished_run": unfinished,
                "datasets": [_as_values(dataset, states[dataset.dataset], now=now) for dataset in chosen],
            }
        )
    elif not nothing:
        _print_table(chosen, states, now=now)
        _note_shrunk(chosen, common=common)
    if nothing and not max_age:
        print_message(nothing_published(folder))
    if unfinished and not common.as_json:
        print_note(_describe_unfinished_run(unfinished), common)
    elif is_fresh and not common.as_json:
        _note_failed(chosen, common=common)
    if is_fresh:
        return 0
    _report_late(folder, late, now=now, nothing=nothing, common=common)
    return LATE


def _find_unfinished_run(folder: Path, *, config: Path | None, now: datetime) -> dict[str, Any] | None:
    """
    The newest run that may be resumed, or the newest of all where it did not come to its end, as JSON values.

    There is none while a run is writing to the folder, and none that a damaged ledger could tell.
    """
    from bulkpull.cli.invocation import Invocation  # slow to load, as all of these
    from bulkpull.output.ledger import Ledger, published_datasets
    from bulkpull.output.run_history import ask_ledger, is_being_written
    from bulkpull.pipeline.open_run import SUBMITTED, is_unfinished, is_young

    async def ask(ledger: Ledger) -> dict[str, Any] | None:
        for place, run in enumerate(await ledger.runs()):
            may_be_resumed = is_young(run, now=now)
            if is_unfinished(run) and (place == 0 or may_be_resumed):
                steps = await ledger.steps(run.run_id)
                published = published_datasets(steps)
                begun = {step.dataset for step in steps} - published
                counts = run.summary or {}
                resume = Invocation(output=folder, config=config).resume(run.run_id)
                return {
                    "run_id": run.run_id,
                    "command": run.command,
                    "status": run.status or "unfinished",
                    "active_at": iso_utc(run.ended_at or run.active_at or run.started_at),
                    "datasets_unfinished": counts.get("unfinished") or counts.get(SUBMITTED) or len(begun),
                    "datasets_published": len(published),
                    "resume": resume if may_be_resumed else None,
                }
        return None

    with suppress(LedgerError):
        found = ask_ledger(folder, ask)
        return None if is_being_written(folder) else found
    return None


def _describe_unfinished_run(run: dict[str, Any]) -> str:
    how, command, number = _HOW_IT_ENDED[run["status"]], run["command"], run["datasets_unfinished"]
    step = f"`{run['resume']}` continues it" if run["resume"] else f"the next {command} replaces it"
    size = f"{plural(number, 'dataset')} unfinished" if number else "before it began a dataset"
    if not number and (published := run["datasets_published"]):
        size = f"after it had published {plural(published, 'dataset')}"
    return f"the {command} run {run['run_id']} {how} at {run['active_at']}, {size}: {step}"


def _note_shrunk(chosen: Sequence[Freshness], *, common: CommonOptions) -> None:
    """Name the datasets whose snapshot has far fewer rows than the one before."""
    from bulkpull.pipeline.publication.publish_checks import describe_shrink  # slow to load

    for dataset in chosen:
        if dataset.rows is not None and dataset.rows_before is not None:
            print_note(f"{dataset.dataset}: {describe_shrink(dataset.rows, before=dataset.rows_before)}", common)


def _note_failed(chosen: Sequence[Freshness], *, common: CommonOptions) -> None:
    """Say in one line what the newest run did not export; nothing is late yet."""
    from bulkpull.observability.failures import group_by_reason  # slow to load

    reasons = [(dataset.dataset, dataset.reason) for dataset in chosen if dataset.reason and not dataset.unavailable]
    groups = group_by_reason(reasons)
    if groups:
        others = f"; {plural(len(groups) - 1, 'other reason')}: `bulkpull runs show`" if len(groups) > 1 else ""
        names = join_some([dataset for dataset, _ in reasons])
        print_note(f"the newest run did not export {names}: {groups[0][1]}{others}", common)


def _report_late(
    folder: Path, late: Sequence[Freshness], *, now: datetime, nothing: bool, common: CommonOptions
) -> None:
    from bulkpull.output.run_history import NO_EXPORT_FIX, missing_export, nothing_published  # slow to load

    listing = platforms.current().join_command(["bulkpull", "runs", "list", "--output", str(folder)])
    fix = f"see `{listing}`, and check that the job still starts the export"
    if nothing:
        fix = NO_EXPORT_FIX if missing_export(folder) else fix
        write_error(common, NotDone(nothing_published(folder), fix=fix, exit_code=LATE))
        return
    if len(late) > _MOST_NAMED:
        names = join_some([dataset.dataset for dataset in late], most=2)  # the table above has the ages
    else:
        names = ", ".join(
            f"{dataset.dataset} (last checked {_age(dataset.checked_at, now)} ago)"
            if dataset.run_id
            else f"{dataset.dataset} (never published)"
            for dataset in late
        )
    what = f"{plural(len(late), 'dataset')} {'is' if len(late) == 1 else 'are'} late: {names}"
    why = next((dataset for dataset in late if dataset.reason), None)
    # That a dataset is not offered may come from an earlier run than the newest.
    said_by = "" if why is None or why.unavailable else "the newest run said: "
    write_error(common, NotDone(what, why=f"{said_by}{why.reason}" if why else None, fix=fix, exit_code=LATE))


def _as_values(freshness: Freshness, state: State, *, now: datetime) -> dict[str, Any]:
    return {
        "dataset": freshness.dataset,
        "source": freshness.source,
        "state": state,
        "run_id": freshness.run_id,
        "rows": freshness.rows,
        "rows_before": freshness.rows_before,
        "generated_at": format_time(freshness.generated_at),
        "published_at": format_time(freshness.published_at),
        "checked_at": format_time(freshness.checked_at),
        "data_age_seconds": _seconds(freshness.generated_at or freshness.published_at, now),
        "check_age_seconds": _seconds(freshness.checked_at, now),
        "reason": freshness.reason,
    }


def _print_table(chosen: Sequence[Freshness], states: dict[str, State], *, now: datetime) -> None:
    rows = (
        (
            freshness.dataset,
            states[freshness.dataset],
            "" if freshness.rows is None else f"{freshness.rows:,}",
            _age(freshness.generated_at or freshness.published_at, now),
            f"{_age(freshness.checked_at, now)} ago" if freshness.checked_at else "",
        )
        for freshness in chosen
    )
    numbers = ("rows", "data age", "checked")
    table = new_table(("dataset", "state", *numbers), rows, right=numbers, fold=["dataset"])
    table.columns[0].max_width = DATASET_WIDTH
    print_table(table)


def _age(moment: datetime | None, now: datetime) -> str:
    return format_age((now - moment).total_seconds()) if moment else ""


def _seconds(moment: datetime | None, now: datetime) -> int | None:
    return max(0, int((now - moment).total_seconds())) if moment else None
