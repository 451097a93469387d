"""What we send: templates, what they are filled from, and HTTP requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from k2conn.intervals import Interval
from k2conn.plan.conditions import Match
from k2conn.plan.values import Getter, Json
from k2conn.symbols import Symbol


@dataclass(frozen=True, slots=True)
class MissingRange:
    """What a REST call asks for: the numbers ``first`` to ``last`` (both included), at most ``count`` of them, and the
    event times (microseconds since the epoch) of the records before and after.

    ``first`` and ``last`` are 0 where records have no numbers. Where records are about spans of time, they are the
    numbers of the spans that ``interval`` knows.
    """

    first: int
    last: int
    count: int
    from_us: int
    to_us: int
    interval: Interval | None = None


class SendScope(NamedTuple):
    """What a frame to be sent, a URL or an HTTP request can be built from.

    ``counter`` and ``uuid`` are called once for each appearance; ``now_us`` is microseconds since the epoch.
    """

    counter: Callable[[], int]
    uuid: Callable[[], str]
    now_us: int
    state: Mapping[str, Json]
    environment: Mapping[str, str]
    symbols: tuple[Symbol, ...] = ()
    topics: tuple[Json, ...] = ()
    message: Json = None
    sign: Callable[[SendScope], Json] | None = None
    """Computes ``$signature`` on this connection."""
    missing: MissingRange | None = None
    """The missing range, in a backfill call."""


Template = Callable[[SendScope], Json]
"""A compiled template: what is sent, or a part of it; raises RecordError where a value that it needs is not known."""


@dataclass(frozen=True, slots=True)
class Capture:
    """A value captured from a message and kept in ``$state`` until the connection ends, or (``keep``) beyond.

    ``key`` None: ``$state.into`` becomes the value; else ``$state.into`` is a table and gets one row.
    """

    into: str
    value: Getter
    key: Getter | None = None
    when: Match | None = None
    data: bool = False
    """Whether it is also captured from a stream's messages."""
    keep: bool = False
    """Whether the next connection of the same symbols begins with it."""
    text: str = ""
    """What the author wrote for ``value``, and for ``key``."""
    key_text: str = ""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP call: before connecting (a token), for a symbol list, or to sign in."""

    method: str
    url: Template
    url_text: str
    headers: Template | None = None
    body: Template | None = None
    form: Template | None = None
    """A form's fields instead of a JSON body."""
    capture: tuple[Capture, ...] = ()
    within: float = 10.0
