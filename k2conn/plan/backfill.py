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
    """A response has at most ``size`` rows, counted from the end of the requested range that ``by`` names (``first`` or
    ``last``); the next call moves that end.
    """

    size: int
    by: str


@dataclass(frozen=True, slots=True)
class Backfill:
    """The REST call that fetches missing records of a stream, and how its response is read."""

    request: HttpRequest
    each: Getter | None
    """Where the rows are; None: the answer is the list of them."""
    each_text: str
    rows: Stream
    """The stream as its rows are read: the same records with the same ids, from items of another shape."""
    number: Reader | None
    """A row's number in the stream's sequence; None where its numbers are not contiguous."""
    time: Reader
    """A row's event time, microseconds since the epoch."""
    timed: bool
    """Whether the call uses times."""
    symbols: Match | None = None
    """The symbols that this call is for; None: all."""
    limit: Rate | None = None
    page: BackfillPage | None = None
    """None: a single call, without pages."""
