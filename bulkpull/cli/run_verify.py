"""Published files checked against the manifests: one line per problem on standard output, and the exit status."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bulkpull.cli.console import print_message
from bulkpull.cli.error_output import Ending, write_error
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.stdio import print_data, print_json
from bulkpull.formatting import format_size, join_some, plural
from bulkpull.output.layout import CURRENT
from bulkpull.output.run_history import NO_EXPORT_FIX, known_runs, missing_export, published_by, resolve_run_id
from bulkpull.output.store import open_store
from bulkpull.output.verify import Findings, Trouble, Verifier
from bulkpull.redact import printable

DAMAGED = 3


def verify_output(
    run: str | None, *, quick: bool, folder: Path, queries: Collection[str], common: CommonOptions
) -> int:
    """Print what is wrong; returns the exit status: 3 when something is."""
    verifier = Verifier(
        open_store(folder), quick=quick, ask_ledger=partial(published_by, folder), queries=queries, config=common.config
    )
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
    elif findings.troubles:
        print_data(
            "\n".join(printable(f"{trouble.path}: {trouble.what}; {trouble.fix}") for trouble in findings.troubles)
        )
    _print_end(findings, quick=quick, common=common)
    return DAMAGED if findings.troubles else 0


def _print_end(findings: Findings, *, quick: bool, common: CommonOptions) -> None:
    looked_at = f"{plural(findings.snapshots, 'snapshot')} checked"
    if findings.troubles:
        number = plural(len(findings.troubles), "problem")
        what = f"{number} found, {looked_at}"
        write_error(common, Ending(what=what, fix="each line above has a next step", exit_code=DAMAGED))
    elif not common.as_json:
        how = "names and sizes" if quick else "sizes, hashes and rows"
        gone = f"; retention has removed {join_some(findings.gone)} of this run" if findings.gone else ""
        size = format_size(findings.bytes)
        print_message(f"all checks passed: {looked_at}, {size}, {how}{gone}")
