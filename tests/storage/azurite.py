"""
Azurite, the emulator of Azure Blob Storage that its makers publish: a storage host that none of us wrote.

    python -m pytest tests/storage

installs it once per checkout below `.build/azurite` (npm, about 200 MB, nothing global, nothing in git), starts one
per test process on a free port of loopback, and ends it with the session. Without Node and npm, or without a registry
to install from, the tests that need it are skipped with the reason; with `CI=true` and Node at hand a failed
installation fails them instead. The rest of the folder, which asks the simulator alone, needs neither.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

import npm
import pytest
from storage.blob_account import BlobAccount

# 3.35 is the last line that runs on Node 20; 3.37 asks for 22.
VERSIONS = "~3.35.0"
FOLDER = npm.BUILD / "azurite"
INSTALL_S = npm.INSTALL_S
_START_S = 30.0
_END_S = 10.0
_MAIN = Path("node_modules/azurite/dist/src/blob/main.js")


def installed(folder: Path = FOLDER, *, environment: Mapping[str, str] = os.environ) -> tuple[str, Path]:
    """Node, and Azurite's script for it to run; installs Azurite below `folder` unless it is there."""
    node = npm.installed(
        [f"azurite@{VERSIONS}"],
        into=folder,
        main=_MAIN,
        name="Azurite",
        environment=environment,
        within_s=INSTALL_S,
    )
    return node, folder / _MAIN


@contextmanager
def running(node: str, main: Path, *, workdir: Path) -> Iterator[BlobAccount]:
    """An Azurite of its own, with everything in memory and one empty container; ended with the block."""
    options = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence", "--disableTelemetry", "--silent"]
    process = subprocess.Popen(  # noqa: S603 - what npm installed
        [node, str(main), *options], cwd=workdir, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    reported: deque[str] = deque(maxlen=20)
    decided = Event()  # it listens, or it has ended
    listener = Thread(target=partial(_listen, process, reported, decided), daemon=True)
    listener.start()
    try:
        decided.wait(_START_S)
        found = re.search(r"listens on http://127\.0\.0\.1:(\d+)", "".join(reported))
        if found is None:
            pytest.fail("Azurite did not start:\n" + "".join(reported), pytrace=False)
        account = BlobAccount(f"http://127.0.0.1:{found[1]}")
        account.make_container()
        yield account
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        listener.join(_END_S)
        assert process.stdout
        process.stdout.close()


def _listen(process: subprocess.Popen[str], reported: deque[str], decided: Event) -> None:
    """Read what it says to the end: a full pipe would stop it."""
    assert process.stdout
    for line in process.stdout:
        reported.append(line)
        if "successfully listens" in line:
            decided.set()
    decided.set()
