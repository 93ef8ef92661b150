"""The two consoles: one for data on standard output, one for everything else on standard error."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.table import Table

from bulkpull.cli.streams import print_data

# A table that is piped onward is not cut to anybody's terminal: one row, one line.
PIPED_WIDTH = 100_000


def error_console() -> Console:
    """For people, on standard error; colours only on a terminal."""
    return Console(stderr=True, highlight=False, emoji=False, markup=False)


def data_console() -> Console:
    """For tables, on standard output; as wide as they need where it is no terminal."""
    piped = not sys.stdout.isatty() and not os.environ.get("COLUMNS")
    return Console(highlight=False, emoji=False, markup=False, width=PIPED_WIDTH if piped else None)


def print_table(table: Table, console: Console | None = None) -> None:
    """Write a table to standard output, without the blanks that fill its rows up."""
    console = console or data_console()
    with console.capture() as captured:
        console.print(table)
    print_data("\n".join(line.rstrip() for line in captured.get().splitlines()))
