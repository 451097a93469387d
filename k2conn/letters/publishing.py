"""Publishes mended frames: each is marked when all of its records are durable, and not before."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from k2conn.batch.delivery import FLUSH_WITHIN, Delivery
from k2conn.clock import monotonic
from k2conn.engine.accounting.ledger import Account
from k2conn.letters.letter import DeadFrame
from k2conn.letters.marks import Marks
from k2conn.letters.mending import Mender
from k2conn.runner.stopping import unless_stopped
from k2conn.sinks.settings import SinkSettings

_AT_ONCE = 500
"""Frames between two marks."""
_SOON = 0.02


@dataclass(slots=True)
class DlqOutcome:
    """What came of the frames. ``why_not``: reasons why some could not be mapped again, with their numbers."""

    frames: int = 0
    before: int = 0
    mended: int = 0
    in_part: int = 0
    """Frames of which only some dead items would be records: none of them is published."""
    records: int = 0
    still: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """Items that are no records with today's file either: connector, stream, reason, field."""
    why_not: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)
    """Some of the records."""
    unsent: int = 0
    stopped: bool = False


class Publishing:
    """Some frames, the connectors that map them, and a sink; without ``settings`` it only looks what would come."""

    def __init__(
        self, frames: Sequence[DeadFrame], menders: Mapping[str, Mender], marks: Marks | None,
        settings: SinkSettings | None, examples: int = 5,
    ) -> None:
        self.outcome = DlqOutcome(len(frames))
        self._frames, self._menders, self._marks, self._examples = frames, menders, marks, examples
        self._delivery = Delivery(settings, [one.state for one in menders.values()]) if settings is not None else None

    async def run(self, stop: asyncio.Event) -> DlqOutcome:
        """Raises Unreachable where the sink cannot be opened, SinkError where it cannot go on."""
        delivery = self._delivery
        if delivery is not None and not await unless_stopped(delivery.open(), stop):
            self.outcome.stopped = True
            return self.outcome
        try:
            for at in range(0, len(self._frames), _AT_ONCE):
                if stop.is_set() or self.outcome.unsent:
                    break
                await self._some(self._frames[at : at + _AT_ONCE], stop)
        finally:
            if delivery is not None:
                await delivery.close()
        self.outcome.stopped = stop.is_set()
        return self.outcome

    async def _some(self, frames: Sequence[DeadFrame], stop: asyncio.Event) -> None:
        published = []
        for frame in frames:
            if stop.is_set():
                break
            if self._marks is not None and self._marks.has(frame):
                self.outcome.before += 1
            elif await self._one(frame):
                published.append(frame)
            await asyncio.sleep(0)
        if self._delivery is not None and published:
            if await self._durable():
                if self._marks is not None:
                    self._marks.add(published)
            else:
                self.outcome.unsent = max(1, self._delivery.in_flight)

    async def _one(self, frame: DeadFrame) -> bool:
        """Maps a frame; whether all of it is records now, and handed on."""
        outcome = self.outcome
        mended = self._menders[frame.connector].mend(frame)
        if mended.why_not:
            outcome.why_not[mended.why_not] += 1
            return False
        if mended.unrecognised:
            outcome.why_not["no rule of the connector file recognises it"] += 1
            return False
        for one in mended.still:
            stream, reason, where = (str(one.get(name) or "-") for name in ("stream", "reason", "field"))
            outcome.still[frame.connector, stream, reason, where] += int(one.get("count", 1))
        if mended.still or self._delivery is None:
            for envelope in mended.envelopes:
                if isinstance(envelope.account, Account):
                    envelope.account.not_wanted()
        if mended.still:
            outcome.in_part += 1
            return False
        outcome.mended += 1
        outcome.records += len(mended.envelopes)
        for envelope in mended.envelopes:
            if len(outcome.examples) < self._examples and envelope.schema is not None:
                record = envelope.schema.decode_plain(envelope.value)
                outcome.examples.append({"topic": envelope.topic, "frame_id": frame.frame_id, "record": record})
        if self._delivery is not None and self._delivery.put(mended.envelopes):
            await self._delivery.drain()
        return True

    async def _durable(self) -> bool:
        delivery, end = self._delivery, monotonic() + FLUSH_WITHIN
        assert delivery is not None
        while True:
            unsent = await delivery.flush(max(0.0, end - monotonic()))
            if not unsent and not delivery.in_flight:
                return True
            if monotonic() >= end:
                return False
            await asyncio.sleep(_SOON)
