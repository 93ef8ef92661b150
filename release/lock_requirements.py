"""
Writes `requirements/container.txt`: every package of the container image, with version and hashes.

    python release/lock_requirements.py          write the file
    python release/lock_requirements.py --check  end with 1 when the file does not fit pyproject.toml, or names a host
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "requirements" / "container.txt"
EXTRAS: tuple[str, ...] = ()
HEAD = """\
# Every package of the container image, for Linux and Python 3.11 to 3.14.
# Made by `python release/lock_requirements.py`: do not edit.
"""
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", flags=re.MULTILINE)


def main() -> int:
    """Write or check the file; returns the exit status."""
    if "--check" in sys.argv[1:]:
        faults = find_faults(TARGET.read_text(encoding="utf-8"), wanted_requirements())
        print("\n".join(faults), file=sys.stderr, end="\n" if faults else "")
        return 1 if faults else 0
    compiled = subprocess.run(
        [
            sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml",
            *(word for extra in EXTRAS for word in ("--extra", extra)),
            "--generate-hashes", "--universal", "--python-version", "3.11", "--no-header", "--no-annotate",
            "--no-emit-index-url", "--quiet",
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if compiled.returncode != 0:
        print(compiled.stderr, file=sys.stderr)
        return 1
    text = HEAD + compiled.stdout
    if faults := find_faults(text, wanted_requirements()):
        print("\n".join(faults), file=sys.stderr)
        return 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


def wanted_requirements() -> list[Requirement]:
    """What pyproject.toml asks for, the extras of the image included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *(text for extra in EXTRAS for text in project["optional-dependencies"][extra])]
    return [Requirement(text) for text in texts]


def find_faults(text: str, wanted: list[Requirement]) -> list[str]:
    """What is wrong with the file: a host, a missing package, a version that is not allowed, a missing hash (pure)."""
    faults = [f"it names a host: {line}" for line in text.splitlines() if "://" in line or "index-url" in line]
    pinned = {_canonical(name): version for name, version in _PINNED.findall(text)}
    for requirement in wanted:
        version = pinned.get(_canonical(requirement.name))
        if version is None:
            faults.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(version, prereleases=True):
            faults.append(f"{requirement.name} {version} does not fit {requirement.specifier}")
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    faults += [
        f"no hash: {entry.split()[0]}" for entry in entries if _PINNED.match(entry) and "--hash=sha256:" not in entry
    ]
    return faults


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
