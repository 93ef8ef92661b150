"""
The child process that converts files: reads requests, sends replies.

A child process can be killed at once, unlike a polars sink in a thread, and its memory is then free. It is started as
its own module, because the usual ways to run a function in a child import the caller's main module there, and would run
a user's unguarded script a second time.

Requests arrive on standard input, each as its length (eight bytes) and a pickle. Replies are sent as `message_frames`
on a separate socket that the argument names (`platforms`): a `sitecustomize` or a tracing agent may write to standard
output when Python starts. The end of standard input means that the parent has ended or wants no more; it ends the child
at once. What a library prints goes to standard error.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import sys
import time
from queue import SimpleQueue
from threading import Event, Lock, Thread

from bulkpull import platforms
from bulkpull.conversion.message_frames import FrameType, alive, frame
from bulkpull.conversion.messages import ConversionRequest, ConversionResult, TableFile, WideningRequest
from bulkpull.errors import BulkpullError

LENGTH = struct.Struct("!Q")
_HEARTBEAT_S = 2.0


class _Channel:
    """The connection for frames, written by one thread at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._turn = Lock()
        self.at_work = Event()

    def write(self, data: bytes) -> None:
        with self._turn:
            self._connection.sendall(data)

    def beat(self) -> None:
        """Say again and again that this process lives, as long as it has an order."""
        while True:
            self.at_work.wait()
            try:
                self.write(alive(time.process_time()))
            except OSError:
                os._exit(0)  # the parent is gone
            time.sleep(_HEARTBEAT_S)


def main() -> None:
    """Convert what is ordered, one after another; an unforeseen fault ends the process without a reply."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer, by killing this process
    channel = _Channel(platforms.current().open_channel(sys.argv[1], _read_share))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    orders: SimpleQueue[ConversionRequest | WideningRequest] = SimpleQueue()
    Thread(target=_receive, args=(orders, channel), daemon=True).start()
    Thread(target=channel.beat, daemon=True).start()

    # The slow part of starting, done before the first order is there. The parent never imports it.
    from bulkpull.conversion.convert_file import convert  # noqa: PLC0415 - orders are listened for before this takes its time
    from bulkpull.conversion.write_table import widen_file  # noqa: PLC0415 - as before

    while True:
        order = orders.get()
        answer: ConversionResult | TableFile | BulkpullError
        try:
            answer = convert(order) if isinstance(order, ConversionRequest) else widen_file(order)
        except BulkpullError as error:
            answer = error
        channel.at_work.clear()
        channel.write(frame(FrameType.REPLY, pickle.dumps(answer)))
        # Between files, not between batches, which take the same memory again.
        platforms.current().return_free_memory()


def _read_share() -> bytes:
    (length,) = LENGTH.unpack(_exactly(LENGTH.size))
    return _exactly(length)


def _receive(orders: SimpleQueue[ConversionRequest | WideningRequest], channel: _Channel) -> None:
    while True:
        (length,) = LENGTH.unpack(_exactly(LENGTH.size))
        order: ConversionRequest | WideningRequest = pickle.loads(_exactly(length))  # noqa: S301 - from our own parent
        channel.at_work.set()
        orders.put(order)


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
