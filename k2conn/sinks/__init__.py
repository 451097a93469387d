"""Sinks: where envelopes become durable. One file (or folder) each, named by its kind.

A component's file says what it is (its ``SINK``): what it has settings for and what may be done with it. What it needs
is imported when it is made.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from typing import Annotated, Any, NamedTuple, NotRequired, Protocol, TypedDict

from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.errors import SettingsError
from k2conn.merging import all_true, each_by_name, side_by_side, total
from k2conn.registry import Registry
from k2conn.sinks.journal import JournalEntries, JournalSettings
from k2conn.sinks.settings import SinkSettings

Settle = Callable[[Sequence[Envelope]], None]
"""Told, in order, which envelopes are durable: acknowledged by Kafka, or written and flushed to the OS."""


class Reject(Protocol):
    """Told of one envelope the sink can never take, and why: "record-too-large" or "refused-by-sink". It turns
    the envelope into a dead letter and puts that; a dead letter that is rejected in its turn is lost and counted
    as such.
    """

    def __call__(self, envelope: Envelope, reason: str, words: str = "") -> None:
        """``words`` are those of whoever refused it; they become the dead letter's detail."""



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


class JournalSink(Sink, Protocol):
    """A sink that keeps state beside the records, and reads it back.

    Where another process may still be the one that writes, whoever waits for its turn calls `warm_up` first, and
    `keep_warm` until then.
    """

    async def warm_up(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """Makes all ready that can be before `open` without disturbing the process that writes now, and reads the
        state. Where something fails it comes back, and `open` finds it out.
        """

    async def keep_warm(self) -> None:
        """Reads on what comes of the state, until cancelled; comes back where something fails."""

    async def read_journal(self) -> JournalEntries:
        """What is kept, once the sink is open. Unreachable, or SinkError for what cannot be read."""


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


@dataclass(frozen=True)
class NoOptions:
    """The settings of a sink that has none of its own."""


class Finding(NamedTuple):
    """What a look at a dependency found: ``subject`` is what was looked at, ``where`` its address."""

    subject: str
    where: str
    detail: str
    ok: bool


@dataclass(frozen=True, slots=True)
class SinkKind:
    """What a sink is: the ``SINK`` of its file, or what an entry point of `k2conn.sinks` names.

    ``settings`` is a frozen dataclass with a default for every field, which raises SettingsError for what cannot be.
    Each field is read from the environment: by ``variables``, or where that is None from ``K2_SINK_<KIND>_<FIELD>`` by
    the field's type (str, int, bool or Path; a field without a repr is a secret; an int whose name ends with ``_ms``
    may be said with a unit). `--sink-option FIELD=VALUE` sets any of them that is no secret.
    """

    summary: str
    """One line for people."""
    make: Callable[[SinkSettings, Settle, Reject], Sink]
    """Makes a sink, not yet open; the settings' ``options`` are an instance of ``settings``."""
    settings: type[Any] = NoOptions
    variables: Mapping[str, tuple[str, str]] | None = None
    """Environment variable -> (field, how its text is read: text, int, ms, bool, path or secret)."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """Flags of `k2conn run` -> field."""
    implied_by: str | None = None
    """The field that means this kind where no kind is said."""
    spoolable: bool = False
    """Whether it is across a network, so that a spool on disk goes before it: it then is a `SpoolableSink`."""
    processes: bool = True
    """Whether several processes (`--workers`) may have one each."""
    database: bool = False
    """Whether its records are rows that a server answers for."""
    registry: bool = False
    """Whether it needs a schema registry."""
    folders: Sequence[str] = ()
    """The fields that name folders it writes to."""
    where: Callable[[Any], str] = lambda options: ""
    """Where it writes, for people, by its settings."""
    check: Callable[[Any], Sequence[str]] = lambda options: ()
    """What is wrong with its settings that only a look at this machine's files tells, settings called by their
    fields.
    """
    probe: Callable[[Any, Iterable[str]], Awaitable[Sequence[Finding]]] | None = None
    """Reaches out to where it would write, given its settings and the topics, without writing: for `k2conn doctor`."""
    journal: Callable[[Any], JournalSettings | None] = lambda options: None
    """How state is kept beside the records, by its settings; None where it is not. With it, its sink is a
    `JournalSink`.
    """
    prefix: Callable[[Any], str] = lambda options: ""
    """What goes before the name of every topic, by its settings."""

    def read_from(self, name: str) -> Mapping[str, tuple[str, str]]:
        """``variables``, those too that follow from the fields. ``name`` is the kind's."""
        if self.variables is not None:
            return self.variables
        start = f"K2_SINK_{re.sub('[^A-Z0-9]', '_', name.upper())}_"
        return {f"{start}{one.name.upper()}": (one.name, _how_read(one)) for one in fields(self.settings)}


def _how_read(one: Field[Any]) -> str:
    if not one.repr:
        return "secret"
    text = one.type if isinstance(one.type, str) else one.type.__name__
    kind = {"str": "text", "int": "int", "bool": "bool", "Path": "path"}.get(text.removesuffix(" | None"))
    if kind == "int" and one.name.endswith("_ms"):
        return "ms"
    if kind is None:
        raise TypeError(f"the setting {one.name} is a {text}: it must be a str, int, bool or Path")
    return kind


SINKS = Registry(
    "sink", "k2conn.sinks", "SINK", SinkKind, shared=("batching", "journal", "lanes", "positions", "settings")
)
"""All sinks, by kind."""


def database(settings: SinkSettings) -> bool:
    """Whether the sink that ``settings`` name is a database."""
    return SINKS.get(settings.kind).database


def make_sink(settings: SinkSettings, settle: Settle, reject: Reject) -> Sink:
    """The sink that ``settings`` name, not yet open. SettingsError, listing the known kinds, for an unknown
    one.
    """
    kind = SINKS.get(settings.kind)
    return kind.make(with_options(settings, kind), settle, reject)


def refuse_borders(settings: SinkSettings) -> None:
    """SettingsError where the sink commits what lies between two borders, for whoever puts none: there, nothing would
    ever be committed.
    """
    kind = SINKS.get(settings.kind)
    given = kind.journal(with_options(settings, kind).options)
    if given is not None and given.atomic:
        raise SettingsError("K2_KAFKA_DELIVERY=exactly-once is for `k2conn run` with connectors: say at-least-once")


def with_options(settings: SinkSettings, kind: SinkKind) -> SinkSettings:
    """The settings with the kind's defaults where they say nothing."""
    return settings if settings.options is not None else replace(settings, options=kind.settings())
