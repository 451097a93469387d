"""The envelope: an encoded record with its topic and key, the last of the five words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from k2conn.avro import RecordSchema


class DeliveryAccount(Protocol):
    """The account that an envelope belongs to: of one stream and symbol. Notified once, when the envelope is durable.

    ``spooled`` counts those that are on the disk until they are durable, ``lost`` those that nothing can be done for.
    """

    stream: str
    symbol: str
    spooled: int
    lost: int

    def settled(self, dead: bool, count: int = 1) -> None:
        """Count some envelopes as durable; ``dead`` where they are dead letters."""


class Envelope(NamedTuple):
    """An encoded record on its way to a sink.

    ``topic`` is the whole topic name (a dead letter's already ends in ``.dlq``). ``key`` is the symbol in
    UTF-8, or None. ``value`` is the Avro body without any framing, or a dead letter's JSON document.
    ``schema`` None marks a dead letter: its value goes out as it is. ``timestamp_ms`` is the exchange's event
    time, milliseconds since 1970. ``received_us`` is when its frame arrived, microseconds since 1970; 0 where that is
    not known or says nothing of how long it took (a record of the past, one that an earlier process left).
    """

    topic: str
    key: bytes | None
    value: bytes
    schema: RecordSchema | None
    timestamp_ms: int
    account: DeliveryAccount | None = None
    received_us: int = 0

    @property
    def dead(self) -> bool:
        """Whether this is a dead letter."""
        return self.schema is None
