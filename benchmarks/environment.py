"""The peers' own environment, and what a result says of the machine and of versions."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import ssl
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.measure import lines_of
from benchmarks.result import Machine

ROOT = Path(__file__).parents[1]
BUILD = ROOT / ".build" / "benchmarks"
"""Where large files and outcomes lie."""

_PEERS = ROOT / ".build" / "peers"
_REQUIREMENTS = Path(__file__).parent / "peers" / "requirements.txt"
_MEASURED = (
    "bulkpull/**/*.py",
    "benchmarks/ours_*.py",
    "benchmarks/peers/*",
    "benchmarks/scenarios/*.py",
    "benchmarks/service.py",
    "benchmarks/storage_host.py",
    "benchmarks/reports.py",
    "benchmarks/columns.py",
)
_KB = 1024


@cache
def peers_python() -> str | None:
    """
    The interpreter of the environment with all peers that pip can install, made when it is first asked for.

    Returns:
        `None` when they cannot be installed; why is on standard error.
    """
    python, stamp = _PEERS / "bin" / "python", _PEERS / "installed.txt"
    wanted = _REQUIREMENTS.read_text("utf-8")
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        print("installing the peers, which takes some minutes the first time …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", _PEERS], check=True)
        words: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            _REQUIREMENTS,
        ]
        if subprocess.run(words, check=False, stdout=sys.stderr).returncode:
            print("the peers could not be installed: those that need them are skipped", file=sys.stderr)
            return None
        stamp.write_text(wanted, "utf-8")
    return str(python)


@cache
def peer_versions() -> dict[str, str]:
    """Versions of what the peers' environment holds, by package."""
    python = peers_python()
    if python is None:
        return {}
    reported = subprocess.run(
        [python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {item["name"].lower(): item["version"] for item in json.loads(reported.stdout)}


def tool_path(tool: str) -> str | None:
    """A program of the peers' environment, which is the newer one, or on the path; `None` when it is in neither."""
    return shutil.which(tool, path=str(_PEERS / "bin")) or shutil.which(tool)


@cache
def tool_version(tool: str) -> str | None:
    """The version of a program, as it tells it; `None` when it is not there."""
    path = tool_path(tool)
    if path is None:
        return None
    reported = subprocess.run([path, "--version"], check=False, capture_output=True, text=True).stdout
    words = reported.split("\n", 1)[0].split()
    return next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()), "")


def own_versions() -> dict[str, str]:
    """Of what ours is made of."""
    names = ("bulkpull", "aiohttp", "polars", "isal")
    return {
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION.split()[1],
        **{name: importlib.metadata.version(name) for name in names},
    }


def machine() -> Machine:
    """This one."""
    memory = next((int(line.split()[1]) for line in lines_of(Path("/proc/meminfo")) if line.startswith("MemTotal")), 0)
    model = next(
        (line.partition(":")[2].strip() for line in lines_of(Path("/proc/cpuinfo")) if line.startswith("model name")),
        platform.processor(),
    )
    return Machine(
        processors=os.cpu_count() or 1,
        model=model,
        memory_bytes=memory * _KB,
        system=f"{platform.system()} {platform.release().split('-')[0]}",
    )


@cache
def code_digest() -> str:
    """Of the program and of everything that does the measured work: two that are equal measured the same code."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _MEASURED for path in ROOT.glob(pattern) if path.is_file()):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def commit() -> str:
    """The commit that was measured; `-dirty` where what does the measured work differs from it, results aside."""
    patterns = [f":(glob){pattern}" for pattern in _MEASURED]
    name, changes = _git("rev-parse", "--short", "HEAD"), _git("status", "--porcelain", "--", *patterns)
    return f"{name}-dirty" if changes else name


def _git(*words: str) -> str:
    reported = subprocess.run(["git", *words], cwd=ROOT, check=False, capture_output=True, text=True)
    return reported.stdout.strip()
