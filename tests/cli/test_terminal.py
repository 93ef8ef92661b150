"""The export as a terminal shows it: the program under a pseudo terminal, its output drawn by a virtual console."""

from __future__ import annotations

import json
import os
import pty
import re
from dataclasses import dataclass, field
from pathlib import Path

import pyte
import pytest
from command_line import OFFERED, QUICK, Serve, small, start_program

from bulkpull.simulator import Simulator

WIDTH, HEIGHT = 80, 24


@dataclass
class Seen:
    """What a person saw: every state of the screen, and what was sent; and what another standard output got."""

    code: int = -1
    out: str = ""
    screens: list[str] = field(default_factory=list)
    sent: str = ""

    @property
    def last(self) -> str:
        return self.screens[-1]


def watch(simulator: Simulator, folder: Path, *arguments: str, piped_output: bool = False, **environment: str) -> Seen:
    """Export under a terminal of 80 × 24, with `piped_output` with standard output in a file."""
    ours, theirs = pty.openpty()
    given = simulator.environment | QUICK | {"COLUMNS": str(WIDTH), "LINES": str(HEIGHT), "TERM": "xterm-256color"}
    output = (folder / "stdout").open("w+")
    process = start_program(
        "export",
        *arguments,
        environment=given | environment,
        folder=folder,
        stdin=theirs,
        stdout=output if piped_output else theirs,
        stderr=theirs,
    )
    os.close(theirs)
    screen = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.ByteStream(screen)
    seen = Seen()
    try:
        while chunk := os.read(ours, 65536):
            stream.feed(chunk)
            seen.sent += chunk.decode(errors="replace")
            seen.screens.append("\n".join(line.rstrip() for line in screen.display))
    except OSError:  # how a terminal says on Linux that the other side is gone
        pass
    os.close(ours)
    seen.code = process.wait()
    with output:
        output.seek(0)
        seen.out = output.read()
    return seen


@pytest.fixture
def simulator(serve: Serve) -> Simulator:
    return serve(small(latency_s=(0.5, 1.5)))


def test_a_terminal_shows_a_line_a_dataset_and_in_the_end_the_summary_alone(
    simulator: Simulator, tmp_path: Path
) -> None:
    seen = watch(simulator, tmp_path, "--output", "data")

    assert seen.code == 0
    live = [screen for screen in seen.screens if re.search(r"\d of \d+ done", screen)]
    assert any(all(name in screen for name in OFFERED) for screen in live)
    assert any(re.search(r"(waiting|running) ", screen) for screen in live)
    assert " left" not in "".join(live)  # nothing was exported before, so nothing is foretold
    assert not re.search(r"\d of \d+ done", seen.last)
    assert "20 datasets" in seen.last
    assert "\x1b[?25h" in seen.sent.rpartition("\x1b[?25l")[2]  # the cursor is there again


def test_the_second_export_foretells_its_end(simulator: Simulator, tmp_path: Path) -> None:
    watch(simulator, tmp_path, "Profile", "--output", "data", "--quiet")
    seen = watch(simulator, tmp_path, "Profile", "--output", "data", BULKPULL_POLL_INITIAL_SECONDS="1")

    reported = "\n".join(seen.screens)
    assert "of ~0:0" in reported
    assert re.search(r"~0:0\d left|longer than usual", reported)


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_dumb_terminal_gets_log_lines(simulator: Simulator, tmp_path: Path, kind: str) -> None:
    seen = watch(simulator, tmp_path, "Profile", "--output", "data", TERM=kind)

    assert seen.code == 0
    assert "\x1b" not in seen.sent
    assert "pull.finished" in seen.sent


def test_without_colours_the_display_moves_but_sends_no_colour(simulator: Simulator, tmp_path: Path) -> None:
    seen = watch(simulator, tmp_path, "Profile", "--output", "data", NO_COLOR="1")

    assert any("of 1 done" in screen for screen in seen.screens)
    assert not re.search(r"\x1b\[(?:\d+;)*(?:3\d|4\d|9\d)(?:;\d+)*m", seen.sent)


@pytest.mark.parametrize("names", [("Profile", "OfficeUsage"), ("Profile", "NoSuch")])
def test_json_beside_a_live_display_is_one_document_on_standard_output(
    simulator: Simulator, tmp_path: Path, names: tuple[str, ...]
) -> None:
    seen = watch(simulator, tmp_path, *names, "--output", "data", "--json", piped_output=True)

    document = json.loads(seen.out)
    if "NoSuch" in names:
        assert (seen.code, document["exit"]) == (2, 2)
    else:
        assert seen.code == 0
        assert [record["dataset"] for record in document["datasets"]] == list(names)
        assert any("of 2 done" in screen for screen in seen.screens)
    assert '"version"' not in seen.sent


def test_json_on_the_terminal_of_the_display_comes_after_it_and_is_whole(simulator: Simulator, tmp_path: Path) -> None:
    seen = watch(simulator, tmp_path, "Profile", "--output", "data", "--json")

    assert seen.code == 0
    before, _, rest = seen.sent.partition("{\r\n")
    document, end = json.JSONDecoder().raw_decode("{" + rest)
    assert document["status"] == "complete"
    assert "of 1 done" in before
    assert "of 1 done" not in rest
    assert "\x1b[?25h" in before  # the display had given the terminal back
    assert '"version"' not in before + ("{" + rest)[end:]
