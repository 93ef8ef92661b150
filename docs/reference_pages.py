"""
Writes the reference: `docs/settings.md` from the settings' model, and `docs/commands.md` from the program itself.

    python docs/reference_pages.py          write the pages
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from bulkpull.cli import app
from bulkpull.config.settings import Settings

FOLDER = Path(__file__).parent
SETTINGS_HEAD = """\
# Settings and exit statuses

<!-- Made by docs/reference_pages.py from the code: change the settings, then run `make docs`. -->

Precedence: option, then environment (`BULKPULL_` and the name in capitals), then the file given by `--config` (or
`./bulkpull.toml`), then the default. An empty environment variable counts as not set. Plain `http://` is accepted for
loopback addresses only. An unknown key or a value of the wrong type is refused with its name and what is allowed.

`bulkpull init` writes a commented file. Ready files for a full export, nightly runs and benchmarks are in the
folder `config/` of the repository.

"""
STATUSES = """
## Exit status

| status | when |
| --- | --- |
| 0 | every requested dataset is complete, unchanged, or (only when none was named) not offered to this account |
| 1 | an unexpected fault; no partial data is visible to readers |
| 2 | wrong usage or settings |
| 3 | finished, but at least one dataset failed; the others are published. Also: what was named does not exist |
| 4 | credentials are missing, refused, or lack the role |
| 5 | another run is writing to the same output folder |
| 130 | interrupted; `bulkpull runs resume`, or the same command again, carries on |

`--json` prints exactly one JSON object to standard output: of an export, the run's manifest. Progress and logs go to
standard error.
"""
COMMANDS_HEAD = """\
# Commands

<!-- Made by docs/reference_pages.py from the program: change the commands, then run `make docs`. -->

`bulkpull COMMAND --help` shows the same in the terminal.

"""


def settings_table() -> str:
    """Every setting with its default and meaning."""
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        value = str(field.default).lower() if isinstance(field.default, bool) else field.default
        rows.append(f"| `{name}` | {'none' if value in (None, ()) else f'`{value}`'} | {field.description} |")
    return "\n".join(rows)


def settings_page() -> str:
    """The page of the settings."""
    return f"{SETTINGS_HEAD}{settings_table()}\n{STATUSES}"


def commands_page() -> str:
    """The page of the commands, with every option."""
    return COMMANDS_HEAD + "\n".join(_section(words, command) for words, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that is shown, by its words, groups left out."""
    yield from _walk("bulkpull", typer.main.get_command(app))


def _walk(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name in sorted(command.commands):
        if not command.commands[name].hidden:
            yield from _walk(f"{words} {name}", command.commands[name])


def _section(words: str, command: Any) -> str:
    shown = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    arguments = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name == "option"]
    usage = " ".join([words, *map(_usage, arguments), *(["[OPTIONS]"] if options else [])])
    lines = [f"## {words}", "", f"`{usage}`", "", _plain(command.help or ""), ""]
    if options:
        lines += ["| option | meaning |", "| --- | --- |"]
        lines += [f"| {_names(one)} | {_cell(one.help or '')} |" for one in options]
        lines.append("")
    return "\n".join(lines)


def _names(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return names if option.is_flag or option.count else f"{names} `{_metavar(option)}`"


def _metavar(parameter: Any) -> str:
    """What stands for a value: the name that the command gives it, or the parameter's own."""
    return str(parameter.metavar or parameter.name.upper()).replace("|", "\\|")


def _usage(argument: Any) -> str:
    name = _metavar(argument) + (" ..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _plain(text: str) -> str:
    """Help for people without the marks that only a terminal knows."""
    paragraphs = re.split(r"\n\s*\n", text.replace("\b", "").replace("\f", "").strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).replace("<", "&lt;")


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|").replace("\n\n", " ")


PAGES = {"settings.md": settings_page, "commands.md": commands_page}


def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
