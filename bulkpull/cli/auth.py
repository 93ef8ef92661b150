"""`bulkpull auth`: try the credentials, obtain them, forget them."""

from __future__ import annotations

import typer

from bulkpull.cli import options
from bulkpull.cli.errors import OutputOptions, told
from bulkpull.cli.options import examples

app = typer.Typer(
    name="auth",
    help="Credentials: try them, obtain them, forget them.",
    no_args_is_help=True,
    epilog=examples("bulkpull auth login", "bulkpull auth check"),
)


@app.command(
    "check",
    epilog=examples("bulkpull auth check", "bulkpull auth check --json", "bulkpull auth check --demo"),
    short_help="Try the credentials, step by step.",
)
def check(
    *,
    demo: options.Demo = False,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_level: options.Level = None,
) -> None:
    """
    Try the credentials, and say step by step what works: settings, proxy, token, MFA, role, datasets.

    Changes nothing on the service. Exit status: 0, or that of the worst trouble: 2 settings, 4 credentials or role, 1.
    """
    speech = OutputOptions(log_level=log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.auth import check_credentials  # noqa: PLC0415 - `--help` needs none of it

        raise typer.Exit(check_credentials(demo=demo, config=config, as_json=as_json))


@app.command(
    "login",
    epilog=examples("bulkpull auth login", "bulkpull auth login --config bulkpull.toml"),
    short_help="Sign in once, by a code in a browser.",
)
def login(
    *,
    demo: options.Demo = False,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_level: options.Level = None,
) -> None:
    """
    Sign in once, with MFA, by a code that is entered in a browser on any device; the refresh token is kept.

    Needs an application that allows public client flows.
    `tenant_id` and `client_id` have to be set. No secret is shown.
    """
    speech = OutputOptions(log_level=log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.login import sign_in  # noqa: PLC0415 - `--help` needs none of it

        raise typer.Exit(sign_in(demo=demo, config=config, as_json=as_json, speech=speech))


@app.command(
    "logout",
    epilog=examples("bulkpull auth logout", "bulkpull auth logout --json"),
    short_help="Forget the refresh token that is kept.",
)
def logout(*, config: options.Config = None, as_json: options.AsJson = False, log_level: options.Level = None) -> None:
    """Forget the refresh token that is kept for this tenant and client, wherever it is kept."""
    speech = OutputOptions(log_level=log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work.login import sign_out  # noqa: PLC0415 - `--help` needs none of it

        sign_out(config=config, as_json=as_json)
