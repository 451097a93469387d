"""Sinks: where envelopes become durable. One file (or folder) each, named by its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, NotRequired, Protocol, TypedDict

from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.errors import SettingsError
from k2conn.merging import all_true, each_by_name, side_by_side, total
from k2conn.sinks.settings import SinkSettings

Settle = Callable[[Sequence[Envelope]], None]
"""Told, in order, which envelopes are durable: acknowledged by Kafka, or written and flushed to the OS."""

Reject = Callable[[Envelope, str], None]
"""Told of one envelope the sink can never take, and why: "record-too-large" or "refused-by-sink". It turns
the envelope into a dead letter and puts that; a dead letter that is rejected in its turn is lost and counted
as such.
"""


class SinkStatus(TypedDict):
    """What every sink says of itself on the health page; a kind of sink may say more, in a type of its own below this.
    """

    reachable: Annotated[bool, all_true]
    queued: Annotated[int, total]
    """Envelopes that wait in it."""
    errors: Annotated[int, total]
    last_error: Annotated[str | None, side_by_side]
    trouble: NotRequired[Annotated[dict[str, str], each_by_name(side_by_side)]]
    """Topics that alone are in trouble, each with the reason."""


class Sink(Protocol):
    """Takes envelopes and makes them durable, in order per topic and key, at least once.

    Every envelope that ``put`` took ends in exactly one call of ``settle`` or ``reject``, however long that
    takes: a sink in trouble keeps what it has, tries again, and says so in ``status``. All methods belong to
    one event loop.
    """

    name: str

    async def open(self) -> None:
        """Make ready. Raises Unreachable after a bounded wait, naming the address and the reason."""

    async def prepare(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """Make ``topics`` ready before their first envelope (None: dead letters): register schemas, create
        topics.

        Optional, for a start that fails early: raises Unreachable, or SinkError where a schema is refused.
        """

    def put(self, envelope: Envelope) -> None:
        """Take one envelope. Never blocks, never refuses; neither settles nor rejects before it returns."""

    @property
    def crowded(self) -> bool:
        """Whether more waits than the bound: the caller must await ``drain`` before it reads further."""

    async def drain(self) -> None:
        """Wait until there is room again. Raises SinkError where this sink can never go on."""

    async def flush(self, within: float) -> int:
        """Wait at most ``within`` seconds for everything taken so far; how many envelopes are still not
        durable.
        """

    async def close(self) -> None:
        """Let go of every resource, within a few seconds. What is not durable by then stays unsettled."""

    def status(self) -> SinkStatus:
        """For the health page, as it is now."""


class SpoolableSink(Sink, Protocol):
    """A sink across a network, before which a spool on disk makes sense. Its ``status`` may name topics that alone are
    in ``trouble``.
    """

    def unsettled(self) -> Iterator[Envelope]:
        """What was taken and neither settled nor rejected yet, in order per topic and key."""

    def withdraw(self, topic: str) -> Sequence[Envelope]:
        """Give back what waits for a topic in trouble, but for a few that find out when it is well again. They are
        forgotten here, and come later per key than all that stays.
        """


def putter(sink: Sink) -> Callable[[Sequence[Envelope]], None]:
    """``put`` for many envelopes: the sink's own ``put_all``, where it has one that is quicker."""
    own: Callable[[Sequence[Envelope]], None] | None = getattr(sink, "put_all", None)
    if own is not None:
        return own
    put = sink.put

    def put_each(envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            put(envelope)

    return put_each


def known_sinks() -> tuple[str, ...]:
    """The kinds of sinks there are, sorted."""
    return tuple(sorted(module.name for module in iter_modules(__path__) if module.name != "settings"))


def make_sink(settings: SinkSettings, settle: Settle, reject: Reject) -> Sink:
    """The sink that ``settings`` name, not yet open. SettingsError, listing the known kinds, for an unknown
    one.
    """
    if settings.kind not in known_sinks():
        raise SettingsError(f"no sink {settings.kind!r}; known are {', '.join(known_sinks())}")
    sink: Sink = import_module(f"k2conn.sinks.{settings.kind}").make(settings, settle, reject)
    return sink
