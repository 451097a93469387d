"""How missing records are fetched over HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from k2conn.plan.conditions import Match
from k2conn.plan.limits import Rate
from k2conn.plan.sending import HttpRequest
from k2conn.plan.stream import Stream
from k2conn.plan.values import Getter, Reader


@dataclass(frozen=True, slots=True)
class BackfillPage:
    """An answer holds at most ``size`` rows, from that end of the range asked for that ``by`` names (``first`` or
    ``last``); the next call moves that end.
    """

    size: int
    by: str


@dataclass(frozen=True, slots=True)
class Backfill:
    """The REST call that a stream's missing records are asked for with, and how its answer is read."""

    request: HttpRequest
    each: Getter | None
    """Where the rows are; None: the answer is the list of them."""
    each_text: str
    rows: Stream
    """The stream as its rows are read: the same records with the same ids, from items of another shape."""
    number: Reader | None
    """A row's number in the stream's sequence; None where the sequence has no holes that numbers tell of."""
    time: Reader
    """A row's event time, microseconds since the epoch."""
    timed: bool
    """Whether the call says a time."""
    symbols: Match | None = None
    """The symbols that are asked for with this call; None: all."""
    limit: Rate | None = None
    page: BackfillPage | None = None
    """None: one call is all there is."""
