"""One stream of a connector: how its messages are recognised, what they become, and how missing records are fetched.

A stream has its backfills, and a backfill has the stream as its rows are read: the two stand in one file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, NamedTuple

from k2conn.intervals import Interval
from k2conn.plan.audit import Audit
from k2conn.plan.conditions import ConditionPath, Match
from k2conn.plan.fields import Field, ValuePath
from k2conn.plan.limits import Rate
from k2conn.plan.sending import HttpRequest, Template
from k2conn.plan.values import Condition, Getter, Json, Reader
from k2conn.scope import Scope


class ClearRule(NamedTuple):
    """Items that empty some carried fields, by their numbers."""

    text: str
    when: Condition
    fields: frozenset[int]


class QuickNumber(NamedTuple):
    """What finds a number, and what converts it; where that raises one of a direct converter's errors, the field's
    reader decides.
    """

    get: Getter
    convert: Callable[[Json], Any]
    field: Field


@dataclass(frozen=True, slots=True)
class Carry:
    """Quotes from deltas: an absent field keeps its last value for that symbol on that connection.

    ``readers`` raise missing-field where the delta has no value; ``defaults`` are used before the first one, and where
    one is cleared (None: the record needs the value).
    """

    fields: tuple[str, ...]
    readers: tuple[Reader, ...]
    defaults: tuple[Any, ...]
    begin: Match | None = None
    clear: tuple[ClearRule, ...] = ()
    changes_only: bool = False
    """Whether an item that changes none of the fields is no record."""
    nullable: tuple[bool, ...] = ()
    """Whether a field may be null where nothing was said yet."""
    numbers: tuple[QuickNumber | None, ...] = ()
    """How the fields are read that are numbers."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """What is known about the sequence of ids: ``contiguous``, ``monotonic``, ``linked`` or ``none``, and what they
    count within: ``symbol``, ``connection``, or what ``group`` says.
    """

    read: Reader
    expression: str
    rule: str
    per: str
    previous: Reader | None = None
    key: str | None = None
    """The item's key, where the number is one."""
    previous_text: str = ""
    """What the author wrote for ``previous``."""
    group: Reader | None = None
    """What else numbers count within, as text; None where an item does not say it."""
    of_connection: bool = False
    """Whether each connection counts anew."""


@dataclass(frozen=True, slots=True)
class Span:
    """The span of time that a record is about: its interval, and what reads when it begins (microseconds since the
    epoch). ``moment`` reads the same without asking whether a span of the interval begins there.
    """

    interval: Interval
    venue: Json
    """The venue's name of the interval."""
    begin: Reader
    moment: Reader

    def end_us(self, item: Json, scope: Scope) -> int:
        """When the span of an item ends, microseconds since the epoch; RecordError where that cannot be read."""
        begin: int = self.begin(item, scope)
        return begin + self.interval.length_us


@dataclass(frozen=True, slots=True)
class States:
    """Records that are states of something that is over some day.

    ``closed`` reads whether it is; None: it is over when the next one of its symbol begins on the same connection.
    """

    field: str
    """The record's field that says so."""
    closed: Reader | None
    keep_open: bool
    """Whether the states of what is not over are records, too."""


MOST_FORMS = 4
"""That the items of a message may have, by one expression."""


class ItemForm(NamedTuple):
    """Where items are, by ``kind``: *path*, the elements of a list at the end of the first of ``paths`` that leads to
    something true (or of the last), or the object that is there; *rows*, elements of lists at the last of ``paths``,
    in elements of lists at the one before it, and so on; *listed*, what stands at the end of each path.
    """

    kind: str
    paths: tuple[ValuePath, ...]


class ItemForms(NamedTuple):
    """The forms that the value of ``each`` may have, and which one that is in a message; None: no items, or another.

    ``leaves`` are those whose values decide it.
    """

    forms: tuple[ItemForm, ...]
    choose: Callable[[Json, Scope], int | None]
    leaves: tuple[ConditionPath, ...]


