"""The scenarios by name, each a module with one function `measure(options)`."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.result import Result
from benchmarks.scenarios import convert, download, export, many, nightly, start, years
from benchmarks.scenarios.common import Options

_MODULES = (export, start, nightly, years, many, download, convert)
SCENARIOS: dict[str, Callable[[Options], Result]] = {item.NAME: item.measure for item in _MODULES}
TITLES: dict[str, str] = {item.NAME: item.TITLE for item in _MODULES}
