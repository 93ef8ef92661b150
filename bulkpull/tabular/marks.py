"""A block of CSV → the positions that give it its shape: separators, line ends, quotes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

QUOTE, LF, CR = 0x22, 0x0A, 0x0D

Positions = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Marks:
    """
    What gives a block its shape.

    Attributes:
        at: Positions of separators and line ends outside quotes.
        is_line_end: Which of them end a row.
        quotes: Positions of all quotes; by turns they open and close, a doubled one closes and opens.
    """

    at: Positions
    is_line_end: Flags
    quotes: Positions

    @property
    def open_quote(self) -> bool:
        """Whether the block ends inside quotes."""
        return self.quotes.size % 2 == 1

    @property
    def end_of_last_row(self) -> int:
        """Bytes up to and with the last line end outside quotes; 0 when there is none."""
        for index in range(self.at.size - 1, -1, -1):  # fewer steps than a row has fields
            if self.is_line_end[index]:
                return int(self.at[index]) + 1
        return 0

    def start_of_row(self, index: int) -> int:
        """Where the row of that index, from 0, begins."""
        return int(self.at[np.flatnonzero(self.is_line_end)[index - 1]]) + 1 if index else 0

    def fields_of_row(self, index: int) -> int:
        """How many fields the row of that index has."""
        ends = np.flatnonzero(self.is_line_end)
        return int(ends[index] - (ends[index - 1] if index else -1))

    def up_to(self, cut: int) -> Marks:
        """The marks of the first `cut` bytes."""
        known, quoted = int(np.searchsorted(self.at, cut)), int(np.searchsorted(self.quotes, cut))
        return Marks(self.at[:known], self.is_line_end[:known], self.quotes[:quoted])


def find_marks(block: bytes, *, separator: int) -> Marks:
    """Find quotes, separators and line ends; those inside quotes are left out."""
    data = np.frombuffer(block, np.uint8)
    found = data == LF
    found |= data == separator
    at = np.flatnonzero(found)
    quotes = np.flatnonzero(data == QUOTE) if b'"' in block else at[:0]
    # What lies between an opening quote and the next one is content. Most quotes have no marks between them, so to
    # ask each pair is cheaper than to carry a state from mark to mark.
    places = np.searchsorted(at, quotes)
    first, end = places[0::2], places[1::2]
    if quotes.size % 2:
        end = np.append(end, at.size)
    inside = end - first
    if inside.any():
        before = np.cumsum(inside) - inside
        at = np.delete(at, np.repeat(first - before, inside) + np.arange(inside.sum()))
    return Marks(at, data[at] == LF, quotes)
