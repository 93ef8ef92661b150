"""`bulkpull init`: a commented settings file to begin with."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bulkpull.cli.command_decorator import command, new_app
from bulkpull.cli.console import print_message
from bulkpull.cli.options import CommonOptions, option
from bulkpull.errors import SettingsError
from bulkpull.output.atomic_files import disk_errors, write_atomically

app = new_app()

_DEFAULT_USE = "standard"
_MEASURING = "benchmark"
_ADDRESSES = ("api_base_url", "token_url", "resource")
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_TENANT_ID = re.compile(rf"[0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}|{_LABEL}(?:\.{_LABEL})+")


class Use(StrEnum):
    STANDARD = "standard"
    FULL = "full"
    NIGHTLY = "nightly"
    BENCHMARK = "benchmark"


@command(app, common=())
def init(
    *,
    use: Annotated[Use | None, typer.Option(help="What the file is for; standard: the default settings.")] = None,
    tenant_id: Annotated[
        str | None, typer.Option(metavar="ID", help="The directory (tenant) of the application.")
    ] = None,
    client_id: Annotated[str | None, typer.Option(metavar="ID", help="The application.")] = None,
    output: Annotated[Path | None, typer.Option(help="Output folder.")] = None,
    file: Annotated[Path, typer.Option(help="The file to write.")] = Path("bulkpull.toml"),
    force: Annotated[bool, option("--force", "Replace the file when it exists.")] = False,
    common: CommonOptions,
) -> None:
    """
    Write a commented settings file; on a terminal, ask for what the options leave out.

    Without --use every setting but those asked for keeps its default. What is set is shown, with the default it
    replaces. Secrets are neither asked for nor written: `bulkpull auth login` needs none.

    Examples:
        bulkpull init
        bulkpull init --use nightly --file /etc/bulkpull.toml
        bulkpull init --use full --tenant-id contoso.example --output data --force
    """
    del common
    if file.exists() and not force:
        raise SettingsError(
            f"settings file {file} exists",
            why="it is not overwritten without --force",
            fix="give --force, or another --file",
        )
    from bulkpull.config.template import PURPOSES, USES, check_alone, set_lines, settings_text  # slow to load

    can_ask = sys.stdin.isatty() and sys.stderr.isatty()
    words = f"What for ({', '.join(USES)})"
    chosen = use.value if use else _ask(words, default=_DEFAULT_USE, allowed=tuple(USES)) if can_ask else _DEFAULT_USE
    values: dict[str, Any] = dict(USES[chosen])
    given: dict[str, str | None] = {"tenant_id": tenant_id, "client_id": client_id}
    if can_ask and chosen != _MEASURING:  # the simulator takes none of them
        for name, words in (("tenant_id", "Tenant (directory) id"), ("client_id", "Application (client) id")):
            if given[name] is None:
                given[name] = _ask(f"{words}, empty for later", default="")
    folder = str(output) if output else (_ask("Output folder", default=str(values["output"])) if can_ask else None)
    given["output"] = folder
    values |= {name: value.strip() for name, value in given.items() if value and value.strip()}
    if (tenant := values.get("tenant_id")) and not _TENANT_ID.fullmatch(tenant):
        raise SettingsError(
            f"`tenant_id` {tenant!r} is no tenant id",
            why="it is neither a GUID nor a domain name",
            fix="give one such as 00000000-0000-0000-0000-000000000000 or contoso.example",
        )
    check_alone(values)
    print_message(f"settings for: {chosen} ({PURPOSES[chosen]})")
    for line in set_lines(values):
        print_message(f"  {line}")
    with disk_errors(file, elsewhere="another file with --file"):
        write_atomically(file, settings_text(values, use=chosen))
    _print_next_steps(file, values, use=chosen)


def _ask(words: str, *, default: str, allowed: tuple[str, ...] = ()) -> str:
    while True:
        answer: str = typer.prompt(words, default=default, show_default=bool(default), err=True)
        if not allowed or answer in allowed:
            return answer
        print_message(f"one of: {', '.join(allowed)}")


def _print_next_steps(file: Path, values: Mapping[str, object], *, use: str) -> None:
    from bulkpull.cli.invocation import invocation_path  # slow to load, as the next
    from bulkpull.config.file import variable_of
    from bulkpull.config.secrets import FAMILIES, FORMS
    from bulkpull.config.settings import NEEDED_SETTINGS

    print_message(f"written: {file}")
    names = {*values, *_ADDRESSES, "tenant_id", "client_id", "grant", *FORMS}
    from_environment = {name: value for name in names if (value := os.environ.get(variable_of(name)))}
    in_file = {name: str(value) for name, value in values.items()}
    winning = [name for name in in_file if from_environment.get(name, in_file[name]) != in_file[name]]
    winning += [name for name in _ADDRESSES if name in from_environment and name not in in_file]
    if winning:
        print_message(f"note:    the environment goes before this file: {', '.join(map(variable_of, winning))}")
    program = invocation_path("bulkpull")
    option = "" if file == Path("bulkpull.toml") else f" --config {file}"
    if use == _MEASURING:
        print_message(f"next:    {program} export --demo{option} --quiet --json")
        return
    given = in_file | from_environment
    missing = [f"`{name}`" for name in ("tenant_id", "client_id") if name not in given]
    if missing:
        print_message(f"set:     {' and '.join(missing)} in {file}")
    needed = next((settings for grant, settings in NEEDED_SETTINGS.items() if grant == given.get("grant")), ())
    # Without a grant any secret may sign in.
    forms = [variable_of(form) for form in (FAMILIES[needed[-1]] if needed else FORMS) if form in from_environment]
    check, word = f"{program} doctor{option}", "next"
    if given.get("grant") == "azure":
        print_message("sign in: as the identity of this machine in Azure (`grant` is azure)")
    elif forms:
        print_message(f"sign in: by {', '.join(forms)} of the environment, as `{check}` shows")
    else:
        print_message(f"next:    {program} auth login{option}")
        print_message("         once, in a browser; it needs no secret. Other ways: docs/sign-in.md")
        word = "then"
    print_message(f"{word}:    {check}")
