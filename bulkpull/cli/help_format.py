"""Help in sections: commands by what a person wants, options by what they concern; plain text, quick to load."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

# In the order in which they are shown. A command that stands nowhere here is shown last, under `_OTHERS`.
COMMANDS = {
    "Export": ("export", "nightly", "datasets", "preview"),
    "Look back": ("runs", "status", "sql"),
    "Set up and check": ("init", "auth", "doctor", "notify", "simulate"),
    "On the service": ("queries", "reports", "executions"),
}
_OTHERS = "Others"
_OPTIONS = "Options"


class SectionedGroup(TyperGroup):
    """A group whose help shows its commands in sections."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, section by section."""
        width = max(len(name) for name in self.commands)
        for title, names in sections_of(self.list_commands(ctx)):
            commands = [(name, self.commands[name]) for name in names if not self.commands[name].hidden]
            limit = formatter.width - width - 4
            rows = [(name.ljust(width), command.get_short_help_str(limit)) for name, command in commands]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class SectionedCommand(TyperCommand):
    """A command whose help shows its options by panel: those without one first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, panel by panel."""
        panels: dict[str, list[tuple[str, str]]] = {_OPTIONS: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panels.setdefault(getattr(parameter, "rich_help_panel", None) or _OPTIONS, []).append(record)
        for title, rows in panels.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def sections_of(names: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Commands by section, in the order of the table (pure)."""
    there = list(names)
    found = [(title, [name for name in wanted if name in there]) for title, wanted in COMMANDS.items()]
    placed = {name for _, wanted in found for name in wanted}
    return [*found, (_OTHERS, [name for name in there if name not in placed])]


def with_sections(app: typer.Typer) -> typer.Typer:
    """Give every command of `app`, also those of its groups, help in sections."""
    for command in app.registered_commands:
        command.cls = SectionedCommand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            with_sections(group.typer_instance)
    return app
