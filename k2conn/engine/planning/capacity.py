"""What a connector will need of a machine, reckoned from what was measured (docs/capacity.md says where and how). Pure.

Every figure is for steady traffic in single frames, which is the dearest kind; all are rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

CPU_US = 62.0
"""Microseconds of CPU for a record at 10,000 a second, of the dearest mixture of symbols and connectors."""
FULL_SPEED_US = 10.7
"""The same where a process has no time to rest: frames are then read and sent many at a time."""
SHARE = 0.7
"""Of one core, what a process is to use at its busiest: the rest is for bursts."""
PROCESS_MB = 61.1
"""Megabytes of a process before the first record."""
WINDOW_MB = 6.0
"""Megabytes of a stream's duplicate window, once it is full."""
SYMBOL_KB = 5.0
"""Kilobytes of one symbol on one stream."""
RECORD_BYTES = 320
"""Nine in ten records of the shipped connectors are smaller."""
SPOOL_BYTES = 33
"""What the spool adds to a record."""
CONSUMER_RATE = 10_991
"""Records a second that one consumer wrote into PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What is needed. Bytes are bytes."""

    cores: float
    workers: int
    memory: int
    """Of all processes together."""
    kafka_day: int
    """Of the topics in a day, before compression, of one replica."""
    spool: int
    """Of the disk, for an outage."""
    partitions: int
    """Of the busiest topic, so that consumers can keep up."""


def capacity(rate: float, symbols: int, streams: int, outage: float) -> Capacity:
    """``rate``: records a second at the busiest; ``symbols`` of each of ``streams``; ``outage``: seconds for which the
    sink may be away.
    """
    cores = rate * CPU_US / 1e6
    workers = max(1, ceil(cores / SHARE))
    # With workers there is a process more, which supervises them; each worker has windows of its own.
    processes = workers + (workers > 1)
    megabytes = processes * PROCESS_MB + workers * streams * WINDOW_MB + symbols * streams * SYMBOL_KB / 1000
    return Capacity(
        cores=cores,
        workers=workers,
        memory=ceil(megabytes) * 1_000_000,
        kafka_day=ceil(rate * 86_400 * RECORD_BYTES),
        spool=ceil(rate * outage * (RECORD_BYTES + SPOOL_BYTES)),
        partitions=max(1, ceil(rate / CONSUMER_RATE)),
    )
