"""
Checks that a release can be made from this checkout: `make release-check`.

Builds the source archive and the wheel, checks their metadata and contents, and installs the wheel in a clean
environment of every Python on this machine. From each one the demo is exported and verified. Nothing is uploaded.

    python release/release_check.py [--into DIR] [--python PATH ...] [--skip-container]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from email.parser import HeaderParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATASETS = ("Profile", "AzureUsage")
MINORS = (11, 12, 13, 14)
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', flags=re.MULTILINE)
# What a user needs besides the modules, and what nobody needs.
NEEDED = ("bulkpull/catalog.json", "bulkpull/py.typed", "bulkpull/cli/__init__.py")
UNWANTED = re.compile(
    r"(^|/)(tests|benchmarks|release|\.git|\.venv|\.build|bulkpull-data|bulkpull-demo)/|\.toml\.local$"
)


class CheckFailed(Exception):
    """The release cannot be made; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks; returns the exit status."""
    parser = argparse.ArgumentParser(description="Check that a release can be made from this checkout.")
    parser.add_argument("--into", type=Path, default=ROOT / ".build" / "release", help="folder for the archives")
    parser.add_argument("--python", action="append", help="interpreter to test with; default: every one that is found")
    parser.add_argument("--skip-container", action="store_true", help="leave the container recipe out")
    options = parser.parse_args(arguments)
    try:
        version = read_version((ROOT / "bulkpull" / "_version.py").read_text(encoding="utf-8"))
        check_changelog((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version=version)
        check_tag(tags_of_head(), version=version)
        wheel = build(options.into, version=version)
        for python in options.python or find_pythons():
            try_wheel(wheel, python=python, version=version, sbom=options.into / f"bulkpull-{version}.cdx.json")
        if not options.skip_container:
            run([sys.executable, str(ROOT / "release" / "container_check.py")])
    except (CheckFailed, subprocess.CalledProcessError) as failed:
        print(f"release-check failed: {failed}", file=sys.stderr)
        return 1
    print(f"release-check passed: {options.into}")
    return 0


def read_version(text: str) -> str:
    """The version in the one place that states it. Raises `CheckFailed`."""
    found = _VERSION.search(text)
    if found is None:
        raise CheckFailed("bulkpull/_version.py states no version")
    return found[1]


def check_changelog(text: str, *, version: str) -> None:
    """The changelog has a dated section for this version. Raises `CheckFailed`."""
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d{{2}}-\d{{2}}\)$", text, flags=re.MULTILINE):
        raise CheckFailed(f"CHANGELOG.md has no section `## {version} (YYYY-MM-DD)`")


def check_tag(tags: Sequence[str], *, version: str) -> None:
    """A tag on this commit names this version; no tag is fine. Raises `CheckFailed`."""
    wrong = [tag for tag in tags if tag.startswith("v") and tag != f"v{version}"]
    if wrong:
        raise CheckFailed(f"the tag {wrong[0]} does not belong to version {version}")


def tags_of_head() -> list[str]:
    """The tags of the commit that is checked out; none outside of a repository."""
    asked = subprocess.run(["git", "tag", "--points-at", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.split()


def build(into: Path, *, version: str) -> Path:
    """Build and check both archives; returns the wheel."""
    shutil.rmtree(into, ignore_errors=True)
    run([sys.executable, "-m", "build", "--outdir", str(into), str(ROOT)])
    wheel, source = into / f"bulkpull-{version}-py3-none-any.whl", into / f"bulkpull-{version}.tar.gz"
    run([sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(source)])
    with zipfile.ZipFile(wheel) as archive:
        check_contents(archive.namelist(), needed=NEEDED)
        check_metadata(archive.read(f"bulkpull-{version}.dist-info/METADATA").decode("utf-8"), version=version)
    with tarfile.open(source) as packed:
        names = [name.partition("/")[2] for name in packed.getnames()]
        if missing := {*NEEDED, "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} - set(names):
            raise CheckFailed(f"the source archive lacks {', '.join(sorted(missing))}")
    return wheel


def check_contents(names: Sequence[str], *, needed: Sequence[str]) -> None:
    """The wheel has what is needed and nothing else. Raises `CheckFailed`."""
    if missing := set(needed) - set(names):
        raise CheckFailed(f"the wheel lacks {', '.join(sorted(missing))}")
    if unwanted := [name for name in names if UNWANTED.search(name)]:
        raise CheckFailed(f"the wheel holds {unwanted[0]}")


def check_metadata(text: str, *, version: str) -> None:
    """What the index shows is there. Raises `CheckFailed`."""
    metadata = HeaderParser().parsestr(text)
    wanted = {"Name": "bulkpull", "Version": version, "Requires-Python": ">=3.11", "License-Expression": "MIT"}
    for name, value in wanted.items():
        if metadata[name] != value:
            raise CheckFailed(f"the metadata's {name} is {metadata[name]}, not {value}")
    if not metadata["Summary"] or not metadata.get_payload():
        raise CheckFailed("the metadata has no summary, or no description")


def find_pythons() -> Iterator[str]:
    """One interpreter of each version that this machine has, this one first."""
    seen = {sys.version_info[:2]}
    yield sys.executable
    for minor in MINORS:
        candidates = [
            shutil.which(f"python3.{minor}"),
            *map(str, Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")),
        ]
        for python in filter(None, candidates):
            if (3, minor) not in seen and _works(python, minor=minor):
                seen.add((3, minor))
                yield python


def _works(python: str, *, minor: int) -> bool:
    """Whether it starts: a name on the PATH may be a shim for a version that is not installed."""
    program = f"import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, {minor}))"
    return subprocess.run([python, "-c", program], capture_output=True, check=False).returncode == 0


def try_wheel(wheel: Path, *, python: str, version: str, sbom: Path) -> None:
    """Install the wheel in a clean environment of `python`, and run the demo from it."""
    with tempfile.TemporaryDirectory(prefix="bulkpull-release-") as folder:
        home = Path(folder)
        run([python, "-m", "venv", str(home / "venv")])
        programs = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
        run([str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)])
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BULKPULL_", "PYTHON"))}
        reported = run([str(programs / "bulkpull"), "--version"], cwd=home, environment=kept)
        if version not in reported:
            raise CheckFailed(f"the installed program calls itself {reported.strip()}, not {version}")
        words = ["export", *DATASETS, "--demo", "--output", "out", "--json", "--quiet"]
        manifest = json.loads(run([str(programs / "bulkpull"), *words], cwd=home, environment=kept))
        if manifest["status"] != "complete" or len(manifest["datasets"]) != len(DATASETS):
            raise CheckFailed(f"the demo's run is {manifest['status']}")
        run([str(programs / "bulkpull"), "runs", "verify", "--output", "out"], cwd=home, environment=kept)
        write_sbom(programs / "python", into=sbom)
        print(f"passed with {reported.strip()} on {python}")


def write_sbom(python: Path, *, into: Path) -> None:
    """List what an installation consists of, as CycloneDX, without the paths of this machine."""
    run([
        sys.executable, "-m", "cyclonedx_py", "environment", str(python), "--pyproject", str(ROOT / "pyproject.toml"),
        "--output-reproducible", "--of", "JSON", "--output-file", str(into),
    ])  # fmt: skip
    text = into.read_text(encoding="utf-8")
    described = json.loads(text)
    # An installation from a file names the file, which lies on this machine.
    for component in (*described["components"], described["metadata"]["component"]):
        component["externalReferences"] = [
            reference
            for reference in component.get("externalReferences", [])
            if not reference["url"].startswith("file:")
        ]
    names = {component["name"].lower() for component in described["components"]}
    if not {"aiohttp", "polars", "pydantic"} <= names:
        raise CheckFailed("the SBOM lacks dependencies")
    text = json.dumps(described, indent=2) + "\n"
    if str(Path.home()) in text or str(ROOT) in text or tempfile.gettempdir() in text:
        raise CheckFailed("the SBOM names a folder of this machine")
    into.write_text(text, encoding="utf-8")


def run(words: Sequence[str], *, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """Run a program; returns its standard output. Raises `CheckFailed` with what it said."""
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CheckFailed(
            f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
