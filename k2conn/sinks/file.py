"""The file sink: Avro container files in a folder a topic, dead letters as JSON lines. No broker needed.

``<folder>/<topic>/<UTC start>-<n>.avro`` and ``<folder>/<topic>.dlq/<UTC start>-<n>.jsonl``. Every run begins
new files and never touches old ones. An envelope is settled when its block has been written and flushed to
the OS: a crash of the process loses nothing settled, a crash of the machine may. A full disk loses nothing:
what waits stays in memory, the file is cut back to its last whole block and closed, and a new one is tried
until there is room; both the beginning and the end of that are logged. What still waits at the end of the process is
counted as lost.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, cast

from k2conn.avro import ContainerWriter, RecordSchema
from k2conn.envelope import Envelope
from k2conn.errors import SinkError, Unreachable
from k2conn.sinks import SinkKind, SinkStatus
from k2conn.sinks.settings import MiB, SinkSettings, not_positive, refuse
from k2conn.variable_definitions import Variable

_LOG = logging.getLogger(__name__)

FLUSH_EVERY = 0.5
"""Seconds a record may wait for its block to fill; also the pause before a failed write is tried again."""

BLOCK_BYTES = 64 * 1024
TOPIC = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
"""Kafka's own rule for topic names, and nothing that would leave the folder."""

_TOPIC, _VALUE, _SCHEMA = itemgetter(0), itemgetter(2), itemgetter(3)
"""Of an envelope."""


class FileSinkStatus(SinkStatus):
    """See `SinkStatus`."""

    folder: str


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """Where the files go, and how large they grow: there is a new one when one has grown beyond ``rotation_bytes``."""

    folder: Path = Path("data")
    rotation_bytes: int = 128 * MiB

    def __post_init__(self) -> None:
        """Refuse bounds that bound nothing."""
        refuse(not_positive(self, "rotation_bytes"))


