"""
Writes the reference: `docs/settings.md` from the settings' model, `docs/commands.md` from the program itself, and
`docs/python-api.md` from the package's public names.

    python docs/reference_pages.py          write the pages
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import bulkpull
from bulkpull.cli import app
from bulkpull.config.settings import Settings
from bulkpull.config.template import meaning

FOLDER = Path(__file__).parent
MOST_COLUMNS = 110
_QUOTED = re.compile(r"""(?<=: )(?P<mark>['"])(.*?)(?P=mark)""")  # an annotation that is not evaluated
_LONG_NAMES = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Z])")  # the modules before the names of classes
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
| 0 | every requested dataset is complete, skipped (nothing is newer), or (if none was named) not offered to you |
| 1 | an unexpected fault; no partial data is visible to readers |
| 2 | wrong usage or settings; what was named does not exist |
| 3 | finished, but at least one dataset failed, or one that was named is not offered to you; the others are published |
| 4 | credentials are missing, refused, or lack the role |
| 5 | another run is writing to the same output folder |
| 130 | interrupted; `bulkpull runs resume`, or the same command again, carries on |

`--json` prints exactly one JSON object to standard output: of an export, the run's manifest. Progress and logs go to
standard error.
"""
PYTHON_HEAD = """\
# Python reference

<!-- Made by docs/reference_pages.py from the code: change the docstrings, then run `make docs`. -->

The guide is [From Python](python.md). This page has every public name of `bulkpull` with its signature and the first
sentence of its description; `help(bulkpull.export)` and the site show arguments, results and errors in full.
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
        rows.append(f"| `{name}` | {'none' if value in (None, ()) else f'`{value}`'} | {meaning(field)} |")
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
    # An argument is hidden from the list of options, because the text explains it; usage shows it all the same.
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [
        one for one in command.params if one.param_type_name == "option" and not one.hidden and one.name != "help"
    ]
    usage = " ".join([words, *(["[OPTIONS]"] if options else []), *map(_usage, arguments)])
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
    name = _metavar(argument).strip("[].") + (" ..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _plain(text: str) -> str:
    """Help for people without the marks that only a terminal knows."""
    paragraphs = re.split(r"\n\s*\n", text.replace("\b", "").replace("\f", "").strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).replace("<", "&lt;")


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|").replace("\n\n", " ")


def python_page() -> str:
    """The page of the Python API: every public name with its signature and the first sentence of its description."""
    named = {name: getattr(bulkpull, name) for name in sorted(bulkpull.__all__) if not name.startswith("_")}
    classes = {name: kind for name, kind in named.items() if inspect.isclass(kind)}
    errors = {name: kind for name, kind in classes.items() if issubclass(kind, bulkpull.BulkpullError)}
    lines = [PYTHON_HEAD, "## Functions", ""]
    for name, function in named.items():
        if inspect.isfunction(function):
            lines += [f"### {name}", "", f"```text\n{_signature(name, function)}\n```", "", _first_line(function), ""]
    plain = ", ".join(f"`{name}`" for name in bulkpull.sync.__all__)
    lines += ["## bulkpull.sync", "", f"The same without `await`, for scripts and notebooks: {plain}.", ""]
    lines += ["## Classes", "", "| name | what it is |", "| --- | --- |"]
    lines += [f"| `{name}` | {_first_line(kind)} |" for name, kind in classes.items() if name not in errors]
    lines += [
        f"| `{name}` | `{_LONG_NAMES.sub('', str(alias))}` |"
        for name, alias in named.items()
        if not (name in classes or inspect.isfunction(alias) or inspect.ismodule(alias))
    ]
    lines += ["", "### Methods of InsightsClient", "", "| method | what it does |", "| --- | --- |"]
    lines += [
        f"| `{name}` | {_first_line(method)} |"
        for name, method in inspect.getmembers(bulkpull.InsightsClient, inspect.isfunction)
        if not name.startswith("_")
    ]
    lines += ["", "## Errors", "", "| name | exit status | when |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {kind.exit_code} | {_first_line(kind)} |" for name, kind in errors.items()]
    return "\n".join([*lines, "", "## Everything in detail", "", "::: bulkpull", ""])


def _signature(name: str, function: Any) -> str:
    """How a function is called: in one line, or one line per argument."""
    signature = inspect.signature(function)
    begin = f"async def {name}" if inspect.iscoroutinefunction(function) else f"def {name}"
    result = f" -> {str(signature.return_annotation).strip(chr(39))}"
    if inspect.isasyncgenfunction(inspect.unwrap(function)):  # a block, not a loop
        begin, result = f"async with {name}", " as client"
    parameters = [_QUOTED.sub(r"\2", str(parameter)) for parameter in signature.parameters.values()]
    is_keyword = [kind.kind is inspect.Parameter.KEYWORD_ONLY for kind in signature.parameters.values()]
    if any(is_keyword):
        parameters.insert(is_keyword.index(True), "*")
    line = f"{begin}({', '.join(parameters)}){result}"
    if len(line) <= MOST_COLUMNS:
        return line
    return "\n".join([f"{begin}(", *(f"    {part}," for part in parameters), f"){result}"])


def _first_line(described: Any) -> str:
    """The first sentence or line of a description."""
    return _cell((inspect.getdoc(described) or "").partition("\n\n")[0])


PAGES = {"settings.md": settings_page, "commands.md": commands_page, "python-api.md": python_page}


def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
