"""The two consoles: one for data on standard output, one for everything else on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, OverflowMethod, RenderableType
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from bulkpull.cli.error_output import wrapped, write_json_line
from bulkpull.cli.options import CommonOptions
from bulkpull.cli.stdio import print_data
from bulkpull.redact import printable
from bulkpull.untrusted_text import visible

# In a pipe a table is not cut to a terminal's width: one row, one line.
PIPED_WIDTH = 100_000
LONGEST_QUERY = 100_000
DATASET_WIDTH = 31
_LEAST_LETTERS = 8


class PlainConsole(Console):
    """A console on which foreign text cannot act: control characters and marks of writing direction are spelled out."""

    def render_str(self, text: str, **options: Any) -> Text:
        """As the base class, for text that was made visible; the width of a table's column is measured by it."""
        return super().render_str(visible(text, lines=True), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As the base class; a `Text` is made visible as well, if need be at the price of its inner styles."""
        if isinstance(renderable, Text) and (shown := visible(renderable.plain, lines=True)) != renderable.plain:
            renderable = Text(shown, renderable.style, no_wrap=renderable.no_wrap, overflow=renderable.overflow)
        return super().render(renderable, options)


def error_console() -> Console:
    """For people, on standard error; colours only on a terminal."""
    return PlainConsole(stderr=True, highlight=False, emoji=False, markup=False)


def data_console() -> Console:
    """For tables, on standard output; in a pipe, as wide as they need."""
    piped = not sys.stdout.isatty() and not os.environ.get("COLUMNS")
    return PlainConsole(highlight=False, emoji=False, markup=False, width=PIPED_WIDTH if piped else None)


def print_message(sentence: str) -> None:
    """Write a sentence for people to standard error, unbroken."""
    error_console().print(sentence, soft_wrap=True)


def print_note(sentence: str, common: CommonOptions) -> None:
    """Write a note to standard error, as a line or as a JSON log object."""
    if common.logs_json:
        write_json_line("note", level="warning", message=sentence)
    else:
        print_line("note:  ", printable(sentence), style="yellow")


def print_line(word: str, text: str, *, style: str, console: Console | None = None) -> None:
    """Write one line of a message to standard error or `console`; on a terminal it is wrapped at its width."""
    console = console or error_console()
    line = wrapped(f"{word}{visible(text)}", console.width if console.is_terminal else None)
    console.print(Text.assemble((word, style), line[len(word) :]), soft_wrap=True)


def new_table(
    columns: Iterable[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    right: Collection[str] = (),
    fold: Collection[str] = (),
) -> Table:
    """A table without lines; the columns in `fold` may be broken into lines, and the others are kept whole."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        justify: JustifyMethod = "right" if name in right else "left"
        overflow: OverflowMethod = "fold" if name in fold else "ellipsis"
        table.add_column(name, justify=justify, no_wrap=name not in fold, overflow=overflow)
    for row in rows:
        table.add_row(*row)
    return table


def print_table(table: Table, console: Console | None = None) -> None:
    """Write a table to standard output, without the blanks that fill its rows up."""
    console = console or data_console()
    # A cut id is useless: the table is at least as wide as its columns that must not be wrapped.
    console.width = max(console.width, sum(map(_least_width, table.columns)))
    with console.capture() as captured:
        console.print(table)
    print_data("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _least_width(column: Column) -> int:
    """How wide a column and its gap have to be: one that may be wrapped gets a few letters."""
    if not column.no_wrap:
        return _LEAST_LETTERS + 2
    longest = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
    return min(longest, column.width or column.max_width or longest) + 2


def print_grid(*facts: tuple[str, str | None], text: str | None = None) -> None:
    """Write the known facts of one object, one per line, and a query's text unbroken, so that it can be copied."""
    grid = Table.grid(padding=(0, 2))
    for word, value in facts:
        if value:
            grid.add_row(word, Text(printable(value), overflow="fold"))
    print_table(grid)
    if text:
        print_data(f"\n{printable(text, most=LONGEST_QUERY)}")
