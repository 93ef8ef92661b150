"""Messages fit the terminal, and a command in them can be copied."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bulkpull.cli.wrapping import INDENT, wrap_lines, wrap_message

COMMAND = "`bulkpull runs publish 20261123T020000Z-0a1b2c AzureUsage`"


def test_a_message_is_broken_between_words_and_indented_below_its_first_word() -> None:
    text = (
        f"the report has no rows, and the current snapshot has 12,000; if no rows are correct, {COMMAND} publishes it"
    )

    lines = wrap_lines(text, width=80).split("\n")

    assert len(lines) > 1
    assert INDENT + len(lines[0]) <= 80
    assert all(len(line) <= 80 and line.startswith(" " * INDENT) for line in lines[1:])
    assert any(COMMAND in line for line in lines)


def test_a_command_that_is_wider_than_the_terminal_stays_in_one_piece() -> None:
    assert COMMAND in wrap_lines(f"now {COMMAND}", width=40)


@given(st.lists(st.text("ab`é", min_size=1, max_size=50), min_size=1), st.integers(1, 200))
def test_no_word_is_lost_or_split(words: list[str], width: int) -> None:
    text = " ".join(words)

    assert wrap_lines(text, width=width).split() == text.split()


def test_what_is_piped_stays_one_line_a_sentence() -> None:
    assert wrap_message("word " * 100) == "word " * 100
