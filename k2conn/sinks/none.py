"""The sink that keeps nothing: for a run that only records or is only looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.sinks import SinkKind, SinkStatus
from k2conn.sinks.settings import SinkSettings


class NoneSink:
    """Lets every envelope go at once; it counts as published."""

    name = "none"
    crowded = False

    def __init__(self, settle: Callable[[Sequence[Envelope]], None]) -> None:
        self._settle = settle

    async def open(self) -> None:
        """Nothing to reach."""

    async def prepare(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """Nothing to prepare."""

    def put(self, envelope: Envelope) -> None:
        """Let one envelope go."""
        self._settle((envelope,))

    def put_all(self, envelopes: Sequence[Envelope]) -> None:
        """``put`` for many."""
        if envelopes:
            self._settle(envelopes)

    async def drain(self) -> None:
        """There is always room."""

    async def flush(self, within: float) -> int:
        """Nothing waits."""
        return 0

    async def close(self) -> None:
        """Nothing is open."""

    def status(self) -> SinkStatus:
        """Always the same."""
        return {"reachable": True, "queued": 0, "errors": 0, "last_error": None}


def _made(settings: SinkSettings, settle: Callable[[Sequence[Envelope]], None], reject: object) -> NoneSink:
    return NoneSink(settle)


SINK = SinkKind("nothing: records are made, counted and let go", _made)
