"""
The child process in which files are converted: orders in, replies out.

A child can be killed at once, which a polars sink in a thread can not, and takes its memory with it. It is started by
its own module, because the usual ways to run a function in a child import the caller's main module there, and would
run a user's unguarded script a second time.

Orders come on standard input and replies leave by what was standard output, each a pickle behind its length (eight
bytes). The end of standard input means that the parent is gone or wants no more, and ends the child in the middle of
whatever it does. What a library prints goes to standard error.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
from queue import SimpleQueue
from threading import Thread

from bulkpull.errors import BulkpullError
from bulkpull.tabular.table import ConvertedTable, Order

LENGTH = struct.Struct("!Q")


def main() -> None:
    """Convert what is ordered, one after another; an unforeseen fault ends the process without a reply."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer, by killing this process
    reply_to = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    orders: SimpleQueue[Order] = SimpleQueue()
    Thread(target=_receive, args=(orders,), daemon=True).start()

    # The slow part of starting, done before the first order is there. The parent never imports it.
    from bulkpull.tabular.convert import convert  # noqa: PLC0415 - orders are listened for before this takes its time

    while True:
        order = orders.get()
        answer: ConvertedTable | BulkpullError
        try:
            answer = convert(order)
        except BulkpullError as error:
            answer = error
        reply = pickle.dumps(answer)
        reply_to.write(LENGTH.pack(len(reply)) + reply)
        reply_to.flush()


def _receive(orders: SimpleQueue[Order]) -> None:
    while True:
        (length,) = LENGTH.unpack(_exactly(LENGTH.size))
        orders.put(pickle.loads(_exactly(length)))  # noqa: S301 - from our own parent


def _exactly(size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        # os.read, because a thread inside sys.stdin's lock would break the interpreter's shutdown.
        piece = os.read(sys.stdin.fileno(), size - len(parts))
        if not piece:
            os._exit(0)
        parts += piece
    return bytes(parts)


if __name__ == "__main__":
    main()
