"""No test reads or writes what the machine's owner keeps."""

from __future__ import annotations

import gc
import importlib
import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trustme
import warm_programs
from hypothesis import settings
from in_process import convert_in_threads

from bulkpull import redact

# No test may fail because the machine is busy. TRIALS=all gives every property Hypothesis's own number of examples.
settings.register_profile("few", deadline=None, max_examples=30)
settings.register_profile("all", deadline=None)
settings.load_profile("all" if os.environ.get("TRIALS") == "all" else "few")

# Tests, and programs that they start, are compiled once, also where the machine's owner wants no bytecode kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Programs that tests start inherit what is ignored here, as under `nohup`, but not that a function does nothing.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)

_ORDER = {"browser": 0, "storage": 1, "trials": 2}
# A folder in memory, where syncing costs nothing, and the room that the whole suite needs there (it fills 1.2 GB).
_MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - folders of our own are made in it
_ROOM_BYTES = 4 << 30
_numbers = itertools.count()
_own_folder: TemporaryDirectory[str] | None = None


def pytest_configure(config: pytest.Config) -> None:
    """
    Let this process and all that it starts trust one authority, which signs nothing, instead of the system's.

    Every run and every start of the program reads all of them, which takes longer than a small export.
    """
    global _own_folder  # noqa: PLW0603 - lives as long as the process
    if "PYTEST_XDIST_WORKER" not in os.environ:  # else the first process has done it for all
        in_memory = _memory_folder()
        _own_folder = TemporaryDirectory(prefix="bulkpull-tests-", dir=in_memory)
        trusted = Path(_own_folder.name)
        if in_memory is not None:
            _put_temporary_files(trusted / "tmp", tests=in_memory)
        (trusted / "authority.pem").write_bytes(trustme.CA().cert_pem.bytes())
        (trusted / "none").mkdir()
        os.environ |= {"SSL_CERT_FILE": str(trusted / "authority.pem"), "SSL_CERT_DIR": str(trusted / "none")}
    if os.environ.get("TRIALS") == "all":
        return
    _take_one_thread_for_tables()
    if sys.platform == "linux":
        starts = warm_programs.install(os.environ)
        config.add_cleanup(starts.close)


def _memory_folder() -> Path | None:
    """
    Where temporary files lie in memory; `None` where that is not to be: no such folder, too little room, or a choice.

    What a test shows about syncing and kills is the order of calls and what other processes see, which is the same
    there. The suite's long form, with its power cuts, works on the disk.
    """
    if os.environ.get("TRIALS") == "all" or {"TMPDIR", "PYTEST_DEBUG_TEMPROOT"} & os.environ.keys():
        return None
    if not (_MEMORY_FOLDER.is_dir() and os.access(_MEMORY_FOLDER, os.W_OK)):
        return None
    return _MEMORY_FOLDER if shutil.disk_usage(_MEMORY_FOLDER).free >= _ROOM_BYTES else None


def _put_temporary_files(folder: Path, *, tests: Path) -> None:
    """Let this process and all that it starts have temporary files in `folder`, and pytest its folders in `tests`."""
    folder.mkdir()
    os.environ |= {"TMPDIR": str(folder), "PYTEST_DEBUG_TEMPROOT": str(tests)}
    tempfile.tempdir = str(folder)


def _take_one_thread_for_tables() -> None:
    """Let polars have one thread in this process, and as ever in others: idle ones keep looking for work."""
    name = "POLARS_MAX_THREADS"
    if name not in os.environ:
        os.environ[name] = "1"
        importlib.import_module("polars").thread_pool_size()  # makes them
        del os.environ[name]


def pytest_xdist_auto_num_workers() -> int:
    """Half as many workers again as there are processors: many tests wait for a process that they started."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + (cores + 1) // 2


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, Any, Any]:
    """Look for no garbage among what collection makes: it stays to the end."""
    gc.disable()
    _import_a_part_first(session.config)
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _import_a_part_first(config: pytest.Config) -> None:
    """
    Let each worker import the tests from another place on, so that each file is compiled by one of them only.

    Compiling with pytest's assertions is most of the time of a first collection. What cannot be imported is reported by
    the collection itself.
    """
    worker = getattr(config, "workerinput", None)
    if worker is None or config.args != config.getini("testpaths"):
        return
    files = sorted(Path(__file__).parent.rglob("test_*.py"))
    first = len(files) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
    for file in files[first:] + files[:first]:
        if str(file.parent) not in sys.path:
            sys.path.insert(0, str(file.parent))
        with suppress(Exception, pytest.skip.Exception):
            importlib.import_module(file.stem)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests begin first that wait for other programs or take longest: no worker is left alone with one."""
    items.sort(key=lambda item: _ORDER.get(item.path.parent.name, len(_ORDER)))


@pytest.fixture(autouse=True)
def _surroundings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    What every test has, in one fixture, because each costs time in thousands of tests.

    A per-user folder, where the token cache lies unless another place is set; nobody made it yet. And exports of this
    process convert in a thread, unless the test is about the children (`child_processes`). Secrets of a test are
    forgotten after it: each text that is logged is compared with all of them.
    """
    home: Path = tmp_path_factory.getbasetemp() / f"user-{next(_numbers)}"
    with pytest.MonkeyPatch.context() as patched:
        for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
            patched.setenv(name, str(home))
        if not request.node.get_closest_marker("child_processes"):
            convert_in_threads(patched)
        known = list(redact._values)
        yield
        redact._values[:] = known
