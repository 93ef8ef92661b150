"""
The download, beside other ways to fetch a file, from a host of its own on loopback over TLS.

    unlimited    a host that gives what it can
    limited      4 MB/s a connection, as storage hosts limit each one
    flaky        4 MB/s, cut after every megabyte, and links that live one second
    killed       the same host, and the process is killed every two seconds: ours alone, and what it costs

All write to the same disk, and none waits for it. Python's own start is not counted for those written in Python: an
export starts once for all of its files. Needs curl and openssl; aria2c and rclone where they are installed.
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environment import BUILD, tool_path, tool_version
from benchmarks.measure import cost_of
from benchmarks.result import OURS, Case, Result, Run
from benchmarks.scenarios.common import Entry, Options, result_of, run_of, say, take_turns

NAME, TITLE = "download", "Download"
_MB = 1_000_000
_BLOCK_BYTES = 1 << 24
_RATE = 4 * _MB
_CUT_AFTER = 1 << 20
_LINK_S = 1.0
_KILL_EVERY_S = 2.0
_AS_CURL = ("aiohttp + aiofiles",)  # one connection, which is what the host limits
_MANY = 16  # what aria2c allows at the most
_MOST_TRIES = 2_000
_MOST_KILLS = 100
_HERE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Host:
    """
    A storage host that is running.

    Attributes:
        link_s: How long its links live; 0 for ever.
    """

    url: str
    source: Path
    ca_file: Path
    link_s: float = 0

    @property
    def link(self) -> str:
        """A fresh link."""
        return f"{self.url}?se={time.time() + self.link_s}" if self.link_s else self.url

    @property
    def sent_bytes(self) -> int:
        """What it has sent of the file so far."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(f"{self.url.rsplit('/', 1)[0]}/sent", context=context) as reply:  # noqa: S310 - ours
            return int(reply.read())


@contextmanager
def hosted(folder: Path, *, size_bytes: int, rate: float = 0, cut_after: int = 0, link_s: float = 0) -> Iterator[Host]:
    """A host with a file of random bytes, and a certificate for it."""
    source, key, certificate = folder / "source", folder / "key.pem", folder / "certificate.pem"
    with source.open("wb") as file:
        for at in range(0, size_bytes, _BLOCK_BYTES):
            file.write(os.urandom(min(_BLOCK_BYTES, size_bytes - at)))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.storage_host", source, "--certificate", certificate, "--key", key,
         "--rate", str(rate), "--cut-after", str(cut_after)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        port = int(server.stdout.readline())
        yield Host(f"https://localhost:{port}/report.csv", source, certificate, link_s)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def measure(options: Options) -> Result:
    """Measure all cases."""
    measures = (_unlimited, _limited, _flaky, _killed)
    BUILD.mkdir(parents=True, exist_ok=True)
    cases: list[Case] = []
    for item in measures:
        if options.wants_case(item.__name__.lstrip("_")):
            with tempfile.TemporaryDirectory(dir=BUILD) as folder:
                cases.append(item(Path(folder), options=options))
    return result_of(NAME, cases, options=options, versions={})


def _unlimited(folder: Path, *, options: Options) -> Case:
    size = options.of_size(smoke=4 * _MB, small=300 * _MB, full=1_500 * _MB)
    with hosted(folder, size_bytes=size) as host:
        contenders = take_turns(_all(host, folder, segments=4, options=options), options=options, case="unlimited")
    return Case(name="unlimited", title=f"{_described(size)} from a host that gives what it can", contenders=contenders,
                verified="the bytes", notes=[_LOOPBACK])  # fmt: skip


def _limited(folder: Path, *, options: Options) -> Case:
    size = options.of_size(smoke=4 * _MB, small=60 * _MB, full=60 * _MB)
    with hosted(folder, size_bytes=size, rate=_RATE) as host:
        entries = [item for item in _all(host, folder, segments=4, options=options) if item.name not in _AS_CURL]
        contenders = take_turns(entries, options=options.in_rounds(small=1), case="limited")
    return Case(name="limited", title=f"{_described(size)} from a host that gives 4 MB/s a connection",
                contenders=contenders, verified="the bytes")  # fmt: skip


def _flaky(folder: Path, *, options: Options) -> Case:
    size = options.of_size(smoke=3 * _MB, small=24 * _MB, full=60 * _MB)
    with hosted(folder, size_bytes=size, rate=_RATE, cut_after=_CUT_AFTER, link_s=_LINK_S) as host:
        contenders = take_turns(
            [_ours(host, folder), _curl(host, folder), _aria2c(host, folder, segments=4)],
            options=options.in_rounds(small=2), case="flaky",
        )  # fmt: skip
    return Case(
        name="flaky", title=f"{_described(size)} at 4 MB/s, cut after every megabyte, links that live one second",
        contenders=contenders, verified="the bytes",
        notes=[_RENEWED],
    )  # fmt: skip


def _killed(folder: Path, *, options: Options) -> Case:
    """Kill the process every two seconds until one of them gets to the end."""
    size, target, kills = options.of_size(smoke=8 * _MB, small=32 * _MB, full=60 * _MB), folder / "fetched", 0
    kill_after_s, sent_before = _KILL_EVERY_S, 0
    with hosted(folder, size_bytes=size, rate=_RATE, cut_after=_CUT_AFTER, link_s=_LINK_S) as host:
        target.mkdir()
        say("killed: bulkpull")
        began_s = time.perf_counter()
        while kills < _MOST_KILLS:
            with subprocess.Popen(_own_words(host, target), stdout=subprocess.DEVNULL) as process:
                try:
                    process.wait(kill_after_s)
                except subprocess.TimeoutExpired:
                    process.kill()
                    kills += 1
                    # On a busy machine the start alone may take that long, and nothing would ever arrive.
                    kill_after_s *= 2 if host.sent_bytes == sent_before else 1
                    sent_before = host.sent_bytes
                else:
                    assert process.returncode == 0
                    break
        assert filecmp.cmp(target / "report", host.source, shallow=False), "other bytes"
        facts = {"kills": kills, "share of the file sent": round(host.sent_bytes / size, 3),
                 "seconds": round(time.perf_counter() - began_s, 2)}  # fmt: skip
    return Case(name="killed", title=f"{_described(size)} from that host, the process killed every two seconds",
                contenders=[], facts=facts, verified="the bytes")  # fmt: skip


