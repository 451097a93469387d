"""A feeder: one process that plays tapes over loopback WebSockets, as fast as they are taken or at a given rate.

It is told what to do on standard input and says what happened on standard output, a line each::

    says  port 23456
    says  open binance          a client has connected (asked 10: it has subscribed ten symbols)
    hears go full 300000        300,000 frames a connection, as fast as they are taken
    hears go legs 10000x5 150000x1
    says  sent 300000 1767323045.123 1767323047.001     frames, first and last moment (seconds since 1970)

At full speed the bytes of all WebSocket frames are made in advance, so that sending costs nearly nothing.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from benchmarks.tapes import TAPES, Leg, Tape, told

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CHUNK = 128 * 1024
_TICK = 0.001
_QUICK = 20_000


def framed(payload: bytes, opcode: int = 1) -> bytes:
    """A server's WebSocket frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


class Feed:
    """One client's connection."""

    def __init__(
        self, connection: socket.socket, tapes: dict[str, Tape], keeps: bool = False, tick: float = _TICK
    ) -> None:
        self.keeps = keeps
        self.tick = tick
        self._connection = connection
        self._sending = threading.Lock()
        self._replies: deque[bytes] = deque()
        self._file = connection.makefile("rb")
        self.tape = tapes[self._shake_hands(tapes)]
        self.asked = 0
        self.parcels: list[tuple[int, float]] = []
        """Of the last legs: frames sent so far, and the moment just before the latest of them were, in seconds since
        1970.
        """
        threading.Thread(target=self._listen, daemon=True).start()

    def _shake_hands(self, tapes: dict[str, Tape]) -> str:
        target, key = self._file.readline().split()[1].decode(), b""
        while (line := self._file.readline().strip()):
            name, _, value = line.partition(b":")
            if name.lower() == b"sec-websocket-key":
                key = value.strip()
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        self._connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        named = [venue for venue in tapes if venue in target]
        return named[0] if named else next(iter(tapes))

    def _listen(self) -> None:
        """Answers subscriptions, pings and the client's goodbye."""
        while (head := self._file.read(2)):
            size = head[1] & 127
            if size > 125:
                size = int.from_bytes(self._file.read(2 if size == 126 else 8), "big")
            mask = self._file.read(4) * (size // 4 + 1)
            payload = bytes(byte ^ key for byte, key in zip(self._file.read(size), mask, strict=False))
            opcode = head[0] & 15
            if opcode == 1:
                self._answer(payload)
            elif opcode == 9:
                self._reply(framed(payload, 10))
            elif opcode == 8:
                self._reply(framed(payload, 8))
                return

    def _answer(self, payload: bytes) -> None:
        answers, symbols = self.tape.answers(json.loads(payload))
        for answer in answers:
            self._reply(framed(told(answer)))
        if symbols:
            self.asked += symbols
            say(f"asked {self.asked}")

    def _send(self, data: bytes) -> None:
        with self._sending:
            self._say_replies()
            self._connection.sendall(data)

    def _reply(self, data: bytes) -> None:
        """An answer (a pong) goes between two blocks of frames, never into one, and does not wait for the last."""
        self._replies.append(data)
        with self._sending:
            self._say_replies()

    def _say_replies(self) -> None:
        while self._replies:
            self._connection.sendall(self._replies.popleft())

    def full(self, blocks: Sequence[bytes]) -> tuple[float, float]:
        """Sends all, as fast as it is taken."""
        start = time.time()
        for block in blocks:
            self._send(block)
        return start, time.time()

    def legs(self, legs: Sequence[Leg]) -> tuple[float, float]:
        """Sends what is due, every millisecond or (where that is longer) frame; when it is late it catches up."""
        made = self._made(legs)
        tape, number, first = self.tape, 0, 0
        self.parcels.clear()
        start = time.time()
        begin = time.perf_counter()
        for leg in legs:
            while number < first + leg.frames:
                ready = min(int((time.perf_counter() - begin) * leg.rate) + 1, leg.frames) + first
                if ready > number:
                    some = [made[at] if at in made else framed(tape.frame(at)) for at in range(number, ready)]
                    block = b"".join(some)
                    if self.keeps:
                        self.parcels.append((ready, time.time()))
                    self._send(block)
                    number = ready
                time.sleep(max(self.tick, begin + (number - first) / leg.rate - time.perf_counter()))
            first += leg.frames
            begin += leg.seconds
            while time.perf_counter() < begin:
                time.sleep(_TICK)
        return start, time.time()


    def _made(self, legs: Sequence[Leg]) -> dict[int, bytes]:
        """The frames of legs too quick for making them on the way."""
        made: dict[int, bytes] = {}
        first = 0
        for leg in legs:
            if leg.rate > _QUICK:
                made.update((at, framed(self.tape.frame(at))) for at in range(first, first + leg.frames))
            first += leg.frames
        return made


class Feeder:
    """All connections of one run."""

    def __init__(self, tapes: dict[str, Tape], frames: int, journal: Path | None = None, tick: float = _TICK) -> None:
        self._journal = journal
        self._tick = tick
        self._tapes = tapes
        self._blocks = {venue: _blocks(tape, frames) for venue, tape in tapes.items()} if frames else {}
        self._feeds: list[Feed] = []
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)

    def run(self) -> None:
        """Serves until standard input ends."""
        say(f"port {self._server.getsockname()[1]}")
        threading.Thread(target=self._accept, daemon=True).start()
        for line in sys.stdin:
            _, how, *words = line.split()
            legs = [Leg(*map(float, word.split("x"))) for word in words] if how == "legs" else []
            for tape in self._tapes.values() if legs else ():
                tape.started_ms = int(time.time() * 1000)  # what is made on the way happens now
            for feed in self._feeds:
                threading.Thread(target=self._play, args=(feed, legs), daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._feeds.append(Feed(connection, self._tapes, self._journal is not None, self._tick))
            say(f"open {self._feeds[-1].tape.venue}")

    def _play(self, feed: Feed, legs: Sequence[Leg]) -> None:
        start, end = feed.legs(legs) if legs else feed.full(self._blocks[feed.tape.venue])
        if self._journal is not None:
            self._journal.write_text("".join(f"{number} {moment:.6f}\n" for number, moment in feed.parcels))
        say(f"sent {feed.tape.venue} {start:.6f} {end:.6f}")


def _blocks(tape: Tape, frames: int) -> list[bytes]:
    """The bytes of all frames, in blocks of whole frames."""
    blocks: list[bytes] = []
    block = bytearray()
    for number in range(frames):
        block += framed(tape.frame(number))
        if len(block) >= _CHUNK:
            blocks.append(bytes(block))
            block.clear()
    return [*blocks, bytes(block)] if block else blocks


def say(text: str) -> None:
    """A line to whoever started this process."""
    sys.stdout.write(text + "\n")  # one call, for several threads speak
    sys.stdout.flush()


def main() -> None:
    """Read the arguments, serve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feeder", description=__doc__)
    parser.add_argument("venues", nargs="+", choices=sorted(TAPES))
    parser.add_argument("--symbols", type=int, default=10)
    parser.add_argument("--frames", type=int, default=0, help="make the bytes of so many frames in advance")
    parser.add_argument("--journal", type=Path, help="write here when the frames of one connection's legs were sent")
    parser.add_argument("--tick", type=float, default=_TICK, help="least seconds between two looks what is due")
    given = parser.parse_args()
    started = int(time.time() * 1000)
    Feeder({venue: TAPES[venue](given.symbols, started) for venue in given.venues}, given.frames, given.journal,
           given.tick).run()


if __name__ == "__main__":
    main()
