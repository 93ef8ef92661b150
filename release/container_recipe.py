"""Reads `config/Containerfile` and `.dockerignore`: stages, instructions, and which files a build gets (pure)."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class Stage:
    """The instructions that follow a `FROM`, in their order, each as its word and its text."""

    base: str
    name: str | None
    steps: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """
    Stages in their order.

    Attributes:
        arguments: Defaults of the arguments that stand before the first stage.
    """

    arguments: dict[str, str] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()

    @property
    def command(self) -> list[str]:
        """What the container starts: `ENTRYPOINT` and `CMD` of the last stage."""
        steps = dict(self.stages[-1].steps)
        return [*json.loads(steps["ENTRYPOINT"]), *json.loads(steps["CMD"])]

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the last stage."""
        words = [word for name, text in self.stages[-1].steps if name == "ENV" for word in shlex.split(text)]
        return dict(word.split("=", 1) for word in words)


def read_recipe(text: str) -> Recipe:
    """Read a Containerfile. Raises `ValueError` for an instruction before the first stage other than `ARG`."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base, name or None))
        elif stages:
            stages[-1] = Stage(stages[-1].base, stages[-1].name, (*stages[-1].steps, (word, rest.strip())))
        elif word == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        else:
            raise ValueError(f"{word} stands before the first FROM")
    return Recipe(arguments, tuple(stages))


def is_in_context(path: str, ignore: Sequence[str]) -> bool:
    """Whether a build gets this file; the last pattern that fits it, or a folder above it, decides."""
    names = [str(item) for item in (PurePosixPath(path), *PurePosixPath(path).parents) if str(item) != "."]
    included = True
    for line in ignore:
        pattern = line.removeprefix("!")
        if any(_fits(name, pattern) for name in names):
            included = line.startswith("!")
    return included


def read_ignore(text: str) -> list[str]:
    """The patterns of an ignore file."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _fits(name: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(PurePosixPath(name).name, pattern.removeprefix("**/"))
    return "/" not in name and fnmatch(name, pattern) if "/" not in pattern else fnmatch(name, pattern)
