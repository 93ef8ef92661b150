"""Imports point one way: the table below is the architecture, and this keeps it true."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "bulkpull"
GROUND = {
    "_version", "allowed_values", "arguments", "catalog", "child_process", "clock", "config", "custom_query",
    "window_bounds", "errors", "event_types", "events", "foreign_text", "formatting", "account", "metric_selection",
    "model",
    "platforms", "python_wording", "query", "question", "redact", "secret_sources", "suggestions", "timespans",
    "url_safety",
}  # fmt: skip
FILES_AND_NET = GROUND | {"transport", "output", "conversion"}
MAY_IMPORT = {
    "ground": GROUND,
    "transport": GROUND | {"transport"},
    "conversion": GROUND | {"conversion"},
    "output": GROUND | {"conversion", "output"},
    "auth": GROUND | {"transport", "output", "auth"},
    "insights": GROUND | {"transport", "auth", "insights"},
    "transfer": GROUND | {"transport", "output", "transfer"},
    "observability": GROUND | {"transport", "output", "observability"},
    "pipeline": FILES_AND_NET | {"auth", "insights", "transfer", "observability", "pipeline"},
    "checks": GROUND | {"transport", "output", "auth", "insights", "checks"},
    "api_runs": GROUND | {"output", "auth", "insights", "pipeline"},
    "read_output": GROUND | {"output", "pipeline"},  # of the pipeline only how names are checked
    "sql": GROUND | {"output", "read_output"},
    "api": GROUND | {"auth", "output", "insights", "pipeline"},  # for types only: it loads the three above when called
    "sync": {"api"},
    "simulator": {"simulator"},  # a shared helper would hide a shared mistake
}
PURE = (
    *(file.relative_to(PACKAGE).as_posix() for file in sorted((PACKAGE / "query").glob("*.py"))),
    "insights/responses.py",
    "transport/json_fields.py",
    "transport/proxy_errors.py",
    "insights/report_orders.py",
    "insights/lost_creation.py",
    "pipeline/nightly/decision_rules.py",
    "pipeline/outcome.py",
    "pipeline/plan.py",
    "pipeline/plan_names.py",
    "pipeline/publication/publish_checks.py",
    "pipeline/publication/snapshot_facts.py",
    "window_bounds.py",
    "metric_selection.py",
    "secret_sources.py",
    "timespans.py",
    "output/views.py",
    "pipeline/steps/report_quota.py",
    "pipeline/steps/poll_rules.py",
)
NO_INPUT_OR_OUTPUT = {"aiohttp", "socket", "os", "sqlite3", "transport"}


def imported_names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def part_of(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "ground" if first in GROUND else first


FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if part_of(file) in MAY_IMPORT]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_part_imports_only_what_stands_below_it(file: Path) -> None:
    ours = {name.split(".")[1] for name in imported_names(file) if name.startswith("bulkpull.")}

    assert ours <= MAY_IMPORT[part_of(file)]


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_cannot_reach_the_world(name: str) -> None:
    imported = {other for other in imported_names(PACKAGE / name) if other != "bulkpull.transport.json_fields"}
    reached = {part for other in imported for part in other.split(".")[:2]}

    assert not reached & NO_INPUT_OR_OUTPUT


@pytest.mark.parametrize("file", [f for f in sorted(PACKAGE.rglob("*.py")) if "simulator" not in f.parts])
def test_only_http_and_its_errors_know_the_http_library(file: Path) -> None:
    if "aiohttp" in set(imported_names(file)):
        assert file.relative_to(PACKAGE).as_posix() in ("transport/http.py", "transport/http_errors.py")


LAYOUT = PACKAGE / "output" / "layout.py"
OF_THE_OUTPUT = {
    ".bulkpull",
    "current.json",
    "views.sql",
    "run=",
    "latest",
    "ledger.sqlite",
    "log.jsonl",
    "writer.json",
}
"""Names in the output folder, none of which is an ordinary word of the program."""


def path_literals(file: Path) -> set[str]:
    """The names of the output folder that a module spells in a string of code; docstrings and messages are no paths."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    written = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    joined = {
        side.value
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        for side in (node.left, node.right)
        if isinstance(side, ast.Constant) and isinstance(side.value, str)
    }
    parts = {"datasets", "raw", "runs", "staging", "retired", "manifest.json", "report.html", "account.json"}
    return (written & OF_THE_OUTPUT) | (joined & parts)


OURS = [file for file in sorted(PACKAGE.rglob("*.py")) if "simulator" not in file.parts and file != LAYOUT]


@pytest.mark.parametrize("file", OURS, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_layout_spells_a_path_of_the_output(file: Path) -> None:
    assert path_literals(file) == set()


def test_the_layout_is_where_these_paths_are_spelled() -> None:
    assert path_literals(LAYOUT) >= {"current.json", "run=", "latest", "ledger.sqlite"}


WORKS_ON_PATHS = {
    "checks/output_folder.py": "the folder itself is what is checked",
    "cli/notify.py": "a made-up manifest in a temporary folder",
    "cli/run_bundle.py": "the run's log",
    "cli/runs.py": "the run's log",
    "observability/recorder.py": "the run's log and page, for messages",
    "observability/run_log.py": "the run's log, which is appended to",
    "output/lock.py": "the private folder",
    "output/run_history.py": "the ledger",
    "output/store.py": "it is the door",
    "output/workspace.py": "staging",
    "pipeline/context.py": "the private folder",
    "pipeline/earlier_work.py": "staging",
    "pipeline/plan_estimate.py": "the ledger",
    "pipeline/run.py": "the ledger",
    "pipeline/run_cleanup.py": "staging",
    "pipeline/run_plan.py": "the ledger",
}
"""What makes a path of the output, and of which part of it; everything else has the store's names."""


def test_what_readers_see_of_the_output_is_reached_by_the_store_alone() -> None:
    makers = {
        file.relative_to(PACKAGE).as_posix()
        for file in OURS
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Layout"
    }

    assert makers == set(WORKS_ON_PATHS)
