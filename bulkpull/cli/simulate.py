"""`bulkpull simulate`: the embedded service simulator, served on loopback."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import typer

from bulkpull.cli import options
from bulkpull.cli.command_decorator import command, new_app
from bulkpull.cli.options import CommonOptions, option

app = new_app()

Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of API and token endpoint; 0: any.")]
BlobPort = Annotated[int, typer.Option(min=0, max=65535, help="Port of the storage host; 0: any.")]
_RATE = "The rate limit; further calls get 429."
_FAULT_HELP = "Arm a fault by id or name; may be repeated."
Faults = Annotated[
    list[str] | None, typer.Option(metavar="FAULT", help=_FAULT_HELP, autocompletion=options.fault_names)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """Parameters of the simulator's `Scenario`, by their names there; `None` leaves one as it is."""

    rows: Annotated[int | None, typer.Option(min=0, max=10_000_000, help="Rows per six months.")] = None
    seed: Annotated[int | None, typer.Option(help="Same seed, same data.")] = None
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help=_RATE)] = None
    edition: Annotated[
        Literal["live", "documents"] | None,
        typer.Option(help="Datasets as the live service listed them, or as documents do."),
    ] = None
    one_off_quota: Annotated[int | None, typer.Option(min=1, help="One-off reports an hour.")] = None
    one_off_window_s: Annotated[float | None, option("--one-off-window", "Seconds instead of that hour.", min=0)] = None
    token_lifetime_s: Annotated[
        int | None, option("--token-lifetime", "Lifetime of an access token, seconds.", min=1)
    ] = None
    link_lifetime_s: Annotated[
        float | None, option("--link-lifetime", "Lifetime of a secure link, seconds.", min=0)
    ] = None
    role: Annotated[Literal["executive", "viewer", "none"] | None, typer.Option(help="What the user may see.")] = None
    redaction: Annotated[Literal["empty", "vanish"] | None, typer.Option(help="How withheld columns appear.")] = None
    mfa: Annotated[Literal["token", "api"] | None, typer.Option(help="Where a second factor is required.")] = None
    drift: Annotated[bool | None, option("--drift", "Columns differ from the published ones.")] = None
    extras: Annotated[bool | None, option("--extras", "Also list all other documented datasets.")] = None
    further_tenants: Annotated[
        list[str] | None,
        option("--tenant", "A further tenant with reports and rows of its own; may be repeated."),
    ] = None
    key_casing: Annotated[Literal["camel", "pascal"] | None, typer.Option(help="Casing of the keys in replies.")] = None
    page_size: Annotated[int | None, typer.Option(min=1, help="Records per page of a listing.")] = None


@command(app, common=("as_json", "log_level"))
def simulate(
    service: ServiceOptions,
    *,
    latency: Annotated[str | None, typer.Option(metavar="SECONDS", help="Seconds per report: `3`, or `1..10`.")] = None,
    port: Port = 0,
    blob_port: BlobPort = 0,
    fault: Faults = None,
    list_faults: Annotated[bool, option("--list-faults", "Show the faults, and exit.")] = False,
    common: CommonOptions,
) -> None:
    """
    Serve the embedded service simulator on loopback until Ctrl-C.

    Standard output gets the settings that point a client at it, as lines for a shell.

    Examples:
        bulkpull simulate | tee simulator.env
        . ./simulator.env && bulkpull export    # in another terminal
        bulkpull simulate --rows 100000 --latency 1..10 --requests-per-minute 60
        bulkpull simulate --list-faults
        bulkpull simulate --fault 54 --fault blob_busy
    """
    from bulkpull.cli import simulator_server  # slow to load

    if list_faults:
        simulator_server.show_faults(as_json=common.as_json)
        return
    given = {name: value for name, value in asdict(service).items() if value is not None}
    if service.further_tenants:
        given["further_tenants"] = tuple(service.further_tenants)
    staging = simulator_server.stage(given, latency=latency, faults=fault or ())
    simulator_server.serve(staging, port=port, blob_port=blob_port, as_json=common.as_json)
