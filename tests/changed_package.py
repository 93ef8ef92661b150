"""
A program for `test_typical_changes`: it runs a package in which every typical change was made, and prints what it sees.

    python changed_package.py FOLDER        with the changed package first on the path; FOLDER is empty
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

from aiohttp import web
from journeys.kit import ACCOUNT, QUICK
from support import FakeClock

import bulkpull
from bulkpull import cli, read_output
from bulkpull.auth.sign_in import describe_sign_in
from bulkpull.catalog import load_catalog
from bulkpull.config.settings import Settings
from bulkpull.config.template import settings_text
from bulkpull.conversion.parquet_types import common_type
from bulkpull.events import Events
from bulkpull.pipeline.request import ExportRequest
from bulkpull.pipeline.run import Run
from bulkpull.simulator import Fault, Scenario, Simulator
from bulkpull.simulator.api_server import ApiHost

DATASET, CODE = "PartnerReferrals", "simulated-authorization-code"
ELSEWHERE = "elsewhere"


def run_command(*words: str) -> tuple[int, str]:
    """The exit status of a command, and what it writes to standard output."""
    written = StringIO()
    with redirect_stdout(written), redirect_stderr(StringIO()):
        status = cli.run(words)
    return status, written.getvalue()


def settings_for(simulator: Simulator, output: Path) -> Settings:
    """Settings of the changed package that sign in by an authorization code; one is set by its variable."""
    names = ("api_base_url", "token_url", "tenant_id", "client_id", "client_secret")
    given = {name: simulator.environment[f"BULKPULL_{name.upper()}"] for name in names}
    os.environ["BULKPULL_CONTACT"] = "data-team@contoso.example"
    # No waits of its own: what the test looks at are the waits of the new poll rule.
    return Settings(**(QUICK | given), output=output, token_cache="off", authorization_code=CODE)


async def export(output: Path) -> dict[str, Any]:
    """Export the new dataset from the simulator of the changed package."""
    clock, agents = FakeClock(), set[str]()
    handle = ApiHost.handle

    async def note_agent(host: ApiHost, request: web.Request) -> web.StreamResponse:
        agents.add(request.headers["User-Agent"])
        return await handle(host, request)

    ApiHost.handle = note_agent  # type: ignore[method-assign, assignment]
    fault = Fault("planned_maintenance", endpoint="ScheduledDataset")
    async with Simulator(Scenario(rows=40, datasets=(DATASET,), faults=(fault,)), clock=clock) as simulator:
        settings = settings_for(simulator, output)
        run = Run(ExportRequest((DATASET,)), settings, Events(), account=ACCOUNT, clock=clock)
        manifest = await run.export()
        created = next(
            call.at for call in simulator.calls if (call.endpoint, call.method) == ("ScheduledReport", "POST")
        )
        looked = next(call.at for call in simulator.calls if call.endpoint == "execution")
        statuses = [call.status for call in simulator.calls if call.endpoint == "ScheduledDataset"]
        sign_in = await describe_sign_in(settings)
    (record,) = manifest.datasets
    return {
        "status": record.status,
        "error": repr(record.error),
        "rows": record.rows,
        "columns": {column.name: column.type for column in record.columns},
        "files": record.files[0].path if record.files else None,
        "agents": sorted(agents),
        "sign_in": sign_in,
        "grant": settings.chosen_grant(),
        "statuses": statuses,
        "first_look_after_s": (looked - created).total_seconds(),
    }


def published(output: Path) -> dict[str, Any]:
    """What readers see of the export, whose store is another place than the folder."""
    frame = read_output.scan(output, DATASET).collect()
    findings = read_output.verify(output)
    statuses = [run_command(command, *words, "--output", str(output))[0] for command, *words in (
        ("status",), ("runs", "list"), ("runs", "show"), ("runs", "verify"),
    )]  # fmt: skip
    return {
        "rows": frame.height,
        "dtypes": {name: str(dtype) for name, dtype in frame.schema.items()},
        "values": sorted(set(frame["Seats"].drop_nulls().to_list())),
        "troubles": [str(trouble) for trouble in findings.troubles],
        "in_the_folder": sorted(path.name for path in output.iterdir()),
        "elsewhere": sorted(path.name for path in (output / ELSEWHERE).iterdir()),
        "statuses": statuses,
    }


def main(folder: Path) -> None:
    """Print one JSON object."""
    output = folder / "output"
    (output / ELSEWHERE).mkdir(parents=True)
    os.chdir(folder)
    sys.path.append(str(Path(__file__).parent.parent / "docs"))
    pages = import_module("reference_pages")
    seen: dict[str, Any] = {
        "package": bulkpull.__file__,
        "settings page": pages.settings_page(),
        "commands page": pages.commands_page(),
        "template": settings_text({}, use="standard"),
        "help": run_command("--help")[1],
        "hello": run_command("hello", "--json"),
        "refused": run_command("hello", "--whom", "nobody", "--json"),
        "faults": run_command("simulate", "--list-faults"),
        "is standard": DATASET in [dataset.name for dataset in load_catalog().standard],
        "common types": [common_type(("Int32", "Int64")), common_type(("Int32", "Date"))],
    }
    seen["export"] = asyncio.run(export(output))
    seen["published"] = published(output)
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
