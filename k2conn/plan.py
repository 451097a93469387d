"""The plan: what a checked connector file has become, and all that running it needs.

The hinge of the house. The spec wing builds plans, the engine wing runs them, neither knows the other.
A plan is frozen data and compiled callables; it has no logic of its own, no clock and no I/O.

Words (never mixed): *frame* (from the socket) -> *message* (decoded) -> *item* (one element of a message)
-> *record* (v2 fields) -> *envelope* (encoded bytes with topic and key). "Channel" is the exchange's own word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Json = Any
"""A decoded JSON value: dict, list, str, int, Decimal (never float), bool or None."""


class Scope:
    """What a mapping sees besides the item: ``$message``, ``$state``, ``$received_at``, ``$symbol``, ``$key``.

    One scope lives as long as its connection; ``message`` and ``received_at`` change with every frame.
    ``received_at`` is microseconds since the epoch, taken when the frame arrived, before parsing.
    """

    __slots__ = ("epoch", "heard", "key", "message", "notes", "received_at", "state", "symbol", "unknown_sides")

    def __init__(self, state: dict[str, Json] | None = None) -> None:
        self.message: Json = None
        self.received_at: int = 0
        self.state: dict[str, Json] = {} if state is None else state
        self.symbol: Symbol | None = None
        self.key: str | None = None
        self.notes: dict[str, str] = {}
        """What the converters of one record want said in its vendor_data."""
        self.unknown_sides = 0
        self.epoch = 0
        """Which connection of the connector this is, counted from 1."""
        self.heard: set[str] | None = None
        """Where somebody wants to know: the native names of the symbols in this message."""


@dataclass(frozen=True, slots=True)
class Hole:
    """What a REST call asks for: the numbers ``first`` to ``last`` (both included), at most ``count`` of them, and the
    event times (microseconds since the epoch) of the records before and after.

    Of a hole that has no numbers ``first`` and ``last`` are 0.
    """

    first: int
    last: int
    count: int
    from_us: int
    to_us: int


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
    """What ``$signature`` is on this connection."""
    hole: Hole | None = None
    """What is missing, where that is asked for."""


Getter = Callable[[Json, Scope], Json]
"""A compiled expression: (item or message, scope) -> value, None where nothing is found."""

Condition = Callable[[Json, Scope], bool]
Reader = Callable[[Json, Scope], Any]
"""A getter and its converter in one: the v2 field's value, ready for the encoder; raises RecordError."""

Template = Callable[[SendScope], Json]


class Symbol(NamedTuple):
    """One instrument: ``native`` is the exchange's spelling, ``record`` ours, ``quote`` the quote currency."""

    native: str
    record: str
    base: str
    quote: str
    parts: tuple[tuple[str, str], ...] = ()
    """Further parts of the native name by the rule's own words, such as ("expiry", "260327")."""
    asset_class: str = ""
    """Where a venue has several on one socket; empty: the connector's."""
    currency: str = ""
    """What prices are in, where it is not the quote currency; empty: the quote."""

    @property
    def price_currency(self) -> str:
        """What prices are in."""
        return self.currency or self.quote


@dataclass(frozen=True, slots=True)
class SymbolRule:
    """How native symbols are read; ``resolve`` gives None where no rule matches (never a guess)."""

    default: tuple[str, ...]
    resolve: Callable[[str], Symbol | None]
    description: str
    learn: Callable[[str, str, str], None] = lambda native, base, quote: None
    """Takes in what the venue itself says: (native, base, quote)."""


class Leaf(NamedTuple):
    """One plain path that a condition reads; ``presence``: only whether something is there matters."""

    text: str
    get: Getter
    presence: bool = False
    head: str | None = None
    """The message's own key that the path begins with; None where it begins otherwise."""


