"""The part of a venue's limit that one of several processes keeps to."""

from __future__ import annotations

from math import ceil

from k2conn.plan import Rate


class LimitShare:
    """Among how many processes a limit is divided, and which of them this is, from 0. Both may change while the limit
    is kept: members of a group come and go.
    """

    def __init__(self) -> None:
        self.among = 1
        self.place = 0

    def turn(self, rate: Rate) -> float:
        """Seconds that this process waits with the first of its attempts: where a limit allows fewer at once than there
        are processes, those at the front go first.
        """
        return self.place // rate.count * rate.seconds if self.among > rate.count else 0.0


def part_of(rate: Rate | None, among: int) -> Rate | None:
    """A rate divided among so many: fewer in the same time, or one in a longer time."""
    if rate is None or among == 1:
        return rate
    if rate.count >= among:
        return Rate(rate.count // among, rate.seconds)
    return Rate(1, rate.seconds * ceil(among / rate.count))