class Level(NamedTuple):
    """One level of ``each``: what finds the items in what the level before it found."""

    get: Getter
    text: str


@dataclass(frozen=True, slots=True)
class IdScope:
    """What the ids of a venue are unique within, where it gives them anew: the values of ``fields``, and the day of the
    event time in ``zone`` (None: whatever the day).
    """

    fields: tuple[str, ...]
    zone: tzinfo | None
    zone_name: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """One record type of one connector."""

    name: str
    record: str
    """The record schema's name: trade, quote."""
    default: bool
    """Whether it runs where no streams are named."""
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
    order: str
    """Of the items in a message, where nothing else is said: ``oldest-first`` or ``newest-first``."""
    drop_when: Match | None
    snapshot: Match | None
    snapshot_action: str
    """``tag`` or ``skip`` the records of a snapshot."""
    first_batch: str
    """What to do with a symbol's first message (its recent history) on each connection: ``keep``, ``tag`` or ``skip``.
    """
    symbol: Field
    venue_id: Field | None
    """The venue's own id (trade_id, quote_id); None where the venue has none."""
    identity: tuple[str, ...]
    """The record fields that identify a record where the venue has no id, an item lacks it, or several share it."""
    fields: tuple[Field, ...]
    """All other mapped fields, in schema order."""
    constants: Mapping[str, Json]
    currency: Field | None
    vendor_data: tuple[Field, ...]
    """Entries of vendor_data that are mapped."""
    unmapped: bool
    """Whether an item's other keys are kept too."""
    mapped_keys: frozenset[str]
    """Top-level keys of an item that are mapped, and so not kept again as unmapped."""
    carry: Carry | None
    sequence: Sequence | None
    revision: int = 1
    """The revision of the record type that it is written in: the earliest that has what the file uses."""
    id_scope: IdScope | None = None
    """What the venue's ids are unique within; None: within the symbol, for ever."""
    message_id: str = "deterministic"
    """``deterministic``: the same record always has the same id; ``random``: never."""
    backfill: tuple[Backfill, ...] = ()
    """How missing records are fetched: the first whose symbols fit; none: gaps are reported only."""
    stale_after: float | None = None
    """Seconds without data of any of its symbols after which a connection counts as dead; None: never."""
    declared: str = ""
    """The stream's name in the file, where it is one interval of that."""
    span: Span | None = None
    states: States | None = None
    also: bool = False
    """Whether it takes its messages also where a stream before it takes them, too."""
    forms: ItemForms | None = None
    """Where ``each`` finds its items, as data; None where that is more than data says."""
    inner: tuple[Level, ...] = ()
    """The further levels of ``each``: items of items."""
    distinct: bool = False
    """Whether records with an equal ``identity`` are one record; else they are numbered."""
    empty: str = "dead_letter"
    """What becomes of a record of nothing but zeros: ``dead_letter``, ``drop`` or ``keep``."""
    other_order_when: Match | None = None
    """Messages whose items are in the other order."""
    audit: Audit | None = None
    """How trades of the connector are compared with these candles."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where the file says what: the lines of the mapped fields by name, of ``each``, and of ``when``."""

    @property
    def written(self) -> str:
        """Its name in the file."""
        return self.declared or self.name

    @property
    def levels(self) -> tuple[Level, ...]:
        """All levels of ``each``, from outside in; none where the message is the item."""
        return () if self.each is None else (Level(self.each, self.each_text), *self.inner)

    @property
    def items_text(self) -> str:
        """Where the items are, as the author says it."""
        return ", in it ".join([self.each_text, *(level.text for level in self.inner)])

    def newest_first(self, message: Json, scope: Scope) -> bool:
        """Whether the items of a message are to be reversed."""
        newest = self.order == "newest-first"
        other = self.other_order_when
        return newest if other is None else newest != other.condition(message, scope)


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
    bounded: bool = False
    """Whether the call says both from where and up to where."""
    symbols: Match | None = None
    """The symbols that this call is for; None: all."""
    limit: Rate | None = None
    page: BackfillPage | None = None
    """None: a single call, without pages."""
