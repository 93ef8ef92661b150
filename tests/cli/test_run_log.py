"""`runs show --log`: the run's own log, whole and unchanged."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import SMALL, Command, Serve

from bulkpull.output.layout import Layout


def test_it_prints_the_log_of_the_newest_run_line_by_line(command: Command, serve: Serve) -> None:
    serve(SMALL)
    run_id = command("export", "Profile", "--output", "data", "--json").json()["run_id"]
    outcome = command("runs", "show", "--log", "--output", "data")

    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == Layout(Path("data")).log(run_id).read_text(encoding="utf-8")
    assert "pull.finished" in {json.loads(line)["event"] for line in outcome.out.splitlines()}


def test_with_json_it_is_one_object_and_a_line_that_a_kill_cut_is_left_out(command: Command, serve: Serve) -> None:
    serve(SMALL)
    run_id = command("export", "Profile", "--output", "data", "--json").json()["run_id"]
    with Layout(Path("data")).log(run_id).open("a", encoding="utf-8") as file:
        file.write('{"timestamp":')
    reported = command("runs", "show", run_id, "--log", "--output", "data", "--json").json()

    assert reported["run_id"] == run_id
    assert (reported["log"][0]["event"], reported["log"][-1]["event"]) == ("run.started", "run.finished")


def test_a_run_without_a_log_is_told_with_the_next_command(command: Command, serve: Serve) -> None:
    serve(SMALL)
    run_id = command("export", "Profile", "--output", "data", "--json").json()["run_id"]
    Layout(Path("data")).log(run_id).unlink()
    outcome = command("runs", "show", "--log", "--output", "data")

    assert (outcome.code, outcome.out) == (2, "")
    assert f"bulkpull runs show {run_id}" in outcome.err
