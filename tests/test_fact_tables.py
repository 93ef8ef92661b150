"""A fact that several modules need stands in one table; CONTRIBUTING.md says where each is, and these hold it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from typing import get_args, get_type_hints

import pytest
from source_code import ROOT, nodes, sources, text_of

from bulkpull.auth.grants import DEVICE_CODE, REFUSED
from bulkpull.auth.grants import Grant as TokenGrant
from bulkpull.catalog import load_catalog
from bulkpull.cli import options
from bulkpull.cli.sql import sql
from bulkpull.config.settings import NEEDED_SETTINGS, Grant, Settings
from bulkpull.config.template import set_lines
from bulkpull.conversion import parquet_types
from bulkpull.conversion.type_inference import NARROW_BY_NAME
from bulkpull.errors import Step
from bulkpull.observability import pull_states, timings
from bulkpull.output.manifest import DatasetRecord, Seconds, Totals
from bulkpull.sql import FORMATS

PACKAGE = ROOT / "bulkpull"
OURS = [path for path in sources("bulkpull") if "simulator" not in path.parts]


def modules_with(pattern: str) -> set[str]:
    """The modules of ours whose source holds the pattern."""
    return {path.relative_to(PACKAGE).as_posix() for path in OURS if re.search(pattern, text_of(path))}


def words_in(node: ast.AST) -> Iterator[str]:
    """The strings that stand directly in a dict (as keys), tuple, list, set or `Literal`."""
    parts: list[ast.expr | None] = []
    if isinstance(node, ast.Dict):
        parts = list(node.keys)
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        parts = list(node.elts)
    yield from (part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


def modules_that_list(*words: str) -> set[str]:
    """The modules of ours in which one collection spells all these words."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in OURS
        for node in nodes(path, holding=re.escape(words[0]))
        if set(words) <= set(words_in(node))
    }


def test_the_guide_names_an_existing_table_for_each_fact() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## One table per fact")[1].split("## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| `(bulkpull/[\w/.]+)`: ([^|]+) \|$", guide, re.MULTILINE)

    assert len(rows) == 9
    for _, path, names in rows:
        source = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`([\w.]+)`", names):
            assert re.search(rf"\b{name.split('.')[-1]}\b", source), (path, name)


def test_suggestions_are_made_and_worded_in_one_module() -> None:
    assert modules_with(r"\bdifflib\b") == {"suggestions.py"}
    assert modules_with(r"did you mean") == {"suggestions.py"}


def test_grants_are_those_of_the_setting() -> None:
    assert {*TokenGrant, "azure"} == set(get_args(Grant)) == set(NEEDED_SETTINGS)
    assert set(REFUSED) == {*TokenGrant, DEVICE_CODE}
    assert modules_that_list("password", "client_credentials") == {"config/settings.py"}


def test_formats_of_reports_are_listed_in_one_module() -> None:
    assert modules_that_list("csv", "tsv") == {"model.py"}
    assert modules_that_list("GET", "POST") == {"model.py"}


def test_the_command_sql_offers_the_formats_that_are_written() -> None:
    asked = get_args(get_args(get_type_hints(sql, include_extras=True)["answer_format"])[0])

    assert asked == ("table", *FORMATS)


@pytest.mark.behaviour(61)
def test_the_names_of_time_spans_are_spelled_in_one_module_and_in_the_catalog() -> None:
    spelled = {
        path.relative_to(PACKAGE).as_posix()
        for path in OURS
        for node in nodes(path, holding="LAST_|LIFETIME")
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"LAST_\w+|LIFETIME", node.value)
    }

    assert spelled == {"timespans.py"}


def test_texts_name_the_default_time_span_of_the_catalog() -> None:
    default = load_catalog().default_timespan
    [option] = [found for found in get_args(options.Timespan) if hasattr(found, "help")]

    assert default in (Settings.model_fields["timespan"].description or "")
    assert default in option.help
    assert any(f"the widest up to {default}" in line for line in set_lines({"timespan": "LAST_MONTH"}))


def test_each_step_of_a_pull_has_a_state_a_phase_and_its_seconds() -> None:
    states = pull_states.STATE_AT_FIRST
    steps = [step for step in Step if step is not Step.PLAN]

    assert list(states) == steps
    assert set(timings.PHASES) == set(pull_states.PullState)
    assert len(Seconds.model_fields) == len(steps) - 1  # the publication is timed for all windows together


def test_rows_and_bytes_of_several_datasets_are_added_up_in_one_place() -> None:
    records = [DatasetRecord(dataset=name, status="complete", rows=2, downloaded_bytes=3) for name in ("A", "B")]

    assert Totals.of(records) == Totals(rows=4, downloaded_bytes=6, stored_bytes=0)
    assert modules_with(r"sum\(\s*record\.(rows|\w+_bytes)") == {"output/manifest.py"}


@pytest.mark.parametrize(
    ("name", "canonical"), [(" azureusage ", "AzureUsage"), ("AzureUsage", "AzureUsage"), (" Own query ", "Own query")]
)
def test_a_dataset_has_one_canonical_name(name: str, canonical: str) -> None:
    catalog = load_catalog()

    assert catalog.canonical(name) == canonical
    assert catalog.is_same(name, canonical.upper())
    assert not catalog.is_same(name, "Profile")


ASK_THE_CATALOG_THEMSELVES = {
    "catalog.py": "it holds the table",
    "pipeline/plan_names.py": "an unknown name is an error there, and a listed one keeps its blanks",
}


def test_only_what_treats_unknown_names_in_its_own_way_looks_a_name_up_itself() -> None:
    assert modules_with(r"\w+\.name if known else") == set(ASK_THE_CATALOG_THEMSELVES)


def test_notes_of_a_run_are_gathered_for_terminal_and_page_by_one_function() -> None:
    users = {"cli/summary.py", "observability/html_report.py", "observability/run_summary.py"}

    assert modules_with(r"\brun_notes\(") == users
    assert modules_with(r"manifest\.notes") & {"cli/summary.py", "observability/html_report.py"} == set()


def test_every_type_that_widens_is_one_that_is_written() -> None:
    assert set(chain(*parquet_types._WIDENING)) <= set(NARROW_BY_NAME)
    assert modules_with(r"max\(\w+, key=\w+\.index\)") == {"conversion/parquet_types.py"}
