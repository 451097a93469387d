"""The subscription steps of a connection, and the replies they wait for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from k2conn.plan.conditions import Match
from k2conn.plan.sending import Template
from k2conn.plan.values import Getter, Json


@dataclass(frozen=True, slots=True)
class Retry:
    """When a refused or unanswered subscription is asked for again: after ``after`` seconds, then after twice as long,
    at most ``longest``, and so many times. None: as the engine does where the file does not say.
    """

    after: float | None = None
    longest: float | None = None
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """The reply a step waits for. ``first_data``: no acknowledgement exists, the first data frame confirms."""

    within: float
    first_data: bool = False
    accepted: Match | None = None
    refused: Match | None = None
    symbol: Getter | None = None
    """Which symbol (native, or a list of them) a reply speaks of."""
    topic: Getter | None = None
    """Which topic (or list of topics) a reply speaks of: this decides where it is there, ``symbol`` else."""
    reply_to: Getter | None = None
    """The reply's copy of the frame's ``$counter`` value."""
    reason: Getter | None = None
    final: Match | None = None
    """Which refusals are not worth asking again; None: none."""
    retry: Retry = Retry()
    data: bool = False
    """Whether a reply may be a stream's message, too."""
    symbol_text: str = ""
    """What the author wrote for ``symbol`` and the three after it: where a mock exchange puts such values."""
    topic_text: str = ""
    reply_to_text: str = ""
    reason_text: str = ""
    spoken: tuple[tuple[str, str], ...] = ()
    """All that the author wrote for the four, whole, by its key."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """How a step is sent again on the open connection. ``every`` gives seconds from the connection's state; ``learnt``:
    they are what the venue says; ``early``: so many seconds sooner.
    """

    every: Callable[[Mapping[str, Json]], float]
    every_text: str
    learnt: bool = False
    early: float = 0.0
    send: Template | None = None
    """What is sent; None: what the step sends."""
    text: str = ""
    before: bool = False
    """Whether the calls of `before` are made again first."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request after connecting. ``per``: one frame (None), or one for each ``symbol`` or ``topic``."""

    send: Template | None
    """None: nothing is sent, the step waits for a message that the venue sends unasked (a welcome)."""
    text: str
    streams: tuple[str, ...] = ()
    """The streams that this frame subscribes; empty for set-up (login, flags)."""
    per: str | None = None
    batch: int | None = None
    batch_bytes: int | None = None
    uses_counter: bool = False
    expect: Expect | None = None
    undo: Template | None = None
    undo_text: str = ""
    name: str = ""
    pause: float = 0.0
    """Seconds to leave between two frames of this step."""
    symbols: Match | None = None
    """Which symbols this step is for (a condition on {symbol, base, quote, record}); None for all."""
    renew: Renewal | None = None
    """How it is sent again; None: it is not."""
    later: Template | None = None
    """What every frame but the first one on a connection is; None: the same."""
    later_text: str = ""