@dataclass(frozen=True, slots=True)
class Match:
    """One ``when``: ``equalities`` is the look-up form (None where an expression must run).

    ``leaves`` are the paths whose values decide the condition; None where more than paths decides.
    """

    text: str
    condition: Condition
    equalities: tuple[tuple[str, Getter, tuple[Json, ...]], ...] | None = None
    leaves: tuple[Leaf, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` in ``seconds``."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """A venue's declared limits; None where it declares none."""

    connect: Rate | None = None
    send: Rate | None = None
    symbols: int | None = None
    topics: int | None = None
    frame_bytes: int | None = None
    connections: int | None = None
    lifetime: float | None = None
    """Seconds until the venue ends a connection; None where it does not."""


@dataclass(frozen=True, slots=True)
class Expect:
    """The reply a step waits for. ``first_data``: no acknowledgement exists, the first data frame confirms."""

    within: float
    first_data: bool = False
    accepted: Match | None = None
    refused: Match | None = None
    symbol: Getter | None = None
    """Which symbol (native, or a list of them) a reply speaks of; None: the oldest frame still waiting."""
    topic: Getter | None = None
    """Which topic (or list of topics) a reply speaks of."""
    reply_to: Getter | None = None
    """The reply's copy of the frame's ``$counter`` value."""
    reason: Getter | None = None
    symbol_text: str = ""
    """What the author wrote for ``symbol`` and the three after it: where a mock exchange puts such values."""
    topic_text: str = ""
    reply_to_text: str = ""
    reason_text: str = ""


@dataclass(frozen=True, slots=True)
class Capture:
    """Something learnt from a message and kept in ``$state`` until the connection ends.

    ``key`` None: ``$state.into`` becomes the value; else ``$state.into`` is a table and gets one row.
    """

    into: str
    value: Getter
    key: Getter | None = None
    when: Match | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing said after connecting. ``per``: once (None), or a frame each ``symbol``/``topic``."""

    send: Template | None
    """None: nothing is sent, the step waits for what the venue says of its own accord (a welcome)."""
    text: str
    streams: tuple[str, ...] = ()
    """The streams whose subscriptions this frame makes; empty for set-up (login, flags)."""
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


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's ping: when it matches, send what the template makes of it."""

    when: Match
    send: Template
    text: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Our own ping. ``every`` gives seconds from the connection's state (some venues name it at connect)."""

    every: Callable[[Mapping[str, Json]], float]
    every_text: str
    send: Template | None
    """None: a WebSocket protocol ping."""
    text: str = ""
    answer: Match | None = None
    within: float | None = None
    """Seconds after which a missing answer ends the connection; None: answers are not required."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message by which the venue asks for a new connection, or reports an error."""

    when: Match
    reason: Getter | None = None
    reconnect: bool = True
    delay: float = 0.0


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


@dataclass(frozen=True, slots=True)
class Listing:
    """The venue's own instrument list: the call, where its rows are, and what a row says. ``refresh`` in seconds."""

    request: HttpRequest
    each: Getter
    symbol: Getter
    base: Getter
    quote: Getter
    when: Match | None = None
    refresh: float | None = None


@dataclass(frozen=True, slots=True)
class Codec:
    """How frames become JSON: for text and for binary frames, a tuple of steps each.

    Steps: ``json``, ``gzip``, ``zlib``, ``deflate``, ``base64``, ``protobuf``; an empty tuple refuses such frames.
    """

    text: tuple[str, ...] = ("json",)
    binary: tuple[str, ...] = ("json",)
    limit: int = 8 * 1024 * 1024
    """Bytes a frame may have once inflated."""
    descriptor: bytes | None = None
    message_type: str | None = None


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between connection attempts, in seconds: full jitter below base * factor**n, up to ``cap``."""

    base: float = 1.0
    factor: float = 2.0
    cap: float = 60.0
    attempts: int | None = None
    """Give up after so many attempts without data in between; None: never."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One kind of socket of a connector: where, what is said, and what may be heard."""

    name: str
    urls: tuple[Template, ...]
    url_texts: tuple[str, ...]
    streams: tuple[str, ...]
    symbols: Match | None = None
    headers: Template | None = None
    sign: Template | None = None
    codec: Codec = field(default_factory=Codec)
    each: Getter | None = None
    """Where one frame holds several messages."""
    limits: Limits = field(default_factory=Limits)
    before: tuple[HttpRequest, ...] = ()
    steps: tuple[Step, ...] = ()
    captures: tuple[Capture, ...] = ()
    answers: tuple[Answer, ...] = ()
    heartbeat: Heartbeat | None = None
    ignore: tuple[Match, ...] = ()
    notices: tuple[Notice, ...] = ()
    backoff: Backoff = field(default_factory=Backoff)
    max_frame: int = 16 * 1024 * 1024
    stale_after: float | None = 60.0
    """Seconds without any frame after which the connection counts as dead; None: never."""
    allow_insecure: bool = False
    """Whether ws:// to another machine is allowed."""
    url_uses_topics: bool = False
    per_symbol: bool = False
    """One socket a symbol (its URL or its frames name a single one)."""
    replicas: int = 1
    """Sockets with the same subscriptions, into one deduplicated stream."""


class How(NamedTuple):
    """What a quick converter does with the everyday forms of a value, in data: for those who do the same in C.

    By ``kind``: *decimal* (digits with at most ``scale`` places, to the unscaled integer below ``below``; ``factor`` is
    10**scale), *whole* (a number that is not negative, times ``factor``, below ``below``), *time* (ISO 8601 in UTC),
    *named* (a text or truth value that ``table`` knows), *text* (not empty, or a whole number's digits).
    """

    kind: str
    scale: int = 0
    factor: int = 1
    below: int = 1
    table: dict[Any, str] | None = None


class Direct(NamedTuple):
    """One key of the item, its quick converter, and what that does where it can be said."""

    key: str
    convert: Callable[[Json], Any]
    how: How | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One v2 field: ``read`` gives the encoder's value; the texts are for ``explain`` and dead letters."""

    name: str
    read: Reader
    expression: str
    converter: str
    default: str | None = None
    speed: str = "plain"
    direct: Direct | None = None
    """Where the value is one key of the item: that key and a quick converter, which gives what ``read`` would give or
    raises RecordError, KeyError or TypeError (then ``read`` decides)."""


@dataclass(frozen=True, slots=True)
class Carry:
    """Quotes from deltas: an absent field keeps its last value for that symbol on that connection.

    ``readers`` raise missing-field where the delta is silent; ``defaults`` stand where nothing was said yet (None:
    the record needs the value).
    """

    fields: tuple[str, ...]
    readers: tuple[Reader, ...]
    defaults: tuple[Any, ...]
    begin: Match | None = None


@dataclass(frozen=True, slots=True)
class Sequence:
    """What ids promise: ``contiguous``, ``monotonic``, ``linked`` or ``none``, and within what scope."""

    read: Reader
    expression: str
    rule: str
    per: str
    previous: Reader | None = None
    key: str | None = None
    """The item's key, where the number is one."""


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
    size: int | None = None
    """Rows an answer holds at most; None: one call is all there is."""
    by: str = "last"
    """Which end of the range answers begin at and the next call moves: ``first`` or ``last``."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One record type of one connector."""

    name: str
    record: str
    """The record schema's name: trade, quote."""
    enabled: bool
    when: Match
    kafka_topic: str
    kafka_topics: Mapping[str, str]
    """The topic of each asset class that the connector's symbols have."""
    topic: Template | None
    """The venue's own name for this stream of one symbol, where subscriptions go by topic."""
    each: Getter | None
    each_text: str
    each_key: bool
    """``each`` walks an object keyed by symbol: the key is ``$key``."""
    each_direct: str | None
    """The message's member that ``each`` is, where it is nothing more."""
    reverse: bool
    drop_when: Match | None
    snapshot: Match | None
    skip_snapshot: bool
    drop_first: str | None
    """Drop the whole first message of a symbol (its recent past) on each connection: "symbol" or None."""
    symbol: Field
    identity: Field | None
    """The venue's own id (trade_id, quote_id); None where the venue has none."""
    identity_fields: tuple[str, ...]
    """The record fields that tell rows apart where the venue has no id, an item lacks it, or several share it."""
    fields: tuple[Field, ...]
    """All other mapped fields, in schema order."""
    constants: Mapping[str, Json]
    currency: Field | None
    vendor: tuple[Field, ...]
    unmapped: bool
    mapped_keys: frozenset[str]
    """Top-level keys of an item that need not be kept once more."""
    carry: Carry | None
    sequence: Sequence | None
    random_id: bool = False
    backfills: tuple[Backfill, ...] = ()
    """How missing records are fetched: the first whose symbols fit; none: gaps are reported only."""
    stale_after: float | None = None
    """Seconds without data of any of its symbols after which a connection counts as dead; None: never."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One turn of a test's dialogue, by kind: answered, url, after, sent, received or closed.

    ``value``: a frame (JSON value, or text as it is) for sent and received; seconds for after;
    a tuple of expected record fields for records.
    """

    kind: str
    value: Json
    line: int
    records: tuple[Mapping[str, Json], ...] | None = None
    dead: tuple[Mapping[str, Json], ...] | None = None
    socket: str | None = None
    """Which socket, by its connection's name; None: any that it fits."""


@dataclass(frozen=True, slots=True)
class Example:
    """One test of a connector file."""

    name: str
    line: int
    turns: tuple[Exchange, ...]
    symbols: tuple[str, ...]
    streams: tuple[str, ...] | None
    received_at: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A connector, ready to run."""

    name: str
    exchange: str
    asset_class: str
    market: str
    docs: str
    path: str
    symbols: SymbolRule
    connections: tuple[Connection, ...]
    streams: tuple[Stream, ...]
    examples: tuple[Example, ...]
    listing: Listing | None = None
    """Where the venue's own instrument list comes from."""

    def stream(self, name: str) -> Stream:
        """The stream of that name; KeyError lists nothing, callers check names at plan time."""
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise KeyError(name)
