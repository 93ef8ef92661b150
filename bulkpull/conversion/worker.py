"""
The child process that converts files, and the frames in which it replies (case C12).

A child process can be killed at once, unlike a polars sink in a thread, and its memory is then free. It is started as
its own module, because the usual ways to run a function in a child import the caller's main module there, and would run
a user's unguarded script a second time.

Requests arrive on standard input, each as its length (eight bytes) and a pickle. The end of standard input means that
the parent has ended or wants no more; it ends the child at once. What a library prints goes to standard error. Replies
are sent on a separate socket that the argument names (`platforms`), because a `sitecustomize` or a tracing agent may
write to standard output when Python starts:

    mark (8 bytes) | kind (1) | length (8, big-endian) | payload

The mark distinguishes frames from output of other code in the process; a length beyond the ceiling is invalid. `ALIVE`
frames are sent while a request is processed; their payload is the processor time used so far, so that the parent can
detect a process that hangs. The parent loads this module as well, so it imports the conversion only when it runs.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
import time
from enum import IntEnum
from queue import SimpleQueue
from threading import Event, Lock, Thread

from bulkpull import platforms
from bulkpull.conversion.messages import ConversionRequest, ConversionResult, TableFile, WideningRequest
from bulkpull.errors import BulkpullError

LENGTH = struct.Struct("!Q")
MARK = b"\x93bpull\r\n"
HEAD = struct.Struct("!8sBQ")
LONGEST_PAYLOAD_BYTES = 64 << 20
_SECONDS = struct.Struct("!d")
_HEARTBEAT_S = 2.0


class FrameType(IntEnum):
    REPLY = 1
    ALIVE = 2


class NotAFrame(Exception):
    """The received bytes are not a valid frame."""


def frame(kind: FrameType, payload: bytes) -> bytes:
    return HEAD.pack(MARK, kind, len(payload)) + payload


def read_head(head: bytes) -> tuple[FrameType, int]:
    """Kind and length of the payload. Raises `NotAFrame`."""
    mark, kind, length = HEAD.unpack(head)
    if mark != MARK or kind not in tuple(FrameType) or length > LONGEST_PAYLOAD_BYTES:
        raise NotAFrame
    return FrameType(kind), length


def processor_seconds(payload: bytes) -> float:
    """The payload of an `ALIVE` frame. Raises `NotAFrame`."""
    if len(payload) != _SECONDS.size:
        raise NotAFrame
    seconds: float = _SECONDS.unpack(payload)[0]
    return seconds


def main() -> None:
    """Process one request after another; an unforeseen fault ends the process without a reply."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C, by killing this process
    channel, turn, at_work = platforms.current().open_channel(sys.argv[1], _read_message), Lock(), Event()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests: SimpleQueue[ConversionRequest | WideningRequest] = SimpleQueue()

    def send(kind: FrameType, payload: bytes) -> None:
        with turn:
            channel.sendall(frame(kind, payload))

    def send_heartbeats() -> None:
        while at_work.wait():
            try:
                send(FrameType.ALIVE, _SECONDS.pack(time.process_time()))
            except OSError:
                os._exit(0)  # the parent is gone
            time.sleep(_HEARTBEAT_S)

    def receive() -> None:
        while True:
            request: ConversionRequest | WideningRequest = pickle.loads(_read_message())  # noqa: S301 - from our own parent
            at_work.set()
            requests.put(request)

    Thread(target=receive, daemon=True).start()
    Thread(target=send_heartbeats, daemon=True).start()

    # The slow part of the start; the threads above already take requests meanwhile.
    from bulkpull.conversion.convert_file import convert  # noqa: PLC0415 - the parent never imports it
    from bulkpull.conversion.write_table import widen_file  # noqa: PLC0415 - as before

    while True:
        request = requests.get()
        answer: ConversionResult | TableFile | BulkpullError
        try:
            answer = convert(request) if isinstance(request, ConversionRequest) else widen_file(request)
        except BulkpullError as error:
            answer = error
        at_work.clear()
        send(FrameType.REPLY, pickle.dumps(answer))
        # Between files, not between batches, which take the same memory again.
        platforms.current().return_free_memory()


def _read_message() -> bytes:
    (length,) = LENGTH.unpack(_exactly(LENGTH.size))
    return _exactly(length)


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
