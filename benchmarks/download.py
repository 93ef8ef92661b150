"""
The download against curl and against what one writes first, on loopback over TLS.

    python -m benchmarks.download [unlimited] [limited] [killed] [--rounds 5] [--megabytes N] [--folder DIR]

- unlimited: a file of 1.5 GB from a host that gives what it can. Bound: as fast as curl, at most 1.5 × its processor
  seconds.
- limited: 100 MB from a host that gives 4 MB/s a connection. Bound: three times as fast as curl.
- killed: 100 MB while links live one second, connections are cut after every megabyte, and the process is killed every
  two seconds. Bound: the same bytes, at most 1.1 × of them sent.

Rounds alternate between the clients; ratios are those of the medians of one run. Seconds are beside the machine that
they were measured on and mean nothing elsewhere. Needs curl and openssl.

Measured on two processors (x86_64, Python 3.11, OpenSSL 3.0), one of them busy with the host, medians of five:

- unlimited: 1.09 and 1.23 × curl's time in two runs, 1.16 and 1.25 × its processor seconds. The bound of the time is
  missed: two threads of ours and the host share two processors. The naive client took 3.1 to 3.2 × and 2.9 to 3.0 ×.
- limited: 0.28 × curl's time (median of three).
- killed: six kills, the same bytes, 1.055 to 1.071 × of them sent, in three runs.

What was learnt, from three to six runs each: writing in the event loop takes as long as curl, but a slow disk would
stop everything; a write in a thread pays for the way from one processor's cache to the other's. Checksums in that
thread, which let go of the interpreter's lock and have to get it back, cost more than the checksums themselves. Between
256 KiB and 1 MiB a write the size made no difference; 2 MiB was slower. Syncing beside the transfer cost nothing that
could be told from the noise.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import platform
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MEGABYTE = 1_000_000
_BLOCK_BYTES = 1 << 24
_KILL_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds by the clock and of the processor."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Host:
    """A storage host that is running."""

    url: str
    source: Path
    ca_file: Path

    @property
    def sent_bytes(self) -> int:
        """What it has sent of the file so far."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(f"{self.url.rsplit('/', 1)[0]}/sent", context=context) as reply:  # noqa: S310 - ours
            return int(reply.read())


@contextmanager
def hosted(folder: Path, *, megabytes: int, rate: float = 0, cut_after: int = 0) -> Iterator[Host]:
    """A host with a file of random bytes, and a certificate for it."""
    source, key, certificate = folder / "source", folder / "key.pem", folder / "certificate.pem"
    with source.open("wb") as file:
        for at in range(0, megabytes * _MEGABYTE, _BLOCK_BYTES):
            file.write(os.urandom(min(_BLOCK_BYTES, megabytes * _MEGABYTE - at)))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.download_server", source, "--certificate", certificate, "--key", key,
         "--rate", str(rate), "--cut-after", str(cut_after)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        yield Host(f"https://localhost:{int(server.stdout.readline())}/report.csv", source, certificate)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def client(name: str, host: Host, folder: Path, *options: str) -> list[str]:
    """The command line of ours or of the naive one."""
    words = [sys.executable, "-m", "benchmarks.download_clients", name, host.url, folder, "--ca-file", host.ca_file]
    return [*map(str, words), *options]


def fetch(name: str, host: Host, folder: Path) -> Took:
    """Fetch the file once, into a folder that did not exist, and compare it with its source."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if name == "curl":
        began_s = time.perf_counter()
        words = ["curl", "--silent", "--fail", "--cacert", host.ca_file, "--output", folder / "report", host.url]
        with subprocess.Popen([*map(str, words)]) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        took = Took(time.perf_counter() - began_s, usage.ru_utime + usage.ru_stime)
    else:
        done = subprocess.run(client(name, host, folder), check=True, capture_output=True, text=True)
        took = Took(**json.loads(done.stdout))
    assert filecmp.cmp(folder / "report", host.source, shallow=False), f"{name}: other bytes"
    shutil.rmtree(folder)
    return took


def compare(host: Host, folder: Path, *, clients: list[str], rounds: int) -> None:
    """Alternate between the clients; print medians, and their ratios to curl's."""
    took: dict[str, list[Took]] = {name: [] for name in clients}
    for _ in range(rounds):
        for name in clients:
            os.sync()  # what one has written is not what the next one waits for
            took[name].append(fetch(name, host, folder / "fetched"))
    medians = {
        name: Took(statistics.median(each.wall_s for each in all_), statistics.median(each.cpu_s for each in all_))
        for name, all_ in took.items()
    }
    for name, median in medians.items():
        ratio = f"{median.wall_s / medians['curl'].wall_s:.2f} × curl's time"
        cpu = f"{median.cpu_s / medians['curl'].cpu_s:.2f} × its processor seconds"
        spread = f"{min(each.wall_s for each in took[name]):.2f} to {max(each.wall_s for each in took[name]):.2f}"
        print(f"  {name:6} {ratio}, {cpu}   ({median.wall_s:.2f} s, {spread}; {median.cpu_s:.2f} s of processor)")


def survive_kills(host: Host, folder: Path) -> None:
    """Kill the process every two seconds until one of them gets to the end."""
    folder = folder / "fetched"
    folder.mkdir()
    kills = 0
    while True:
        words = client("ours", host, folder, "--link-seconds", "1")
        with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
            try:
                process.wait(_KILL_EVERY_S)
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            else:
                assert process.returncode == 0
                break
    size_bytes = host.source.stat().st_size
    same = filecmp.cmp(folder / "report", host.source, shallow=False)
    print(f"  {kills} kills: the same bytes: {same}; {host.sent_bytes / size_bytes:.3f} × the file was sent")


def main() -> None:
    """Run what is named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="unlimited, limited, killed; all without")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int)
    parser.add_argument("--folder", type=Path, help="where the files lie; a temporary folder without")
    options = parser.parse_args()
    cases = options.cases or ["unlimited", "limited", "killed"]
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, {ssl.OPENSSL_VERSION}"
    )
    for case in cases:
        megabytes = options.megabytes or (1_500 if case == "unlimited" else 100)
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            print(f"{case}: {megabytes} MB, {options.rounds} rounds")
            match case:
                case "unlimited":
                    with hosted(folder, megabytes=megabytes) as host:
                        compare(host, folder, clients=["curl", "ours", "naive"], rounds=options.rounds)
                case "limited":
                    with hosted(folder, megabytes=megabytes, rate=4 * _MEGABYTE) as host:
                        compare(host, folder, clients=["curl", "ours"], rounds=options.rounds)
                case "killed":
                    with hosted(folder, megabytes=megabytes, rate=4 * _MEGABYTE, cut_after=1 << 20) as host:
                        survive_kills(host, folder)
                case _:
                    parser.error(f"there is no case {case!r}")


if __name__ == "__main__":
    main()
