"""`bulkpull simulate`: the embedded service simulator, served on loopback."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from bulkpull.cli import options
from bulkpull.cli.command_decorator import command, new_app
from bulkpull.cli.options import CommonOptions

app = new_app()


@command(
    app,
    common=("as_json", "log_level"),
    example_lines=(
        "bulkpull simulate | tee simulator.env",
        ". ./simulator.env && bulkpull export    # in another terminal",
        "bulkpull simulate --rows 100000 --latency 1..10 --requests-per-minute 60",
        "bulkpull simulate --list-faults",
        "bulkpull simulate --fault 54 --fault blob_busy",
    ),
)
def simulate(
    *,
    rows: Annotated[int | None, typer.Option(min=0, max=10_000_000, help="Rows per six months.")] = None,
    latency: Annotated[str | None, typer.Option(metavar="SECONDS", help="Seconds per report: `3`, or `1..10`.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of API and token endpoint; 0: any.")] = 0,
    blob_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the storage host; 0: any.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Same seed, same data.")] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="The rate limit; further calls get 429.")
    ] = None,
    edition: Annotated[
        Literal["live", "documents"] | None,
        typer.Option(help="Datasets as the live service listed them, or as documents do."),
    ] = None,
    one_off_quota: Annotated[int | None, typer.Option(min=1, help="One-off reports an hour.")] = None,
    one_off_window: Annotated[float | None, typer.Option(min=0, help="Seconds instead of that hour.")] = None,
    token_lifetime: Annotated[int | None, typer.Option(min=1, help="Lifetime of an access token, seconds.")] = None,
    link_lifetime: Annotated[float | None, typer.Option(min=0, help="Lifetime of a secure link, seconds.")] = None,
    role: Annotated[Literal["executive", "viewer", "none"] | None, typer.Option(help="What the user may see.")] = None,
    redaction: Annotated[Literal["empty", "vanish"] | None, typer.Option(help="How withheld columns appear.")] = None,
    mfa: Annotated[Literal["token", "api"] | None, typer.Option(help="Where a second factor is required.")] = None,
    drift: Annotated[bool, typer.Option("--drift", help="Columns differ from the published ones.")] = False,
    extras: Annotated[bool, typer.Option("--extras", help="Also list all other documented datasets.")] = False,
    tenant: Annotated[
        list[str] | None, typer.Option(help="A further tenant with reports and rows of its own; may be repeated.")
    ] = None,
    key_casing: Annotated[
        Literal["camel", "pascal"] | None, typer.Option(help="Casing of the keys in replies.")
    ] = None,
    page_size: Annotated[int | None, typer.Option(min=1, help="Records per page of a listing.")] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FAULT", help="Arm a fault by id or name; may be repeated.", autocompletion=options.fault_names
        ),
    ] = None,
    list_faults: Annotated[bool, typer.Option("--list-faults", help="Show the faults, and exit.")] = False,
    common: CommonOptions,
) -> None:
    """
    Serve the embedded service simulator on loopback until Ctrl-C.

    Standard output gets the settings that point a client at it, as lines for a shell.
    """
    from bulkpull.cli import simulator_server  # slow to load

    if list_faults:
        simulator_server.show_faults(as_json=common.as_json)
        return
    given = {
        "rows": rows,
        "seed": seed,
        "requests_per_minute": requests_per_minute,
        "edition": edition,
        "one_off_quota": one_off_quota,
        "one_off_window_s": one_off_window,
        "token_lifetime_s": token_lifetime,
        "link_lifetime_s": link_lifetime,
        "role": role,
        "redaction": redaction,
        "mfa": mfa,
        "drift": drift or None,
        "extras": extras or None,
        "further_tenants": tuple(tenant) if tenant else None,
        "key_casing": key_casing,
        "page_size": page_size,
    }
    staging = simulator_server.stage(
        {name: value for name, value in given.items() if value is not None}, latency=latency, faults=fault or ()
    )
    simulator_server.serve(staging, port=port, blob_port=blob_port, as_json=common.as_json)
