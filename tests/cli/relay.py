"""A relay in front of a server: passes every byte on, and puts other bytes in the place of some in the answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


@contextmanager
def relayed(url: str, *, old: bytes, new: bytes) -> Iterator[str]:
    """
    The same address on a port of its own, on loopback.

    Args:
        old, new: What is replaced in answers; the head of an answer has to come in one piece.
    """
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    target = (parts.hostname, parts.port)
    threads: list[threading.Thread] = []
    held: list[socket.socket] = []

    def pass_on(source: socket.socket, sink: socket.socket, *, spoils: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data.replace(old, new) if spoils else data)
            sink.shutdown(socket.SHUT_WR)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(target)
                held.extend((client, server))
                for source, sink, spoils in ((client, server, False), (server, client, True)):
                    thread = threading.Thread(target=pass_on, args=(source, sink), kwargs={"spoils": spoils})
                    thread.start()
                    threads.append(thread)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, args=(listener,))
        accepting.start()
        try:
            yield parts._replace(netloc=f"127.0.0.1:{listener.getsockname()[1]}").geturl()
        finally:
            for item in (listener, *held):
                with suppress(OSError):
                    item.shutdown(socket.SHUT_RDWR)
                item.close()
            for thread in (accepting, *threads):
                thread.join()
