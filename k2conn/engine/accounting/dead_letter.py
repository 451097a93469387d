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
from k2conn.secret_mask import SECRETS

RAW_LIMIT = 64 * 1024
"""Bytes of the raw frame that a dead letter keeps, as they stand in it."""
VALUE_LIMIT = 2000
"""The same of a value, and of an item."""
DETAIL_LIMIT = 1000
STATE_LIMIT = 16 * 1024
"""The same of what was captured on the connection."""
_ROWS = 1000
"""Rows of a captured table that are looked through for those that a frame may mean."""
DEAD_SUFFIX = ".dlq"
"""What a topic's dead letters add to its name."""
_BEYOND = 4 * 1024
"""How far beyond the bound a frame is searched for secrets: one that the bound cuts is found whole."""
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
    value = None if error.value is None else safe_excerpt(exactjson.excerpt(error.value, VALUE_LIMIT), VALUE_LIMIT)
    document: dict[str, Any] = {
        "connector": origin.connector,
        "exchange": origin.exchange,
        "stream": origin.stream,
        "symbol": symbol or None,
        "field": error.field,
        "expression": error.expression,
        "value": value,
        "reason": error.reason,
        "detail": safe_excerpt(error.detail, DETAIL_LIMIT),
        "received_at": received_at,
    }
    body = exactjson.encode({**SECRETS.hide(document), **frame})
    key = SECRETS.hide(symbol).encode() or None
    return Envelope(origin.topic + DEAD_SUFFIX, key, body, None, received_at // 1000, account)


def whole_frame(frame: str | bytes) -> dict[str, Any]:
    """The members with a raw frame, up to its bound, without known secrets."""
    if isinstance(frame, str):
        shown = SECRETS.hide(frame[: RAW_LIMIT + _BEYOND])
        kept = shortened(shown, RAW_LIMIT)
        return {"frame": kept, "frame_truncated": len(kept) < len(shown) or len(frame) > RAW_LIMIT + _BEYOND}
    raw = SECRETS.hide_bytes(frame[: RAW_LIMIT + _BEYOND])
    encoded = base64.b64encode(raw[:RAW_LIMIT]).decode()
    return {"frame_base64": encoded, "frame_truncated": len(frame) > RAW_LIMIT}


def captured_state(state: dict[str, Any], frame: str | bytes) -> dict[str, Any]:
    """The members with what a frame's mapping may need of what was captured: values, and of tables the rows whose keys
    are in the frame; without known secrets. Nothing where it does not fit, and ``state_truncated`` then.
    """
    if not state:
        return {}
    text = frame[:RAW_LIMIT] if isinstance(frame, str) else frame[:RAW_LIMIT].decode("utf-8", "replace")
    found: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, dict) and len(value) > _ROWS:
            return {"state": None, "state_truncated": True}
        found[name] = {key: row for key, row in value.items() if key in text} if isinstance(value, dict) else value
    shown = SECRETS.hide(found)
    if len(exactjson.encode(shown)) > STATE_LIMIT:
        return {"state": None, "state_truncated": True}
    return {"state": shown}


def frame_id(frame: str | bytes, received_at: int) -> str:
    """What the dead letters of one frame have in common."""
    text = f"{received_at} {len(frame)} "
    head = frame[:RAW_LIMIT]
    body = head.encode("utf-8", "replace") if isinstance(head, str) else head
    return hashlib.sha1(text.encode() + body, usedforsecurity=False).hexdigest()[:16]


def safe_excerpt(text: str, limit: int) -> str:
    """A text without known secrets, which are looked for before it is cut."""
    return shortened(SECRETS.hide(text[: limit + _BEYOND]), limit)


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
