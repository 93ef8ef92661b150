"""
The storage host of the download benchmark: one file over TLS, ranges, a thread for each connection.

Blocking sockets and writes of a megabyte from a memory map: it takes less of the processor than any client, so that it
is not what is measured. Run as a process of its own; the port goes to standard output.

A request for `/sent` is answered with the bytes of the file that have been sent so far, over all connections.
"""

from __future__ import annotations

import argparse
import mmap
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

_RANGE = re.compile(rb"(?i)\r\nrange: bytes=(\d+)-(\d*)\r\n")
_EXPIRY = re.compile(rb"[?&]se=([0-9.]+)")
_PIECE_BYTES = 1 << 20
_SMALL_PIECE_BYTES = 1 << 15


class Host:
    """
    Serves one file.

    Args:
        rate: Bytes a second that each connection gives; 0 for no limit.
        cut_after: Bytes of a body after which the connection is cut; 0 for never.
    """

    def __init__(self, path: Path, *, rate: float, cut_after: int) -> None:
        with path.open("rb") as file:
            self._body = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        self._rate, self._cut_after = rate, cut_after
        self._sent_bytes = 0
        self._turn = threading.Lock()

    def serve(self, connection: ssl.SSLSocket) -> None:
        """Answer the requests of one connection until the client or a cut ends it."""
        waiting = b""
        with suppress(OSError), connection:
            while True:
                while b"\r\n\r\n" not in waiting:
                    received = connection.recv(1 << 16)
                    if not received:
                        return
                    waiting += received
                head, _, waiting = waiting.partition(b"\r\n\r\n")
                if not self._answer(connection, head + b"\r\n"):
                    return

    def _answer(self, connection: ssl.SSLSocket, head: bytes) -> bool:
        if head.startswith(b"GET /sent "):
            reported = str(self._sent_bytes).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(reported), reported))
            return True
        expiry = _EXPIRY.search(head)
        if expiry and float(expiry[1]) < time.time():
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return True
        size, asked = len(self._body), _RANGE.search(head)
        start = int(asked[1]) if asked else 0
        end = min(int(asked[2]) + 1, size) if asked and asked[2] else size
        reported = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d" % (start, end - 1, size)
        connection.sendall(
            (reported if asked else b"HTTP/1.1 200 OK")
            + b'\r\nETag: "0x1"\r\nAccept-Ranges: bytes\r\nContent-Length: %d\r\n\r\n' % (end - start)
        )
        if head.startswith(b"HEAD "):
            return True
        until = min(end, start + self._cut_after) if self._cut_after else end
        self._send(connection, start, until)
        return until == end

    def _send(self, connection: ssl.SSLSocket, start: int, end: int) -> None:
        began_s, most = time.monotonic(), _SMALL_PIECE_BYTES if self._rate else _PIECE_BYTES
        for at in range(start, end, most):
            piece = self._body[at : min(at + most, end)]
            connection.sendall(piece)
            with self._turn:
                self._sent_bytes += len(piece)
            if self._rate:
                ahead_s = (at + len(piece) - start) / self._rate - (time.monotonic() - began_s)
                time.sleep(max(0.0, ahead_s))


def main() -> None:
    """Listen until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--cut-after", type=int, default=0)
    options = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    host = Host(options.path, rate=options.rate, cut_after=options.cut_after)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_greet, args=(host, context, connection), daemon=True).start()


def _greet(host: Host, context: ssl.SSLContext, connection: socket.socket) -> None:
    with suppress(OSError):
        host.serve(context.wrap_socket(connection, server_side=True))


if __name__ == "__main__":
    main()
