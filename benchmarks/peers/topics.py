"""Topics that a program under measurement writes: how much is in them so far, and then all of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from benchmarks.processes import Process

STALLED = 60.0
"""Seconds without one more record after which a run is over."""

_EVERY = 0.05
_WITHIN = 20.0


class Wrong(RuntimeError):
    """What a program wrote is not what was sent."""


class Topics:
    """Topics of one partition each."""

    def __init__(self, bootstrap: str, names: Sequence[str]) -> None:
        """Makes them."""
        admin = AdminClient({"bootstrap.servers": bootstrap})  # a name of its own: it works as long as it is held
        for done in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
            done.result(_WITHIN)
        self._lanes = [TopicPartition(name, 0, OFFSET_BEGINNING) for name in names]
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False})

    def count(self) -> int:
        """Records in the topics, by their end offsets."""
        found = 0
        for lane in self._lanes:
            offsets = self._consumer.get_watermark_offsets(lane, _WITHIN)
            if offsets is None:
                raise Wrong(f"the broker does not say what is in {lane.topic}")
            found += offsets[1]
        return found

    def wait(self, count: int, process: Process) -> float:
        """Returns when there are so many: the moment (`time.perf_counter`) at which this was seen.

        Wrong where no more come, or the process is gone. Costs the process nothing: only the broker is asked.
        """
        last, since = -1, time.perf_counter()
        while True:
            found, now = self.count(), time.perf_counter()
            if found >= count:
                return now
            if found > last:
                last, since = found, now
            if now - since > STALLED or not process.running:
                why = f"no more in {STALLED:.0f} s" if process.running else "the process ended"
                raise Wrong(f"{found:,} of {count:,} records came, then {why}; its log ends: {process.tail(1)!r}")
            time.sleep(_EVERY)

    def values(self) -> Iterator[bytes]:
        """The value of every record that is there now, of each topic in order."""
        left = self.count()
        self._consumer.assign(self._lanes)
        while left:
            messages = self._consumer.consume(min(left, 10_000), _WITHIN)
            if not messages:
                raise Wrong(f"{left:,} records cannot be read")
            for message in messages:
                value = message.value()
                if message.error() is not None or not isinstance(value, bytes):
                    raise Wrong(f"a record that cannot be read: {message.error()}")
                yield value
            left -= len(messages)

    def close(self) -> None:
        """Gives the connections back."""
        self._consumer.close()