class LineWriter:
    """For dead letters what ContainerWriter is for records: JSON documents, a line each, written in
    blocks.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        self.written = 0

    def append_all(self, bodies: Sequence[bytes]) -> Iterator[int]:
        """Take documents; no block is full before ``flush``."""
        self._lines += [body.replace(b"\n", b" ") + b"\n" for body in bodies]
        return iter(())

    def flush(self) -> None:
        """Write what waits."""
        data = memoryview(b"".join(self._lines))
        size = len(data)
        while data:
            data = data[self._stream.write(data) :]
        self.written += size
        self._lines.clear()


class ContainerFile:
    """One open file of one topic and schema."""

    def __init__(self, folder: Path, schema: RecordSchema | None) -> None:
        self.schema = schema
        self.path, self._file = _new_file(folder, "avro" if schema else "jsonl")
        stream = cast(BinaryIO, self._file)
        self._writer = ContainerWriter(stream, schema, block_bytes=BLOCK_BYTES) if schema else LineWriter(stream)

    @property
    def size(self) -> int:
        """Bytes of whole blocks in the file."""
        return self._writer.written

    def write(self, envelopes: Sequence[Envelope], settle: Callable[[int], None]) -> None:
        """Write all ``envelopes``; ``settle`` is told how many more are in the file. OSError where that
        fails.
        """
        settled = 0
        for count in self._writer.append_all(list(map(_VALUE, envelopes))):
            settle(count - settled)
            settled = count
        self._writer.flush()
        settle(len(envelopes) - settled)

    def close(self) -> None:
        """Close the file, cut back to its last whole block; a file without one goes away."""
        try:
            self._file.truncate(self.size)
            if not self.size:
                self.path.unlink()
        finally:
            self._file.close()


class FileSink:
    """See the module's text."""

    name = "file"

    def __init__(self, settings: SinkSettings, settle: Callable[[Sequence[Envelope]], None]) -> None:
        self._folder: Path = settings.options.folder
        self._rotation: int = settings.options.rotation_bytes
        self._bound = settings.buffer_bytes
        self._settle = settle
        self._waiting: dict[str, list[Envelope]] = {}
        self._sizes: dict[str, int] = {}
        self._segments: dict[str, ContainerFile] = {}
        self._bytes = 0
        self._moved = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._errors = 0
        self._troubled: dict[str, str] = {}
        """Topics whose last write failed, each with the reason."""
        self._last_error: str | None = None

    async def open(self) -> None:
        """Make the folder. Raises Unreachable where nothing can be written there."""
        probe = self._folder / f".k2conn-probe-{os.getpid()}"  # another process may have the same folder
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            probe.unlink(missing_ok=True)
            FileIO(probe, "x").close()  # follows no link
            probe.unlink()
        except OSError as error:
            raise Unreachable(f"cannot write into the folder {self._folder}: {error.strerror or error}") from error

    async def prepare(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """Check the topics' names. Raises SinkError for one that cannot be a folder's name."""
        for topic in topics:
            _check_topic(topic)

    def put(self, envelope: Envelope) -> None:
        """Take one envelope; it is written when a block is full, or within a second."""
        topic = envelope.topic
        waiting = self._waiting.get(topic)
        if waiting is None:
            _check_topic(topic)
            waiting = self._waiting[topic] = []
            self._sizes[topic] = 0
        waiting.append(envelope)
        size = len(envelope.value)
        self._bytes += size
        before = self._sizes[topic]
        self._sizes[topic] = before + size
        if before < BLOCK_BYTES <= before + size:
            asyncio.get_running_loop().call_soon(self._write, topic)
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY, self._write_all)

    def put_all(self, envelopes: Sequence[Envelope]) -> None:
        """``put`` for many, mostly of one topic."""
        for topic, group in groupby(envelopes, key=_TOPIC):
            first, *rest = group
            self.put(first)  # makes sure of the topic, and of the timer
            size = sum(map(len, map(_VALUE, rest)))
            self._waiting[topic] += rest
            self._bytes += size
            before = self._sizes[topic]
            self._sizes[topic] = before + size
            if before < BLOCK_BYTES <= before + size:
                asyncio.get_running_loop().call_soon(self._write, topic)

    @property
    def crowded(self) -> bool:
        """Whether more waits than the bound."""
        return self._bytes > self._bound

    async def drain(self) -> None:
        """Wait until the disk takes what waits."""
        self._write_all()
        while self.crowded:
            self._moved.clear()
            await self._moved.wait()

    async def flush(self, within: float) -> int:
        """Write all that waits, again and again for at most ``within`` seconds."""
        end = asyncio.get_running_loop().time() + within
        self._write_all()
        while self._queued and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(min(FLUSH_EVERY, within))
            self._write_all()
        return self._queued

    async def close(self) -> None:
        """Write what waits, close every file."""
        self._write_all()
        if self._timer is not None:
            self._timer.cancel()
        for topic in list(self._segments):
            self._leave(topic)
        self._lose()

    def status(self) -> FileSinkStatus:
        """What waits, and whether the disk takes it."""
        return {
            "reachable": not self._troubled,
            "queued": self._queued,
            "errors": self._errors,
            "last_error": self._last_error,
            "folder": str(self._folder),
        }

    @property
    def _queued(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _write_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for topic in list(self._waiting):
            self._write(topic)
        if self._queued and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY, self._write_all)

    def _write(self, topic: str) -> None:
        try:
            for schema, group in groupby(list(self._waiting[topic]), key=_SCHEMA):
                segment = self._segment(topic, schema)
                segment.write(list(group), lambda count: self._written(topic, count))
                if segment.size >= self._rotation:
                    self._leave(topic)
        except OSError as error:
            self._failed(topic, error)
        else:
            if self._troubled and self._troubled.pop(topic, "") and not self._troubled:
                _LOG.warning("files: %s takes records again, after %d errors", self._folder, self._errors)

    def _segment(self, topic: str, schema: RecordSchema | None) -> ContainerFile:
        segment = self._segments.get(topic)
        if segment is not None and segment.schema is not schema:
            self._leave(topic)
            segment = None
        if segment is None:
            segment = self._segments[topic] = ContainerFile(self._folder / topic, schema)
        return segment

    def _written(self, topic: str, count: int) -> None:
        waiting = self._waiting[topic]
        batch = waiting[:count]
        del waiting[:count]
        size = sum(map(len, map(_VALUE, batch)))
        self._bytes -= size
        self._sizes[topic] -= size
        self._moved.set()
        if batch:
            self._settle(batch)

    def _failed(self, topic: str, error: OSError) -> None:
        self._errors += 1
        text = self._last_error = f"{self._folder / topic}: {error.strerror or error}"
        if not self._troubled:
            _LOG.error("files: cannot write: %s; what waits for it is in memory, then sockets wait", text)
        self._troubled[topic] = text
        self._leave(topic)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY, self._write_all)

    def _lose(self) -> None:
        """At the end, what no file took is lost: it is in the accounts, and said."""
        lost = [envelope for waiting in self._waiting.values() for envelope in waiting]
        for envelope in lost:
            if envelope.account is not None:
                envelope.account.lost += 1
        if lost:
            _LOG.error("files: %d records are lost: %s", len(lost), self._last_error)

    def _leave(self, topic: str) -> None:
        segment = self._segments.pop(topic, None)
        if segment is None:
            return
        try:
            segment.close()
        except OSError as error:
            self._errors += 1
            self._last_error = f"{segment.path}: {error.strerror or error}"


def _new_file(folder: Path, suffix: str) -> tuple[Path, FileIO]:
    folder.mkdir(parents=True, exist_ok=True)
    start = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    number = 0
    while True:
        path = folder / f"{start}-{number}.{suffix}"
        try:
            return path, FileIO(path, "x")
        except FileExistsError:
            number += 1


def _check_topic(topic: str) -> None:
    if not TOPIC.fullmatch(topic):
        raise SinkError(f"{topic!r} cannot be a topic: letters, digits, '.', '_' and '-' only, no '.' first")


SINK = SinkKind(
    "Avro files in a folder a topic, dead letters as JSON lines",
    lambda settings, settle, reject: FileSink(settings, settle),  # it rejects nothing
    settings=FileSettings,
    variables={"K2_SINK_FOLDER": Variable("folder", "path", "Where the files go, a folder for each topic.")},
    flags={"folder": "folder"},
    folders=("folder",),
    where=lambda options: str(options.folder),
)
