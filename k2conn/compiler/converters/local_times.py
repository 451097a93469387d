"""Local times of a zone: what its clocks showed, and what that was in UTC.

Settled: a time that no clock of the zone showed (clocks were set forward over it) is an error, and so is one that they
showed twice (clocks were set back), unless the connector file says which of the two is meant.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Literal

from k2conn.errors import RecordError

Ambiguous = Literal["earlier", "later"] | None


def local_offset(moment: datetime, zone: tzinfo, ambiguous: Ambiguous) -> timedelta:
    """How far ahead of UTC the zone's clocks were when they showed ``moment`` (without a zone); RecordError, bad-time,
    where they never did, or twice and nothing says which is meant.
    """
    before, after = offsets(moment, zone)
    if before == after:
        return before
    if before < after:
        detail = f"{moment} was never shown by clocks of {zone}: they were set forward over it"
        raise RecordError(None, None, None, "bad-time", detail)
    if ambiguous is None:
        detail = f"{moment} was shown twice by clocks of {zone}, which were set back: `ambiguous` says which is meant"
        raise RecordError(None, None, None, "bad-time", detail)
    return before if ambiguous == "earlier" else after


def steady_minute(minute: datetime, zone: tzinfo) -> bool:
    """Whether the zone's clocks went evenly through a minute, so that its seconds count from its beginning."""
    end = minute + timedelta(seconds=59, microseconds=999_999)
    return len({*offsets(minute, zone), *offsets(end, zone)}) == 1


def offsets(moment: datetime, zone: tzinfo) -> tuple[timedelta, timedelta]:
    """The offsets by the clock before and after a change; the same where none is near."""
    first, second = (moment.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return first, second
