"""Published files held against the manifests: one line per trouble on standard output, and the exit status."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

from bulkpull import formatting as figures
from bulkpull.cli.errors import OutputOptions, write_error
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.cli.work.consoles import error_console
from bulkpull.config.settings import Settings
from bulkpull.output.past import known_runs, published_by
from bulkpull.output.run_history import resolve_run_id
from bulkpull.output.verify import Findings, Verifier
from bulkpull.redact import printable

DAMAGED = 3


def verify(
    run: str | None, *, quick: bool, output: Path | None, config: Path | None, as_json: bool, speech: OutputOptions
) -> int:
    """
    Print what is wrong; returns the exit status: 3 when something is.

    Raises:
        SettingsError: A setting is wrong, or there is no such run.
    """
    settings = Settings.load(config, output=output)
    folder = settings.output
    verifier = Verifier(
        folder,
        quick=quick,
        ask_ledger=partial(published_by, folder),
        queries=[query.name for query in settings.queries],
        config=config,
    )
    if run is None:
        findings = verifier.verify_all()
    else:
        run = resolve_run_id(run, known=known_runs(folder), output=folder)
        findings = verifier.verify_run(run)
    if as_json:
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
    elif findings.troubles:
        print_data("\n".join(printable(f"{each.path}: {each.what}; {each.fix}") for each in findings.troubles))
    _tell(findings, quick=quick, speech=speech, as_json=as_json)
    return DAMAGED if findings.troubles else 0


def _tell(findings: Findings, *, quick: bool, speech: OutputOptions, as_json: bool) -> None:
    looked_at = f"{figures.count(findings.snapshots, 'snapshot')} looked at"
    if findings.troubles:
        number = figures.count(len(findings.troubles), "trouble")
        write_error(
            speech, f"{number} found, {looked_at}", fix="each line above tells its next step", exit_code=DAMAGED
        )
    elif not as_json:
        how = "names and sizes" if quick else "sizes, hashes and rows"
        gone = f"; retention has removed {figures.some(findings.gone)} of this run" if findings.gone else ""
        size = figures.size(findings.bytes)
        error_console().print(f"all is well: {looked_at}, {size}, {how}{gone}", soft_wrap=True)
