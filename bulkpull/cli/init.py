"""`bulkpull init`: a commented settings file to begin with."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bulkpull.cli.errors import OutputOptions, told
from bulkpull.cli.options import examples

app = typer.Typer()

EPILOG = examples(
    "bulkpull init",
    "bulkpull init --use nightly --file /etc/bulkpull.toml",
    "bulkpull init --use full --tenant-id contoso.example --output data --force",
)


class Use(StrEnum):
    """What the settings are for."""

    FULL = "full"
    NIGHTLY = "nightly"
    BENCHMARK = "benchmark"


@app.command(epilog=EPILOG, short_help="Write a commented settings file.")
def init(
    *,
    use: Annotated[Use | None, typer.Option(help="One full export, unattended nights, or measuring.")] = None,
    tenant_id: Annotated[str | None, typer.Option(help="The directory (tenant) of the application.")] = None,
    client_id: Annotated[str | None, typer.Option(help="The application.")] = None,
    output: Annotated[Path | None, typer.Option(help="Output folder.")] = None,
    file: Annotated[Path, typer.Option(help="The file to write.")] = Path("bulkpull.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file when it exists.")] = False,
) -> None:
    """
    Write a commented settings file; on a terminal what no option gives is asked for.

    Secrets are never asked for and never written: the end tells which environment variables carry them.
    """
    speech = OutputOptions()
    with told(speech):
        from bulkpull.cli.work.init import run_init  # noqa: PLC0415 - `--help` needs none of it

        run_init(
            use=use.value if use else None,
            tenant_id=tenant_id,
            client_id=client_id,
            output=output,
            file=file,
            force=force,
        )
