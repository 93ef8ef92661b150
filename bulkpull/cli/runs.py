"""`bulkpull runs`: the local ledger of runs."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bulkpull.catalog import load_catalog
from bulkpull.cli import options
from bulkpull.cli.command_decorator import LOCAL, QUIET_RUN, command, new_app
from bulkpull.cli.console import new_table, print_message, print_table
from bulkpull.cli.error_output import write_error
from bulkpull.cli.options import CommonOptions, option
from bulkpull.cli.service_call import load_settings
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.clock import iso_utc
from bulkpull.errors import NotDone, SettingsError
from bulkpull.formatting import format_clock, format_counts, format_size, join_some, plural
from bulkpull.output.atomic_files import disk_errors, to_disk_error
from bulkpull.redact import printable
from bulkpull.suggestions import did_you_mean
from bulkpull.untrusted_text import escaped_json

if TYPE_CHECKING:
    from bulkpull.output.ledger import RunEntry

_BUNDLE = "Write a support bundle (no data, no secrets); print its path."
Bundle = Annotated[bool, option("--bundle", _BUNDLE)]
RunId = Annotated[str | None, typer.Argument(metavar="RUN", hidden=True)]

app = new_app("runs", "bulkpull runs list", "bulkpull runs show", "bulkpull runs verify --help")

_MOST_SHOWN = 20
_DAMAGED = 3


@command(app, "list", common=LOCAL)
def list_runs(
    *,
    everything: Annotated[bool, option("--all", "Show every run, not only the newest twenty.")] = False,
    output: options.Output = None,
    common: CommonOptions,
) -> None:
    """
    Show the runs of an output folder, newest first; changes nothing. With --json it shows all of them.

    Examples:
        bulkpull runs list
        bulkpull runs list --output data --json
    """
    from bulkpull.output.ledger import Ledger  # slow to load, as the next
    from bulkpull.output.run_history import ask_ledger, check_export

    folder = load_settings(common, output=output).output
    runs = ask_ledger(folder, Ledger.runs) or []
    if not runs:
        check_export(folder)
    if common.as_json:
        values = [
            {
                "run_id": run.run_id,
                "command": run.command,
                "status": run.status or "unfinished",
                "started_at": iso_utc(run.started_at),
                "finished_at": iso_utc(run.ended_at) if run.ended_at else None,
                "datasets": dict(run.summary or {}),
                "request": dict(run.request),
            }
            for run in runs
        ]
        print_json({"version": 1, "output": str(folder), "runs": values})
    elif runs:
        shown = runs if everything else runs[:_MOST_SHOWN]
        columns = ("run", "command", "took", "status", "datasets")
        print_table(new_table(columns, map(_row, shown), right=["took"], fold=["datasets"]))
        if len(shown) < len(runs):
            print_message(f"the newest {len(shown)} of {len(runs):,} runs; --all shows every one")
    else:
        print_message(f"there are no runs in {folder.absolute()}")


@command(app, "show", common=LOCAL, short_help="Show one run: outcome, calls, timeline.")
def show(
    run: RunId = None,
    *,
    log: Annotated[bool, option("--log", "Print the run's own log, JSON lines, instead.")] = False,
    bundle: Bundle = False,
    to: Annotated[Path | None, option("--to", "File or folder for the bundle; default: here.")] = None,
    verbose: Annotated[bool, option("--verbose", "Show every step, also for many datasets.")] = False,
    output: options.Output = None,
    common: CommonOptions,
) -> None:
    """
    Show one run: start and end, calls, and the result of every dataset.

    Shows the newest run, or the one whose id is, or begins with, RUN. Changes nothing; may run during an export.

    Examples:
        bulkpull runs show
        bulkpull runs show 20261123T020000Z --json
        bulkpull runs show --log | grep -v debug
        bulkpull runs show 20261123T020000Z --bundle
    """
    from bulkpull.cli.run_bundle import write_bundle  # slow to load, as the next
    from bulkpull.cli.run_details import show_run

    if log and bundle:
        raise SettingsError("--log and --bundle exclude each other", fix="give --bundle alone: it holds the log")
    if to is not None and not bundle:
        raise SettingsError("--to goes with --bundle", fix="give --bundle too, or redirect standard output to the file")
    if bundle:
        write_bundle(run, to=to, output=output, common=common)
        return
    folder = load_settings(common, output=output).output
    if log:
        _show_log(run, folder=folder, as_json=common.as_json)
    else:
        show_run(run, folder=folder, as_json=common.as_json, verbose=verbose)


@command(app, "resume", common=QUIET_RUN, short_help="Resume a run, or collect its reports.")
def resume(run: RunId = None, *, output: options.Output = None, common: CommonOptions) -> int:
    """
    Resume an interrupted run, or collect one that only submitted its reports.

    Resumes the newest unfinished run, or the one whose id is, or begins with, RUN. Of a run that ended with failures,
    the failed datasets are tried again. Nothing is created twice. A run that was interrupted a day ago or earlier is
    closed, and a new one is started.

    Examples:
        bulkpull runs resume
        bulkpull runs resume 20261123T020000Z
        bulkpull runs resume --quiet --json > run.json
    """
    from bulkpull.cli.run_resume import resume_run  # slow to load

    return resume_run(run, output=output, common=common)


@command(app, "publish", common=QUIET_RUN, short_help="Publish data that a run held back.")
def publish(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or the beginning of it.")],
    dataset: Annotated[str | None, typer.Argument(metavar="[DATASET]", help="Only this one.")] = None,
    *,
    output: options.Output = None,
    common: CommonOptions,
) -> int:
    """
    Publish data that `on_shrink`, `on_drift` or `fail_on_redacted` held back, from the report that was kept.

    The run is resumed: datasets that it lost for another reason are tried again.

    Examples:
        bulkpull runs publish 20261123T020000Z
        bulkpull runs publish 20261123T020000Z AzureUsage
    """
    from bulkpull.cli.run_resume import publish_held  # slow to load

    return publish_held(run, dataset, output=output, common=common)


@command(app, "forget", common=LOCAL, short_help="Remove a dataset from the current snapshots.")
def forget(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="The published name.")],
    *,
    output: options.Output = None,
    common: CommonOptions,
) -> None:
    """
    Take a dataset out of `current.json` and `latest/`; `status` no longer expects it, and its types are inferred again.

    Its snapshots stay until retention removes them. Nothing changes on the service.

    Examples:
        bulkpull runs forget AzureUsage
        bulkpull runs forget mine --output data
    """
    import anyio  # slow to load, as all of these

    from bulkpull.output.current import Current
    from bulkpull.output.run_history import no_export
    from bulkpull.output.store import INSIDE, open_store

    folder = load_settings(common, output=output).output.absolute()
    store = open_store(folder)
    now = datetime.now(UTC)
    wanted = load_catalog().canonical(dataset)
    published = Current.load(store).datasets
    name = next((name for name in published if name.casefold() == wanted.casefold()), None)
    if name is None:
        if not published:
            raise no_export(folder)
        there = f"current there: {', '.join(sorted(published))}"
        hint = did_you_mean(wanted, published)
        raise SettingsError(f"{wanted} is not current in {folder}", fix=f"{hint} {there}" if hint else there)

    async def remove() -> None:
        async with store.lock(since=now):
            current = Current.load(store)
            current.datasets.pop(name, None)
            current.forgotten[name] = current.updated_at = now
            with disk_errors(folder):
                current.save(store)
                if store.link_target(INSIDE.latest_link(name)) is not None:
                    store.delete(INSIDE.latest_link(name))

    anyio.run(remove)
    if common.as_json:
        print_json({"version": 1, "output": str(folder), "forgotten": name})
    else:
        print_data(f"{name} is no longer current; its snapshots stay until retention deletes them")


@command(app, "look", short_help="Show which reports of a submitted run are ready.")
def look(run: RunId = None, *, output: options.Output = None, common: CommonOptions) -> None:
    """
    Ask the service, in one call, which reports of a submitted run are ready; fetches and changes nothing.

    Looks at the newest unfinished run, or at the one whose id is, or begins with, RUN.

    Examples:
        bulkpull runs look
        bulkpull runs look 20261123T020000Z --json
    """
    from bulkpull.cli.run_resume import show_readiness  # slow to load

    show_readiness(run, settings=load_settings(common, output=output), common=common)


@command(app, "verify", short_help="Verify published files.")
def verify(
    run: RunId = None,
    *,
    quick: Annotated[bool, option("--quick", "Check names and sizes only; read no data.")] = False,
    output: options.Output = None,
    common: CommonOptions,
) -> int:
    """
    Check published files against their records: sizes, hashes, rows, pointer and links.

    Checks the current snapshots and every older one; with RUN (or its beginning), those of that run. Ends with status
    3 when something is wrong. Changes nothing; may run during an export.

    Examples:
        bulkpull runs verify
        bulkpull runs verify --quick --output data
        bulkpull runs verify 20261123T020000Z --json
    """
    from bulkpull.output.layout import CURRENT  # slow to load, as all of these
    from bulkpull.output.run_history import NO_EXPORT_FIX, known_runs, missing_export, published_by, resolve_run_id
    from bulkpull.output.store import open_store
    from bulkpull.output.verify import Findings, Trouble, Verifier

    settings = load_settings(common, output=output)
    folder, queries = settings.output, [query.name for query in settings.queries]
    ask = partial(published_by, folder)
    verifier = Verifier(open_store(folder), quick=quick, ask_ledger=ask, queries=queries, config=common.config)
    if run is None and (missing := missing_export(folder)) is not None:
        findings = Findings([Trouble(CURRENT, what=missing, fix=NO_EXPORT_FIX)])
    elif run is None:
        findings = verifier.verify_all()
    else:
        run = resolve_run_id(run, known=known_runs(folder), output=folder)
        findings = verifier.verify_run(run)
    if common.as_json:
        print_json(
            {
                "version": 1,
                "output": str(folder),
                "run_id": run,
                "quick": quick,
                "ok": not findings.troubles,
                "snapshots": findings.snapshots,
                "files": findings.files,
                "bytes": findings.bytes,
                "removed_by_retention": findings.gone,
                "troubles": [asdict(trouble) for trouble in findings.troubles],
            }
        )
    checked = f"{plural(findings.snapshots, 'snapshot')} checked"
    if findings.troubles:
        for trouble in findings.troubles if not common.as_json else ():
            print_data(printable(f"{trouble.path}: {trouble.what}; {trouble.fix}"))
        what = f"{plural(len(findings.troubles), 'problem')} found, {checked}"
        write_error(common, NotDone(what, fix="each line above has a next step", exit_code=_DAMAGED))
        return _DAMAGED
    if not common.as_json:
        how = "names and sizes" if quick else "sizes, hashes and rows"
        gone = f"; retention has removed {join_some(findings.gone)} of this run" if findings.gone else ""
        print_message(f"all checks passed: {checked}, {format_size(findings.bytes)}, {how}{gone}")
    return 0


def _show_log(run: str | None, *, folder: Path, as_json: bool) -> None:
    """Print the log of the newest run, or of the one whose id begins with `run`; with `as_json` as one object."""
    from bulkpull.output.run_history import known_runs, resolve_run_id  # slow to load, as the next
    from bulkpull.output.store import INSIDE, open_store

    run_id = resolve_run_id(run, known=known_runs(folder), output=folder)
    store, name = open_store(folder), INSIDE.log(run_id)
    entries: list[object] = []
    try:
        with store.open(name) as log:
            for line in (line.decode("utf-8", errors="replace") for line in log):
                if not as_json:
                    print_data(escaped_json(line))
                    continue
                with suppress(ValueError):  # cut short by a kill
                    entries.append(json.loads(line))
    except FileNotFoundError:
        raise SettingsError(
            f"run {run_id} has no log in {folder}",
            why="it was made by an older bulkpull, or its log was removed",
            fix=f"see what is known about it: bulkpull runs show {run_id}",
        ) from None
    except OSError as trouble:
        raise to_disk_error(trouble, Path(store.place(name))) from trouble
    if as_json:
        print_json({"version": 1, "run_id": run_id, "log": list(filter(None, entries))})


def _row(run: RunEntry) -> tuple[str, ...]:
    took = "" if run.ended_at is None else format_clock((run.ended_at - run.started_at).total_seconds())
    # The id begins with the moment of the start.
    return run.run_id, run.command, took, run.status or "unfinished", format_counts(run.summary or {})
