"""What a connector needs of a machine, as `k2conn plan --capacity` says it."""

from __future__ import annotations

from collections.abc import Iterator

from k2conn.engine.planning.capacity import Capacity

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def capacity_lines(found: Capacity, outage: str) -> Iterator[str]:
    """For people, one line each; ``outage`` as the user said it."""
    workers = f" (--workers {found.workers})" if found.workers > 1 else ""
    yield f"cores: {found.cores:.2f} at the busiest{workers}"
    yield f"memory: {size(found.memory)} when all windows are full; give the container twice that"
    yield f"Kafka: {size(found.kafka_day)} a day before compression, for each replica"
    yield f"spool: {size(found.spool)} for {outage} without the sink (K2_SPOOL_MAX_BYTES={found.spool})"
    yield f"partitions: {found.partitions} or more of the busiest topic"
    yield "These are rounded up from measurements on one machine: docs/capacity.md"


def size(number: float) -> str:
    """Bytes in the unit that fits, as `1.2 GB`."""
    for unit in _UNITS[:-1]:
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} {_UNITS[-1]}"
