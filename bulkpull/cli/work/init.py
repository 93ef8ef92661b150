"""Init: ask what is not given, where somebody can answer; write the file; say what comes next."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from bulkpull.cli.run_summary import as_typed
from bulkpull.cli.work.consoles import error_console
from bulkpull.cli.work.settings_file import USES, settings_text
from bulkpull.config.settings import ENV_PREFIX, Settings
from bulkpull.errors import SettingsError
from bulkpull.output.atomic_files import disk_errors, write_atomically

_DEFAULT_USE = "full"
_MEASURING = "benchmark"
_NEEDED = ("client_secret", "refresh_token")


class _WithoutEnvironment(Settings):
    """The settings that a file alone makes: what is wrong in the environment is no fault of the file."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def run_init(
    *, use: str | None, tenant_id: str | None, client_id: str | None, output: Path | None, file: Path, force: bool
) -> None:
    """
    Write the settings file.

    Raises:
        SettingsError: The file exists and may not be replaced, or a value is not valid; nothing was written.
        DiskTrouble: The file cannot be written.
    """
    if file.exists() and not force:
        raise SettingsError(
            f"settings file {file} exists", why="it is never overwritten unasked", fix="give --force, or another --file"
        )
    asking = sys.stdin.isatty() and sys.stderr.isatty()
    use = use or (_ask_use() if asking else _DEFAULT_USE)
    values: dict[str, Any] = dict(USES[use])
    given: dict[str, str | None] = {"tenant_id": tenant_id, "client_id": client_id}
    if asking and use != _MEASURING:  # the simulator, which is what is measured, takes none of them
        for name, words in (("tenant_id", "Tenant (directory) id"), ("client_id", "Application (client) id")):
            if given[name] is None:
                given[name] = _ask(f"{words}, empty for later", default="")
    folder = str(output) if output else (_ask("Output folder", default=str(values["output"])) if asking else None)
    given["output"] = folder
    values |= {name: value.strip() for name, value in given.items() if value and value.strip()}
    _WithoutEnvironment(**values)
    with disk_errors(file):
        write_atomically(file, settings_text(values, use=use))
    _tell(file, values, use=use)


def _ask_use() -> str:
    return _ask(f"What for ({', '.join(USES)})", default=_DEFAULT_USE, allowed=tuple(USES))


def _ask(words: str, *, default: str, allowed: tuple[str, ...] = ()) -> str:
    while True:
        answer: str = typer.prompt(words, default=default, show_default=bool(default), err=True)
        if not allowed or answer in allowed:
            return answer
        error_console().print(f"one of: {', '.join(allowed)}")


def _tell(file: Path, values: Mapping[str, object], *, use: str) -> None:
    console = error_console()
    console.print(f"written: {file}", soft_wrap=True)
    program = as_typed("bulkpull")
    option = "" if file == Path("bulkpull.toml") else f" --config {file}"
    if use == _MEASURING:
        console.print(f"next:    {program} export --demo{option} --quiet --json", soft_wrap=True)
        return
    missing = [name for name in ("tenant_id", "client_id") if name not in values]
    variables = [f"{ENV_PREFIX}{name.upper()}" for name in (*missing, *_NEEDED)]
    told = f"{', '.join(variables)} in the environment; or sign in once by `{program} auth login`"
    console.print(f"set:     {told}", soft_wrap=True)
    console.print(f"next:    {program} doctor{option}", soft_wrap=True)
