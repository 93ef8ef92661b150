"""File systems that lack something: folder sync, shared maps, links. Real programs under a small preloaded library."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from warm_programs import warm

from bulkpull.errors import LedgerError
from bulkpull.output import ledger_db
from bulkpull.output.atomic_files import has_links, link_or_copy, replace_symlink, sync_folder

COMPILER = shutil.which("cc")
needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or COMPILER is None, reason="the preloaded library is built by a C compiler on Linux"
)
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuses(const char *what) { return getenv(what) != NULL; }

static void *map(const char *name, void *at, size_t size, int rights, int flags, int file, off_t from) {
    if (file >= 0 && (flags & MAP_SHARED) && refuses("NO_SHARED_MAPS")) { errno = ENODEV; return MAP_FAILED; }
    void *(*plain)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, name);
    return plain(at, size, rights, flags, file, from);
}
void *mmap(void *at, size_t size, int rights, int flags, int file, off_t from) {
    return map("mmap", at, size, rights, flags, file, from);
}
void *mmap64(void *at, size_t size, int rights, int flags, int file, off_t from) {
    return map("mmap64", at, size, rights, flags, file, from);
}
int symlink(const char *target, const char *path) {
    if (refuses("NO_LINKS")) { errno = EPERM; return -1; }
    int (*plain)(const char *, const char *) = dlsym(RTLD_NEXT, "symlink");
    return plain(target, path);
}
int fsync(int file) {
    struct stat status;
    int is_folder = fstat(file, &status) == 0 && S_ISDIR(status.st_mode);
    if (is_folder && refuses("NO_FOLDER_SYNC")) { errno = EINVAL; return -1; }
    int (*plain)(int) = dlsym(RTLD_NEXT, "fsync");
    return plain(file);
}
"""


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment in which the library is loaded; it looks at each call for the variable of what is refused."""
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    assert COMPILER
    command = [COMPILER, "-shared", "-fPIC", "-o", str(folder / "shim.so"), str(folder / "shim.c"), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own source
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BULKPULL_")}
    environment = kept | {"LD_PRELOAD": str(folder / "shim.so")}
    with warm(environment):
        yield environment


@needs_compiler
@pytest.mark.case("C6", "C7", "C8")
@pytest.mark.parametrize("lacks", ["NO_LINKS", "NO_FOLDER_SYNC", "NO_SHARED_MAPS"])
def test_an_export_twice_over_on_a_file_system_that_lacks_something_is_complete(
    tmp_path: Path, preloaded: dict[str, str], lacks: str
) -> None:
    environment = preloaded | {lacks: "1"}
    command = [sys.executable, "-m", "bulkpull", "export", "Profile", "--demo", "--output", str(tmp_path / "out")]

    def export() -> str:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
        assert done.returncode == 0, done.stderr
        return done.stderr + done.stdout

    export()
    reported = export()

    assert (tmp_path / "out" / "current.json").is_file()
    assert (tmp_path / "out" / "latest").exists() == (lacks != "NO_LINKS")
    if lacks == "NO_LINKS":
        assert "no links" in reported
    if lacks == "NO_SHARED_MAPS":
        header = (tmp_path / "out" / ".bulkpull" / "ledger.sqlite").read_bytes()[:20]
        assert header[18:20] == b"\x01\x01"  # a rollback journal; 2 stands for the write-ahead journal


class _Stubborn:
    """A connection whose write-ahead journal cannot be used: SQLite says so with a code of its own."""

    def __init__(self, database: sqlite3.Connection, code: int) -> None:
        self._database, self._code = database, code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if "WAL" in statement:
            refused = sqlite3.OperationalError("locking protocol")
            refused.sqlite_errorcode = self._code
            raise refused
        return self._database.execute(statement, *values)


@pytest.mark.case("C8")
@pytest.mark.parametrize("code", [sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_IOERR_SHMMAP, sqlite3.SQLITE_IOERR_SHMLOCK])
def test_where_the_write_ahead_journal_cannot_be_used_the_ledger_takes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **options: _Stubborn(connect(*given, **options), code))

    database, set_aside = ledger_db.open_to_write(tmp_path / "ledger.sqlite", stamp="now")

    assert set_aside is None
    assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    database.close()


@pytest.mark.case("C8")
def test_a_file_system_that_lets_no_journal_be_used_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        refused = sqlite3.OperationalError("locking protocol")
        refused.sqlite_errorcode = sqlite3.SQLITE_PROTOCOL
        raise refused

    monkeypatch.setattr(ledger_db, "_open_checked", refuse)

    with pytest.raises(LedgerError, match="file system") as reported:
        ledger_db.open_to_write(tmp_path / "ledger.sqlite", stamp="now")
    assert "damage" not in reported.value.reason


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.case("C36")
@pytest.mark.parametrize(("files", "code"), [(16, 1), (31, 1), (32, 0), (64, 0)])
def test_few_open_files_are_enough_or_one_sentence_before_anything_begins(
    tmp_path: Path, files: int, code: int
) -> None:
    command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", sys.executable, "-m", "bulkpull"]
    command += ["export", "Profile", "--demo", "--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program

    assert done.returncode == code, done.stderr
    if code:
        assert f"may open {files} files at once" in done.stderr
        assert not (tmp_path / "out").exists()


@pytest.mark.case("C7")
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF])
def test_a_folder_sync_that_is_not_implemented_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", _refusing(number))
    sync_folder(tmp_path)


@pytest.mark.case("C7")
def test_a_folder_sync_that_the_device_fails_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", _refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        sync_folder(tmp_path)


@pytest.mark.case("C6")
def test_links_are_replaced_copied_or_told_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").write_text("content")
    assert has_links(tmp_path)

    monkeypatch.setattr(os, "symlink", _refusing(errno.EPERM))
    monkeypatch.setattr(os, "link", _refusing(errno.EPERM))

    assert not has_links(tmp_path)
    assert not replace_symlink(tmp_path / "latest", "source")
    link_or_copy(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_text() == "content"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def _refusing(number: int) -> object:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def _environment(**changes: str | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BULKPULL_")}
    return {name: value for name, value in (kept | changes).items() if value is not None}


def _program(*arguments: str, folder: Path, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """The program with a changed environment; `None` takes a variable away."""
    command = [sys.executable, "-m", "bulkpull", *arguments]
    changed = _environment(**environment)
    return subprocess.run(  # noqa: S603 - our own program
        command, cwd=folder, env=changed, capture_output=True, text=True, errors="backslashreplace", check=False
    )


@pytest.mark.skipif(sys.platform == "win32", reason="user ids of POSIX")
@pytest.mark.case("C33")
def test_a_user_without_entry_and_without_home_can_export_and_is_told_what_needs_a_home(tmp_path: Path) -> None:
    (tmp_path / "start").mkdir()
    # What the system says of a user id that no entry is for, as in a container started with `--user 12345`.
    (tmp_path / "start" / "sitecustomize.py").write_text(
        "import pwd\ndef nobody(uid):\n    raise KeyError(f'getpwuid(): uid not found: {uid}')\npwd.getpwuid = nobody\n"
    )
    path = os.pathsep.join((str(tmp_path / "start"), *filter(None, [os.environ.get("PYTHONPATH"), *sys.path[:1]])))
    nameless: dict[str, str | None] = {"HOME": None, "USER": None, "LOGNAME": None, "PYTHONPATH": path}

    with warm(_environment(**nameless)):
        export = _program("export", "Profile", "--demo", "--output", "out", folder=tmp_path, **nameless)
        tilde = _program("export", "Profile", "--demo", "--output", "~/out", folder=tmp_path, **nameless)
        check = _program("auth", "check", "--demo", folder=tmp_path, **nameless)

    assert export.returncode == 0, export.stderr
    assert (tmp_path / "out" / "current.json").is_file()
    assert tilde.returncode == 2
    assert "knows no home folder" in tilde.stderr
    assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="locales of Linux")
@pytest.mark.case("C34")
@pytest.mark.parametrize(("variables", "code"), [({}, 0), ({"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, 2)])
def test_a_path_beyond_ascii_in_a_c_locale_is_written_or_refused_before_anything_begins(
    tmp_path: Path, variables: dict[str, str], code: int
) -> None:
    c_locale = {"LC_ALL": "C", "LANG": None, "LC_CTYPE": None}
    done = _program("export", "Profile", "--demo", "--output", "dépôt", folder=tmp_path, **c_locale, **variables)

    assert done.returncode == code, done.stderr
    assert (tmp_path / "dépôt" / "current.json").is_file() == (code == 0)
    if code:
        assert "LC_ALL=C.UTF-8" in done.stderr
        assert list(tmp_path.iterdir()) == []
