"""What mapping gives: a record in its envelope, and what deduplication and accounting need to know of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from k2conn.envelope import Envelope

MOST_MEMBERS = 1000
"""Members of an item that may become a record: those that are not mapped go into its vendor_data."""


class MappedRecord(NamedTuple):
    """One record of one item."""

    message_id: str
    event_us: int
    price: int | None
    """The headline price, unscaled; None where the record has none."""
    envelope: Envelope
    content: bytes
    """See `k2conn.engine.identity.record_content`."""


FastMapper = Callable[..., MappedRecord | None]
"""(item, scope), or (item, scope, carried) in a stream with `carry` -> the record; None for an item that the general
mapper must decide. ``carried`` are the values of `CarriedFields.take`.
"""
