"""SQL over an output folder: a DuckDB connection with a view per published dataset, and results as files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulkpull.errors import DiskTrouble, SettingsError
from bulkpull.extras import install_command
from bulkpull.output.run_history import no_export
from bulkpull.output.views import views_of
from bulkpull.read_output import check_folder, current_snapshots

if TYPE_CHECKING:
    import duckdb

FORMATS = {"csv": "csv, header true", "json": "json, array true", "parquet": "parquet"}
"""Formats of files, with DuckDB's options for them."""


def connect_sql(output: str | Path) -> duckdb.DuckDBPyConnection:
    """What `bulkpull.connect_sql` gives; arguments and errors as there."""
    try:
        import duckdb  # noqa: PLC0415 - an extra
    except ImportError:
        raise SettingsError(
            "SQL needs DuckDB", why="the library duckdb is not installed", fix=install_command("sql")
        ) from None
    folder = check_folder(output).absolute()
    published = current_snapshots(folder)
    if not published:
        raise no_export(folder)
    connection = duckdb.connect(
        config={
            # Nothing is fetched from anywhere: what reads Parquet and JSON is built in.
            "autoinstall_known_extensions": False,
            # The default is the present folder.
            "temp_directory": str(Path(tempfile.gettempdir()) / "bulkpull-sql"),
        }
    )
    for statement in views_of(published, place=lambda file: str(folder / file), temporary=True):
        connection.execute(statement)
    return connection


@dataclass(frozen=True, slots=True)
class SqlResult:
    columns: list[str]
    rows: list[tuple[Any, ...]]
    has_more: bool


def first_rows(connection: duckdb.DuckDBPyConnection, query: str, *, most: int) -> SqlResult:
    """The first rows of the answer to one query."""
    with _translated(connection):
        answer = connection.execute(_checked(connection, query))
        rows = answer.fetchmany(most + 1)
        return SqlResult([column[0] for column in answer.description or ()], rows[:most], len(rows) > most)


def write_answer(connection: duckdb.DuckDBPyConnection, query: str, *, path: Path, file_format: str) -> None:
    """Write the whole answer to one query as a file, which is replaced."""
    with _translated(connection):
        target = str(path).replace("'", "''")
        # A line of its own: the query may end in a comment.
        connection.execute(f"COPY (\n{_checked(connection, query)}\n) TO '{target}' (FORMAT {FORMATS[file_format]})")


def _checked(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """The query without the semicolon at its end."""
    import duckdb  # noqa: PLC0415 - an extra

    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise SettingsError(f"one query is taken, and {len(statements)} were given", fix="run them one by one")
    if statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI):
        raise SettingsError(
            f"this statement is not a query: {statements[0].type.name}",
            fix="give a query, such as SELECT; to change data, connect by bulkpull.connect_sql in Python",
        )
    text = query.encode()
    for start, kind in reversed(duckdb.tokenize(query)):
        if text[start : start + 1] == b";":
            text = text[:start]
        elif kind != duckdb.token_type.comment:
            break
    return text.decode()


@contextmanager
def _translated(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Turn DuckDB's exceptions into ours."""
    import duckdb  # noqa: PLC0415 - an extra

    try:
        yield
    except duckdb.IOException as error:
        raise DiskTrouble(
            "a file cannot be read or written",
            why=_first_line(error),
            fix="check the path; if an export has just replaced a snapshot, run the query again",
        ) from None
    except duckdb.Error as error:
        why, fix = _first_line(error), "correct the query; `bulkpull status` lists the datasets"
        if isinstance(error, duckdb.CatalogException):
            why = why.partition(" Did you mean")[0]  # it suggests tables of its own
            views = [str(name) for (name,) in connection.execute("SHOW TABLES").fetchall()]
            fix = f"correct the query; published in this folder: {', '.join(views)}"
        raise SettingsError("DuckDB refuses the query", why=why, fix=fix) from None


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split("\n\n")[0].split())
