"""The command as it was given, and the commands that follow from it; they can be pasted."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bulkpull import platforms


@dataclass(frozen=True, slots=True)
class Invocation:
    """The command as it was given, as far as the next one needs it: `options` define the request (time, metrics)."""

    output: Path
    config: Path | None = None
    demo: bool = False
    command: str = "export"
    options: tuple[str, ...] = ()

    def export(self, names: Sequence[str] = ()) -> str:
        return self._command_line(self.command, *names, *self.options, demo=self.demo)

    def resume(self, run_id: str) -> str:
        return self._command_line("runs", "resume", run_id)

    def _command_line(self, *words: str, demo: bool = False) -> str:
        ending = (*(["--demo"] if demo else []), *(["--config", str(self.config)] if self.config is not None else []))
        line = (invocation_path("bulkpull"), *words, "--output", str(self.output), *ending)
        return platforms.current().join_command(line)

    def read(self, dataset: str) -> str:
        # JSON's strings are Python's as well, and their double quotes need no quoting within the shell's single ones.
        where, what = json.dumps(str(self.output)), json.dumps(dataset)
        program = f"import bulkpull; print(bulkpull.scan({where}, {what}).head().collect())"
        return platforms.current().join_command([invocation_path("python"), "-c", program])


def option_words(**values: str | None) -> tuple[str, ...]:
    """Options as words of a command line, such as `--since`, `2026-01-31`; what has no value is left out."""
    return tuple(word for name, value in values.items() if value for word in (f"--{name}", value))


def invocation_path(program: str) -> str:
    """How to call a program of this installation from here: by name where the PATH leads to it, else by its path."""
    ours = Path(sys.executable).with_name(program + platforms.current().program_suffix)
    found = shutil.which(program)
    if found is not None and Path(found).absolute() == ours:
        return program
    return str(ours.relative_to(Path.cwd()) if ours.is_relative_to(Path.cwd()) else ours)
