"""The process that programs are forked from (`warm_programs`): imports the package, waits for orders, runs nothing."""

from __future__ import annotations

import fcntl
import gc
import io
import os
import pickle
import runpy
import signal
import socket
import sys
import tempfile
import time
import warnings
from importlib import import_module
from typing import Any

from warm_programs import CONVERSION, Order, install, receive, send

# As much as any command and the conversion process need; none of them starts a thread.
IMPORTS = (
    "polars",
    "rich.live",
    "rich.table",
    "anyio.from_thread",
    "anyio._backends._asyncio",
    "anyio.streams.tls",
    "bulkpull.api",
    "bulkpull.cli.export",
    "bulkpull.cli.log_output",
    "bulkpull.cli.plan_table",
    "bulkpull.cli.run_display",
    "bulkpull.cli.summary",
    "bulkpull.cli.status",
    "bulkpull.conversion.convert_file",
    "bulkpull.conversion.worker",
    "bulkpull.conversion.write_table",
    "bulkpull.pipeline.run",
    "bulkpull.simulator",
)
_HIGH = 600


def serve(connection: socket.socket) -> tuple[Order, list[int]]:
    """Fork a process for each order; returns within that process, with what it is to run and the files it gets."""
    at_interrupt = signal.getsignal(signal.SIGINT)
    while True:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the tests to answer
        received = receive(connection)
        if received is None:
            sys.exit()
        content, files = received
        signal.signal(signal.SIGINT, at_interrupt)
        reading, writing = os.pipe()
        helper = os.fork()
        if helper == 0:
            helper = os.getpid()
            program = os.fork()
            if program == 0:
                connection.close()
                while os.getppid() == helper:
                    time.sleep(0.0005)
                return pickle.loads(content), files  # noqa: S301 - from the tests
            os.write(writing, str(program).encode())
            os._exit(0)  # so that the program passes to the process that asked for it
        os.waitpid(helper, 0)
        send(connection, os.read(reading, 32))
        for file in (reading, writing, *files):
            os.close(file)


def serve_conversions(order: Order, files: list[int]) -> tuple[Order, list[int]]:
    """Leave a process beside the program that its conversion processes are forked from; returns in each of them too."""
    environment = dict(os.environ)
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        for file in (ours.detach(), *files):
            os.close(file)
        return serve(theirs)
    theirs.close()
    install(environment, socket.socket(fileno=fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, _HIGH)))
    ours.close()
    return order, files


def become(order: Order, files: list[int]) -> None:
    """Give this process all that a started one gets from the process that starts it."""
    if order.own_session:
        os.setsid()
    kept = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, _HIGH) for file in files]
    os.closerange(3, _HIGH)
    for file, number in zip(kept, order.files, strict=True):
        os.dup2(file, number, inheritable=True)
        os.close(file)
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environment)
    time.tzset()
    tempfile.tempdir = None
    for action in filter(None, order.environment.get("PYTHONWARNINGS", "").split(",")):
        filters: Any = warnings
        filters.simplefilter(action)
    sys.argv = ["-c", *order.words]
    sys.path.insert(0, order.folder)
    streams: Any = sys
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        stream = _text(number, mode, getattr(sys, name))
        setattr(streams, name, stream)
        setattr(streams, f"__{name}__", stream)


def _text(number: int, mode: str, before: Any) -> io.TextIOWrapper:
    """A standard stream as the interpreter opens it."""
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    return io.TextIOWrapper(
        open(number, mode + "b", closefd=False),
        encoding or before.encoding,
        errors or ("strict" if encoding and number < 2 else before.errors),
        line_buffering=number == 2 or os.isatty(number),
        write_through=before.write_through,
    )


def main() -> None:
    """Serve until the tests are gone, or be one of the programs that they start."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    for name in IMPORTS:
        import_module(name)
    del sys.path[0]
    gc.collect()
    gc.freeze()
    send(connection, b"ready")
    order, files = serve(connection)
    if order.module != CONVERSION and order.words[:1] in (("export",), ("nightly",), ("runs",)):
        order, files = serve_conversions(order, files)
    become(order, files)
    if order.module == CONVERSION:
        del sys.modules[CONVERSION]  # it is loaded anew, as the main module
    if order.module:
        runpy.run_module(order.module, run_name="__main__", alter_sys=True)
    else:
        exec(compile(order.program, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - the test's own program


if __name__ == "__main__":
    main()
