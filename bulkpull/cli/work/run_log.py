"""A run's own log, as it was written: JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

from bulkpull.cli.stdio import print_data, print_json
from bulkpull.config.settings import Settings
from bulkpull.errors import SettingsError
from bulkpull.foreign_text import escaped_json
from bulkpull.observability.run_log import log_of
from bulkpull.output.atomic_files import to_disk_error
from bulkpull.output.past import known_runs
from bulkpull.output.run_history import resolve_run_id


def show_log(run: str | None, *, output: Path | None, config: Path | None, as_json: bool) -> None:
    """
    Print the log of the newest run, or of the one whose id begins with `run`; with `as_json` as one object.

    Raises:
        SettingsError: A setting is wrong, there is no such run, or it left no log.
        DiskTrouble: The log cannot be read.
    """
    folder = Settings.load(config, output=output).output
    run_id = resolve_run_id(run, known=known_runs(folder), output=folder)
    path = log_of(folder, run_id)
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            if not as_json:
                for line in lines:
                    print_data(escaped_json(line))
                return
            entries = [_entry(line) for line in lines]
    except FileNotFoundError:
        raise SettingsError(
            f"run {run_id} has no log in {folder}",
            why="it was made by an older bulkpull, or its log was removed",
            fix=f"see what is known of it: bulkpull runs show {run_id}",
        ) from None
    except OSError as trouble:
        raise to_disk_error(trouble, path) from trouble
    print_json({"version": 1, "run_id": run_id, "log": [entry for entry in entries if entry is not None]})


def _entry(line: str) -> object | None:
    try:
        return json.loads(line) or None
    except ValueError:
        return None  # cut short by a kill
