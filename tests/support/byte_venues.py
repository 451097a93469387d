"""Venues that speak HTTP or plain TCP, in threads: each connection is one call of a function."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Act = Callable[[socket.socket, int], None]
"""What is done with a connection, and which of them it is, counted from 0."""


@dataclass
class Request:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@contextmanager
def byte_venue(act: Act) -> Iterator[int]:
    """The port of a venue that does ``act`` with each connection."""
    listening = socket.create_server(("127.0.0.1", 0))
    open_now: set[socket.socket] = set()

    def serve(opened: socket.socket, number: int) -> None:
        with suppress(OSError), opened:
            act(opened, number)
        open_now.discard(opened)

    def accept() -> None:
        number = 0
        with suppress(OSError):
            while True:
                opened, _ = listening.accept()
                open_now.add(opened)
                threading.Thread(target=serve, args=(opened, number), daemon=True).start()
                number += 1

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for opened in tuple(open_now):
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def request(opened: socket.socket) -> Request:
    """The next request of a connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = opened.recv(65536)
        if not piece:
            raise ConnectionError
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += opened.recv(65536)
    return Request(method, target, headers, body)


def answer(opened: socket.socket, body: bytes, status: str = "200 OK", **headers: str) -> None:
    """A whole answer, behind which the connection ends."""
    given = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    opened.sendall("\r\n".join(lines).encode() + body)


def begin_answer(opened: socket.socket, kind: str = "application/json") -> None:
    """The head of an answer in chunks."""
    opened.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())


def chunk(opened: socket.socket, data: bytes) -> None:
    """A chunk of it."""
    opened.sendall(b"%x\r\n%b\r\n" % (len(data), data))
