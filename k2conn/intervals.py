"""Names of spans of time, such as 1m, 15m, 4h or 1d, and how long they are.

Spans of one interval follow each other without a break and are counted from 1970-01-01T00:00:00Z, those of weeks from
the Monday after it. Months have no fixed length and are no intervals.
"""

from __future__ import annotations

import re

_UNITS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
_NAME = re.compile(r"([1-9][0-9]{0,3})([smhdw])")
_MONDAY_US = 4 * _UNITS["d"]


class Interval:
    """One interval: its ``name``, its ``length_us`` (microseconds), and the number of the span that a time is in.

    ``begin_us`` and ``end_us`` of a number are the beginning of that span, which belongs to it, and that of the next.
    """

    __slots__ = ("_origin_us", "length_us", "name")

    def __init__(self, name: str) -> None:
        """ValueError where the name is that of no interval."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"'{name}' is no interval: a number and s, m, h, d or w, such as 1m")
        self.name = name
        self.length_us = int(found.group(1)) * _UNITS[found.group(2)]
        self._origin_us = _MONDAY_US if found.group(2) == "w" else 0

    def number(self, time_us: int) -> int:
        """The number of the span that a time (microseconds since 1970 UTC) is in."""
        return (time_us - self._origin_us) // self.length_us

    def begin_us(self, number: int) -> int:
        """When the span of that number begins, microseconds since 1970 UTC."""
        return number * self.length_us + self._origin_us

    def end_us(self, number: int) -> int:
        """When the span of that number ends, microseconds since 1970 UTC."""
        return self.begin_us(number + 1)

    def begins(self, time_us: int) -> bool:
        """Whether a span begins at that time."""
        return (time_us - self._origin_us) % self.length_us == 0
