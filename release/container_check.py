"""
Builds the container image and runs the demo in it, with a read-only root and without capabilities.

Where no container tool works, the steps of `config/Containerfile` are carried out one by one below a temporary folder
with this Python. Users, mounts and the read-only root are not tried then; that nothing is written outside of /data,
/tokens and /tmp is.

    python release/container_check.py
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from container_recipe import Recipe, Stage, is_in_context, read_ignore, read_recipe

ROOT = Path(__file__).resolve().parents[1]
CONTAINERFILE = ROOT / "config" / "Containerfile"
DEMO = ["export", "Profile", "--demo", "--quiet"]


def main() -> int:
    """Build and run; returns the exit status."""
    for tool in ("podman", "docker"):
        if shutil.which(tool) and subprocess.run([tool, "info"], capture_output=True, check=False).returncode == 0:
            build_and_run(tool)
            print(f"the image was built and run by {tool}")
            return 0
    with tempfile.TemporaryDirectory(prefix="bulkpull-container-") as folder:
        carry_out(read_recipe(CONTAINERFILE.read_text(encoding="utf-8")), Path(folder))
    print("no container tool works here: the steps of the image were carried out in a folder")
    return 0


def build_and_run(tool: str) -> None:
    """Build the image, and export the demo in a container that may write to its volumes only."""
    tag = "bulkpull:release-check"
    base = [f"--build-arg=BASE={os.environ['BASE']}"] if os.environ.get("BASE") else []
    _run([tool, "build", *base, "--tag", tag, "--file", str(CONTAINERFILE), str(ROOT)])
    limits = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]  # noqa: S108 - within the container
    _run([tool, "run", "--rm", *limits, tag, *DEMO])


def carry_out(recipe: Recipe, folder: Path) -> None:
    """Carry out the steps with every absolute path of the recipe moved below `folder`, then run the demo."""
    for stage in recipe.stages:
        build_stage(stage, folder)
    try_demo(recipe, folder)


def build_stage(stage: Stage, folder: Path) -> None:
    """Carry out the instructions of one stage."""
    place = folder
    for word, text in stage.steps:
        if word == "WORKDIR":
            place = folder / text.lstrip("/")
            place.mkdir(parents=True, exist_ok=True)
        elif word == "COPY" and not text.startswith("--from"):
            *sources, target = text.split()
            for source in sources:
                copy_context(source, place / target)
        elif word == "RUN" and "useradd" not in text:  # users are made in the image only
            _run(["sh", "-e", "-c", move_paths(text, folder)], cwd=place)


def try_demo(recipe: Recipe, folder: Path) -> None:
    """Run the demo as the container would, and see what it wrote where."""
    for name in ("data", "tokens", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    before = fingerprints(folder / "opt")
    environment = {name: move_paths(value, folder) for name, value in recipe.environment.items()}
    environment |= {"HOME": str(folder / "tmp"), "TMPDIR": str(folder / "tmp")}
    _run([*recipe.command[:1], *DEMO], cwd=folder, environment=environment)
    if not list((folder / "data" / "latest" / "Profile").glob("*.parquet")):
        raise SystemExit("the demo left no data in /data")
    if fingerprints(folder / "opt") != before:
        raise SystemExit("the demo wrote into the program's folder, which is read-only in a container")
    if unwanted := {path.name for path in folder.iterdir()} - {"data", "tokens", "tmp", "opt", "src"}:
        raise SystemExit(f"the demo wrote to {sorted(unwanted)}")


def move_paths(text: str, folder: Path) -> str:
    """`text` with the recipe's own folders below `folder`."""
    for name in ("/opt/", "/src", "/data", "/tokens", "/run/secrets/"):
        text = text.replace(name, f"{folder}{name}")
    return text


def copy_context(source: str, target: Path) -> None:
    """Copy a file or folder of the repository as far as the ignore file lets a build see it."""
    ignore = read_ignore((ROOT / ".dockerignore").read_text(encoding="utf-8"))
    path = ROOT / source
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    seen = [file for file in files if is_in_context(file.relative_to(ROOT).as_posix(), ignore)]
    if not seen:
        raise SystemExit(f"{source} is not in the build's context")
    for file in seen:
        into = target / file.relative_to(path) if path.is_dir() else target / file.name if target.is_dir() else target
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, into)


def fingerprints(folder: Path) -> dict[str, str]:
    """The hash of every file."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _run(words: list[str], *, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> None:
    program = shutil.which(words[0], path=(environment or os.environ).get("PATH"))
    done = subprocess.run(
        words, executable=program, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(
            f"{shlex.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )


if __name__ == "__main__":
    sys.exit(main())
