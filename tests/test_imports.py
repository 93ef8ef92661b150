"""Imports point one way: the table below is the architecture, and this keeps it true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from source_code import imports, nodes, sources, text_of

PACKAGE = Path(__file__).parent.parent / "bulkpull"
GROUND = {
    "_version", "allowed_values", "arguments", "catalog", "child_process", "clock", "config", "custom_query",
    "window_bounds", "errors", "event_types", "events", "extras", "untrusted_text", "formatting", "account",
    "metric_selection", "model",
    "platforms", "api_wording", "query", "redact", "requested_data", "suggestions", "timespans",
    "url_safety", "wrong_settings",
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
    "insights/definitions.py",
    "pipeline/nightly/decision_rules.py",
    "pipeline/outcome.py",
    "pipeline/plan.py",
    "pipeline/plan_names.py",
    "pipeline/publication/publish_checks.py",
    "pipeline/publication/snapshot_facts.py",
    "window_bounds.py",
    "wrong_settings.py",
    "metric_selection.py",
    "timespans.py",
    "output/views.py",
    "pipeline/steps/report_limits.py",
    "pipeline/steps/poll_rules.py",
)
NO_INPUT_OR_OUTPUT = {"aiohttp", "socket", "os", "sqlite3", "transport"}


def part_of(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "ground" if first in GROUND else first


def parts_imported(file: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(file) if name.startswith("bulkpull.")}


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_what_stands_below_it(part: str) -> None:
    files = [file for file in sources("bulkpull") if part_of(file) == part]
    beyond = {file.relative_to(PACKAGE).as_posix(): parts_imported(file) - MAY_IMPORT[part] for file in files}

    assert files
    assert {name: parts for name, parts in beyond.items() if parts} == {}


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_cannot_reach_the_world(name: str) -> None:
    imported = {other for other in imports(PACKAGE / name) if other != "bulkpull.transport.json_fields"}
    reached = {part for other in imported for part in other.split(".")[:2]}

    assert not reached & NO_INPUT_OR_OUTPUT


def test_only_http_and_its_errors_know_the_http_library() -> None:
    files = [file for file in sources("bulkpull") if "simulator" not in file.parts]
    knowing = [PACKAGE / "transport" / "http.py", PACKAGE / "transport" / "http_errors.py"]

    assert [file for file in files if "aiohttp" in imports(file)] == knowing


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
PARTS = {"datasets", "raw", "runs", "staging", "retired", "manifest.json", "report.html", "account.json"}
"""Names in the output folder that are ordinary words, unless they are joined to a path."""


def path_literals(file: Path) -> set[str]:
    """The names of the output folder that a module spells in a string of code; docstrings and messages are no paths."""
    written, joined = set[str](), set[str]()
    for node in nodes(file, holding="|".join(map(re.escape, sorted(OF_THE_OUTPUT | PARTS)))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            written.add(node.value)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            sides = [side.value for side in (node.left, node.right) if isinstance(side, ast.Constant)]
            joined |= {side for side in sides if isinstance(side, str)}
    return (written & OF_THE_OUTPUT) | (joined & PARTS)


OURS = [file for file in sources("bulkpull") if "simulator" not in file.parts and file != LAYOUT]


def test_only_the_layout_spells_a_path_of_the_output() -> None:
    spelled = {file.relative_to(PACKAGE).as_posix(): path_literals(file) for file in OURS}

    assert {name: literals for name, literals in spelled.items() if literals} == {}


def test_the_layout_is_where_these_paths_are_spelled() -> None:
    assert path_literals(LAYOUT) >= {"current.json", "run=", "latest", "ledger.sqlite"}


WORKS_ON_PATHS = {
    "checks/output_folder.py": "it checks the folder itself: rights, links, disk space, lock and ledger",
    "observability/run_log.py": "the run's log, which is appended to",
    "output/lock.py": "unfinished files of a killed run, which have no names of the store",
    "output/run_history.py": "the ledger, a database that needs a local file",
    "output/store.py": "it is what every other module goes through",
    "output/workspace.py": "staging: files that grow until they are published",
    "pipeline/run.py": "the ledger, opened for the run",
    "pipeline/run_plan.py": "the ledger, read for a plan",
}
"""What makes a path of the output, and of which part of it; everything else has the store's names."""


def test_what_readers_see_of_the_output_is_reached_by_the_store_alone() -> None:
    makers = {
        file.relative_to(PACKAGE).as_posix()
        for file in OURS
        for node in nodes(file, holding=r"\bLayout\b")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Layout"
    }

    assert makers == set(WORKS_ON_PATHS)


def test_no_other_module_knows_what_kind_of_place_an_output_is() -> None:
    knowing = {file.relative_to(PACKAGE).as_posix() for file in OURS if "LocalStore" in text_of(file)}

    assert knowing == {"output/store.py"}