def _all(host: Host, folder: Path, *, segments: int, options: Options) -> list[Entry]:
    return [_ours(host, folder), _curl(host, folder), _aria2c(host, folder, segments=segments),
            _aria2c(host, folder, segments=_MANY, name=f"aria2c, {_MANY} connections"),
            _rclone(host, folder, segments=segments), _naive(host, folder, options=options)]  # fmt: skip


def _ours(host: Host, folder: Path) -> Entry:
    words = _own_words(host, folder / "fetched")
    return Entry(OURS, _once(host, folder, lambda: _in_python(words, folder)),
                 how="as an export does it: resumable, with checksums and durable checkpoints")  # fmt: skip


def _own_words(host: Host, into: Path) -> list[str]:
    words = [sys.executable, "-m", "benchmarks.ours_download", host.url, into, "--ca-file", host.ca_file,
             "--link-seconds", host.link_s]  # fmt: skip
    return [str(word) for word in words]


def _curl(host: Host, folder: Path) -> Entry:
    target = folder / "fetched" / "report"

    def words() -> list[str]:
        return ["curl", "--silent", "--fail", "--cacert", str(host.ca_file), "--output", str(target),
                *(["--continue-at", "-"] if host.link_s else []), host.link]  # fmt: skip

    return _tool("curl", host, folder, words, how="one connection")


def _aria2c(host: Host, folder: Path, *, segments: int, name: str = "aria2c") -> Entry:
    def words() -> list[str]:
        return ["aria2c", "--quiet", f"--ca-certificate={host.ca_file}", f"--dir={folder / 'fetched'}", "--out=report",
                f"--split={segments}", f"--max-connection-per-server={segments}", "--min-split-size=1M",
                "--file-allocation=falloc", "--continue", "--auto-file-renaming=false", "--max-tries=1",
                host.link]  # fmt: skip

    return _tool("aria2c", host, folder, words, how=f"{segments} connections", name=name)


def _rclone(host: Host, folder: Path, *, segments: int) -> Entry:
    root, _, name = host.url.rpartition("/")

    def words() -> list[str]:
        return ["rclone", "copyto", f":http:{name}", str(folder / "fetched" / "report"), f"--http-url={root}",
                f"--ca-cert={host.ca_file}", f"--multi-thread-streams={segments}", "--multi-thread-cutoff=16M",
                "--config=/dev/null", "--quiet"]  # fmt: skip

    return _tool("rclone", host, folder, words, how=f"{segments} streams")


def _naive(host: Host, folder: Path, *, options: Options) -> Entry:
    python = options.peers_python
    script = _HERE / "peers" / "naive_download.py"
    words = [str(word) for word in (python, script, host.url, folder / "fetched" / "report", host.ca_file)]
    versions = options.peer_versions
    return Entry(
        "aiohttp + aiofiles",
        _once(host, folder, lambda: _in_python(words, folder)),
        version=versions.get("aiohttp", ""),
        how="chunks of 64 KiB, as one writes it first",
        missing=None if python else "it could not be installed",
    )


def _tool(program: str, host: Host, folder: Path, words: Callable[[], list[str]], *, how: str, name: str = "") -> Entry:
    version, path = tool_version(program), tool_path(program)

    def work() -> Run:
        """Once; where links end, again until the file is whole."""
        began_s, cpu_before_s = time.perf_counter(), _children_cpu_s()
        for _ in range(_MOST_TRIES if host.link_s else 1):
            with suppress(subprocess.CalledProcessError):
                cost = cost_of([path or program, *words()[1:]], output=folder / "said")
                return Run(wall_s=time.perf_counter() - began_s, cpu_s=_children_cpu_s() - cpu_before_s,
                           peak_bytes=cost.peak_bytes)  # fmt: skip
        raise RuntimeError("it did not fetch the whole file")

    return Entry(name or program, _once(host, folder, work), version=version or "", how=how,
                 missing=None if version is not None else "it is not installed on this machine")  # fmt: skip


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _in_python(words: list[str], folder: Path) -> Run:
    cost = cost_of(words, output=folder / "said")
    reported = json.loads(cost.output)
    return run_of(cost).model_copy(update=reported)


def _once(host: Host, folder: Path, fetch: Callable[[], Run]) -> Callable[[], Run]:
    """Into a folder that did not exist, with the outcome compared."""

    def work() -> Run:
        target = folder / "fetched"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        os.sync()  # what one has written is not what the next one waits for
        before = host.sent_bytes
        run = fetch()
        assert filecmp.cmp(target / "report", host.source, shallow=False), "other bytes"
        shutil.rmtree(target)
        return run.model_copy(update={"wire_bytes": host.sent_bytes - before})

    return work


def _described(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.3g} GB" if size_bytes >= 1_000 * _MB else f"{size_bytes / _MB:.0f} MB"


_RENEWED = (
    "curl and aria2c cannot renew a link: the harness calls them again with a fresh one, to go on where they were"
    " (`--continue-at -`, `--continue`); their processor seconds are those of all calls"
)
_LOOPBACK = "client and host share the processors"
