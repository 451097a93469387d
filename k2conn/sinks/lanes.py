"""Lanes: envelopes that wait for one destination (a table), in order, and the batch that is under way. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from k2conn.envelope import Envelope

KEPT = 100
"""Envelopes of a topic that a lane in trouble keeps, to find out when it is well again."""


@dataclass(frozen=True, slots=True)
class BatchRule:
    """When a batch goes: with ``rows`` waiting, or when the first has waited for ``seconds``; ``most`` rows at once."""

    rows: int
    seconds: float
    most: int


class Lane:
    """One destination. ``failures`` counts attempts in a row that failed, ``trouble`` says why it alone fails,
    ``away`` that its server does not answer.
    """

    def __init__(self, name: str, rule: BatchRule) -> None:
        self.name = name
        self.rule = rule
        self.waiting: list[Envelope] = []
        self.under_way: list[Envelope] = []
        self.due = asyncio.Event()
        self.timer: asyncio.TimerHandle | None = None
        self.began = 0.0
        """When the batch under way was first sent."""
        self.failures = 0
        self.trouble: str | None = None
        self.away = False

    def look(self, loop: asyncio.AbstractEventLoop, hurry: bool = False) -> None:
        """See whether a batch is due, or when; ``hurry``: now, however small."""
        if not self.waiting:
            return
        if hurry or len(self.waiting) >= self.rule.rows:
            self.due.set()
        elif self.timer is None:
            self.timer = loop.call_later(self.rule.seconds, self.due.set)

    def depart(self, now: float) -> list[Envelope]:
        """The next batch, which is under way from now on."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.due.clear()
        self.under_way = self.waiting[: self.rule.most]
        del self.waiting[: self.rule.most]
        self.began = now
        return self.under_way

    def arrived(self, part: Sequence[Envelope]) -> None:
        """The first of what is under way are done with."""
        self.under_way = self.under_way[len(part) :]

    def unsettled(self) -> Iterator[Envelope]:
        """What is here, oldest first."""
        yield from self.under_way
        yield from self.waiting

    def topics(self) -> set[str]:
        """The topics of what is here."""
        return {envelope.topic for envelope in self.unsettled()}

    def withdraw(self, topic: str) -> list[Envelope]:
        """Remove and return what waits for ``topic``, except the first few where none is under way."""
        kept = 0 if any(envelope.topic == topic for envelope in self.under_way) else KEPT
        own = [envelope for envelope in self.waiting if envelope.topic == topic]
        given = own[kept:]
        stay = {id(envelope) for envelope in own[:kept]}
        self.waiting = [envelope for envelope in self.waiting if envelope.topic != topic or id(envelope) in stay]
        return given
