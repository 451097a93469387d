"""The console sink: records as JSON lines on standard output, dead letters on standard error."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.errors import SinkError
from k2conn.sinks import SinkKind, SinkStatus
from k2conn.sinks.settings import SinkSettings

WAIT = 0.05
"""Seconds lines may wait for others, so that a busy stream is not one system call a record."""


class ConsoleSink:
    """One JSON object a record: ``{"topic", "type", "record"}``, decimals as plain text."""

    name = "console"

    def __init__(
        self,
        settings: SinkSettings,
        settle: Callable[[Sequence[Envelope]], None],
        records: TextIO | None = None,
        dead: TextIO | None = None,
    ) -> None:
        self._settle = settle
        self._records = records or sys.stdout
        self._dead = dead or sys.stderr
        self._bound = settings.buffer_bytes
        self._waiting: list[Envelope] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._errors = 0
        self._last_error: str | None = None

    async def open(self) -> None:
        """Nothing to reach."""

    async def prepare(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """Nothing to prepare."""

    def put(self, envelope: Envelope) -> None:
        """Take one envelope; it is printed within a moment."""
        self._waiting.append(envelope)
        self._bytes += len(envelope.value)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WAIT, self._print)

    @property
    def crowded(self) -> bool:
        """Whether much waits, or nobody reads any more (``drain`` says so)."""
        return self._bytes > self._bound or self._last_error is not None

    async def drain(self) -> None:
        """Print now. Raises SinkError when the output was closed."""
        self._print()
        if self._last_error is not None:
            raise SinkError(self._last_error)

    async def flush(self, within: float) -> int:
        """Print now."""
        self._print()
        return len(self._waiting)

    async def close(self) -> None:
        """Print what waits."""
        self._print()

    def status(self) -> SinkStatus:
        """What waits, and whether somebody reads."""
        return {
            "reachable": self._last_error is None,
            "queued": len(self._waiting),
            "errors": self._errors,
            "last_error": self._last_error,
        }

    def _print(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting or self._last_error is not None:
            return
        try:
            self._write()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed by its owner
            self._errors += 1
            self._last_error = f"the output was closed: {error}"
            return
        batch, self._waiting, self._bytes = self._waiting, [], 0
        self._settle(batch)

    def _write(self) -> None:
        records = [line(envelope) for envelope in self._waiting if envelope.schema is not None]
        dead = [envelope.value.decode("utf-8", "replace") for envelope in self._waiting if envelope.schema is None]
        for stream, lines in ((self._records, records), (self._dead, dead)):
            if lines:
                stream.write("\n".join(lines) + "\n")
                stream.flush()


def line(envelope: Envelope) -> str:
    """A record as one line of JSON."""
    assert envelope.schema is not None
    record = envelope.schema.decode_plain(envelope.value)
    return json.dumps({"topic": envelope.topic, "type": envelope.schema.name, "record": record}, ensure_ascii=False)


SINK = SinkKind(
    "JSON lines on standard output, dead letters on standard error",
    lambda settings, settle, reject: ConsoleSink(settings, settle),  # it rejects nothing
    processes=False,  # their lines would be mixed up
)
