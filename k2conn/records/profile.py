"""A profile: what k2conn does with the fields of one record type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ENGINE_KINDS: dict[str, tuple[str, ...]] = {
    "message_id": ("string",),
    "symbol": ("string",),
    "currency": ("string",),
    "exchange": ("string",),
    "asset_class": ("enum", "string"),
    "connector": ("string",),
    "stream": ("string",),
    "ingestion_timestamp": ("timestamp-micros",),
    "platform_sequence": ("long",),
    "vendor_data": ("map<string>",),
}
"""What the engine can fill, and the kinds of field it can be. A record has such a field under this very name.

- message_id: the UUID that is the same for the same record on every delivery
- symbol, currency: the instrument in our spelling and the currency of its price, from the connector's symbol rules
- exchange, asset_class, connector, stream: what the connector file says (and the stream's name)
- ingestion_timestamp: when the frame arrived, in microseconds
- platform_sequence: null, for platforms that number records later
- vendor_data: what else the venue sent with the item
"""

ENGINE_NEEDED = ("message_id", "symbol")
"""What every record has: readers drop repeats by the one, and Kafka's key is the other."""

AUTHORED = ("symbol", "currency")
"""Of these the connector file has a say: where the venue's symbol stands, and a currency that symbols do not tell."""

ENGINE_ONLY = tuple(name for name in ENGINE_KINDS if name not in AUTHORED)
"""The others a connector file cannot map."""


MOST_CONTENT = 8
"""Fields that `content` names, at most."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The contents of a profile file. Names are fields of the record's schema."""

    plural: str
    """The plural in topic names: market.crypto.PLURAL.exchange."""
    time: str
    """The event time, by the venue's clock."""
    engine: tuple[str, ...]
    """The fields that the engine fills, of `ENGINE_KINDS`."""
    made_by: str = "connectors"
    """``connectors``: of items, as connector files say; ``engine``: k2conn makes these records itself."""
    id: str | None = None
    """The venue's own id, behind the exchange's name; None where records of this type have none."""
    identity: tuple[str, ...] = ()
    """The fields that tell records apart where a stream maps no id and its connector file names no others."""
    key: tuple[str, ...] = ()
    """The fields that are, with exchange and symbol, what a record is about: a later record of the same key is a new
    state of it. Such records need no id of the venue's."""
    interval: str | None = None
    """The name of the span of time that a record is about, such as 1m; goes with ``begin`` and ``end``."""
    begin: str | None = None
    """When that span begins; a multiple of the interval."""
    end: str | None = None
    """When it ends: ``begin`` and the interval."""
    closed: str | None = None
    """Whether the span is over; states of one that is not are published on demand only."""
    reference: str | None = None
    """The id of another record that this one is about: the venue's own, behind the exchange's name as in ``id``."""
    remainder: str | None = None
    """The nanoseconds of the event time that its own field has no room for."""
    action: str | None = None
    """Whether a record stands for itself (`NEW`, or null) or is about another one."""
    sequence: str | None = None
    """The venue's sequence number."""
    price: str | None = None
    """The headline price, shown in tables and metrics. None where there is none."""
    prices: tuple[str, ...] = ()
    """All prices: a mock venue moves them together."""
    amounts: tuple[str, ...] = ()
    """Quantities and volumes: a mock venue varies them."""
    content: tuple[str, ...] = ()
    """What makes a record this one and no other: an equal id with another content is another record. Empty: its id
    alone does."""
    carried: tuple[str, ...] = ()
    """The fields that may keep their last value where a venue sends changes only (`carry`)."""
    never_all_zero: tuple[str, ...] = ()
    """Of these at least one is not zero, or the record says nothing. The headline price is among them."""
    defaults: Mapping[str, object] = field(default_factory=dict)
    """What stands where a connector file does not map a field: the encoder's values. Those of the schema are in it."""
