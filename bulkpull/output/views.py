"""SQL views of all published datasets, in DuckDB's dialect: the clean-up writes them without DuckDB (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from bulkpull.conversion.output_formats import format_of
from bulkpull.output.current import CurrentSnapshot
from bulkpull.output.layout import VIEWS

MARK = "-- Written by bulkpull with every snapshot that becomes current; changes to it are lost."
_PATTERN = re.compile(r"[*?\[]")


def views_of(
    published: Mapping[str, CurrentSnapshot], *, place: Callable[[str], str] = str, temporary: bool = False
) -> list[str]:
    """
    One `CREATE VIEW` statement a dataset, in the order of their names; none for a format that DuckDB does not read.

    `place` gives the path that DuckDB is to open, for a path relative to the output folder.
    """
    kind = "CREATE OR REPLACE TEMPORARY VIEW" if temporary else "CREATE OR REPLACE VIEW"
    return [
        f"{kind} {_quoted(name)} AS SELECT * FROM {_read([place(file) for file in published[name].files])};"  # noqa: S608 - both are quoted
        for name in sorted(published, key=str.casefold)
        if published[name].files and format_of(published[name].files[0]).sql_reader
    ]


def script_of(published: Mapping[str, CurrentSnapshot]) -> str:
    """The text of `views.sql`: paths are relative to the output folder, in which DuckDB has to be started."""
    how = f"-- Start DuckDB in this folder: duckdb -init {VIEWS}"
    return "\n".join((MARK, how, *views_of(published))) + "\n"


def _read(paths: Sequence[str]) -> str:
    listed = ", ".join(f"'{_literal(path)}'" for path in paths)
    # Without the options `run=…` in a path would become a column.
    return f"{format_of(paths[0]).sql_reader}([{listed}], hive_partitioning = false)"


def _literal(path: str) -> str:
    """A path as DuckDB reads it within quotes: no character of it is a pattern."""
    return _PATTERN.sub(lambda found: f"[{found[0]}]", path).replace("'", "''")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
