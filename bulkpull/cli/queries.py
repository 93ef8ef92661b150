"""`bulkpull queries`: the queries that the service stores for this user, and its own."""

from __future__ import annotations

from typing import Annotated

import typer

from bulkpull.cli import options
from bulkpull.cli.errors import LogFormat, OutputOptions, told
from bulkpull.cli.options import examples

app = typer.Typer(
    name="queries",
    help="The queries that the service stores.",
    no_args_is_help=True,
    epilog=examples("bulkpull queries list", "bulkpull queries create --help"),
)

QueryId = Annotated[str, typer.Argument(metavar="ID", help="A query's id, as `queries list` shows it.")]
QueryIds = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of queries.")]


@app.command(
    "list",
    short_help="Show the stored queries.",
    epilog=examples(
        "bulkpull queries list", "bulkpull queries list --system --demo", "bulkpull queries list --mine --json"
    ),
)
def list_queries(
    *,
    name: Annotated[str | None, typer.Option("--name", help="Only the query of this name.")] = None,
    system: Annotated[bool, typer.Option("--system", help="The service's own instead of the user's.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="The user's and the service's own.")] = False,
    mine: Annotated[bool, typer.Option("--mine", help="Only those that this tool made.")] = False,
    demo: options.Demo = False,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """Show the stored queries, and whether their dataset still has what they select."""
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work import queries  # noqa: PLC0415 - `--help` needs none of it

        wanted = queries.QueryFilter(name=name, system=system, everything=everything, mine=mine)
        queries.list_queries(wanted, demo=demo, config=config, as_json=as_json, speech=speech)


@app.command(
    "show",
    short_help="Show one query with its text.",
    epilog=examples(
        "bulkpull queries show 7d19305c-56db-4edc-b776-428340e3a9c8",
        "bulkpull queries show d1a4d75e-5ca8-4847-845f-ee0a9be6f07b --demo",
    ),
)
def show_query(
    query_id: QueryId,
    *,
    demo: options.Demo = False,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """Show one query with its text; exit status 2 when there is none of that id."""
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work import queries  # noqa: PLC0415 - `--help` needs none of it

        queries.show_query(query_id, demo=demo, config=config, as_json=as_json, speech=speech)


@app.command(
    "create",
    epilog=examples(
        'bulkpull queries create --demo Customers "SELECT Month FROM OfficeUsage"',
        'bulkpull queries create "Our names" "SELECT PartnerName FROM Profile" --json',
    ),
)
def create_query(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits and blanks.")],
    text: Annotated[str, typer.Argument(metavar="QUERY", help="The query's text.")],
    *,
    description: Annotated[str | None, typer.Option("--description", help="What it is for.")] = None,
    demo: options.Demo = False,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """Store the query QUERY under the name NAME."""
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work import queries  # noqa: PLC0415 - `--help` needs none of it

        queries.create_query(
            text, name=name, description=description, demo=demo, config=config, as_json=as_json, speech=speech
        )


@app.command(
    "delete",
    epilog=examples(
        "bulkpull queries delete 7d19305c-56db-4edc-b776-428340e3a9c8",
        "bulkpull queries delete --yes 7d19305c-56db-4edc-b776-428340e3a9c8",
    ),
)
def delete_queries(
    query_ids: QueryIds,
    *,
    yes: options.Yes = False,
    force: Annotated[bool, typer.Option("--force", help="Also those that reports use.")] = False,
    config: options.Config = None,
    as_json: options.AsJson = False,
    log_format: options.Format = LogFormat.CONSOLE,
    log_level: options.Level = None,
) -> None:
    """
    Delete the named queries, and nothing else.

    Reports that use a deleted query produce nothing more, so such a query stays unless --force is given.
    """
    speech = OutputOptions(log_format, log_level)
    with told(speech, as_json=as_json):
        from bulkpull.cli.work import queries  # noqa: PLC0415 - `--help` needs none of it

        code = queries.delete_queries(query_ids, yes=yes, force=force, config=config, as_json=as_json, speech=speech)
        raise typer.Exit(code)
