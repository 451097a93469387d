"""Dead letters: one record that could not be made, with all that is needed to correct and replay it.

Each is bounded as it is written, in UTF-8 with JSON's escapes: a control character is six bytes there.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.errors import RecordError

RAW_LIMIT = 64 * 1024
"""Bytes of the raw frame that a dead letter keeps, as they stand in it."""
VALUE_LIMIT = 2000
"""The same of a value, and of an item."""
DETAIL_LIMIT = 1000
DEAD_SUFFIX = ".dlq"
"""What a topic's dead letters add to its name."""
_ESCAPE = 6
"""Bytes of JSON's longest escape."""


class Origin(NamedTuple):
    """Where a dead letter comes from; ``topic`` is that of the records."""

    connector: str
    exchange: str
    stream: str
    topic: str


def dead_letter(
    origin: Origin,
    symbol: str,
    error: RecordError,
    received_at: int,
    account: DeliveryAccount,
    frame: dict[str, Any],
) -> Envelope:
    """The envelope of one dead letter, on ``<topic>.dlq`` as JSON. ``received_at`` is microseconds since the epoch,
    ``frame`` the members that say which frame it was: see `whole_frame`.
    """
    value = None if error.value is None else shortened(exactjson.excerpt(error.value, VALUE_LIMIT), VALUE_LIMIT)
    document = {
        "connector": origin.connector,
        "exchange": origin.exchange,
        "stream": origin.stream,
        "symbol": symbol or None,
        "field": error.field,
        "expression": error.expression,
        "value": value,
        "reason": error.reason,
        "detail": shortened(error.detail, DETAIL_LIMIT),
        "received_at": received_at,
        **frame,
    }
    body = exactjson.encode(document)
    return Envelope(origin.topic + DEAD_SUFFIX, symbol.encode() or None, body, None, received_at // 1000, account)


def whole_frame(frame: str | bytes) -> dict[str, Any]:
    """The members with a raw frame, up to its bound."""
    if isinstance(frame, str):
        kept = shortened(frame, RAW_LIMIT)
        return {"frame": kept, "frame_truncated": len(kept) < len(frame)}
    encoded = base64.b64encode(frame[:RAW_LIMIT]).decode()
    return {"frame_base64": encoded, "frame_truncated": len(frame) > RAW_LIMIT}


def frame_id(frame: str | bytes, received_at: int) -> str:
    """What the dead letters of one frame have in common."""
    text = f"{received_at} {len(frame)} "
    head = frame[:RAW_LIMIT]
    body = head.encode("utf-8", "replace") if isinstance(head, str) else head
    return hashlib.sha1(text.encode() + body, usedforsecurity=False).hexdigest()[:16]


def shortened(text: str, limit: int) -> str:
    """The beginning of a text that takes at most so many bytes as JSON; what cannot be UTF-8 is replaced."""
    text = text[:limit].encode("utf-8", "replace").decode()
    body = exactjson.encode(text)
    if len(body) - 2 <= limit:
        return text
    for end in range(limit + 1, limit + 1 - _ESCAPE, -1):  # not within a character or an escape
        try:
            found: str = exactjson.decode(body[:end] + b'"')
        except exactjson.JsonError:
            continue
        return found
    return ""
