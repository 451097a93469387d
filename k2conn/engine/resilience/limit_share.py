"""The part of a venue's limit that one of several processes keeps to."""

from __future__ import annotations

from k2conn.plan import Rate


class LimitShare:
    """Among how many processes a limit is divided. It may change while the limit is kept: members of a group come and
    go.
    """

    def __init__(self) -> None:
        self.among = 1


def part_of(rate: Rate | None, among: int) -> Rate | None:
    """A rate divided among so many: fewer in the same time, or one in a longer time."""
    if rate is None or among == 1:
        return rate
    if rate.count >= among:
        return Rate(rate.count // among, rate.seconds)
    return Rate(1, rate.seconds * among / rate.count)
