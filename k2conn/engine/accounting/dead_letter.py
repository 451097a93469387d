"""Dead letters: one record that could not be made, with all that is needed to correct and replay it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from k2conn import exactjson
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.errors import RecordError

RAW_LIMIT = 64 * 1024
"""Bytes of the raw frame that a dead letter keeps."""
_VALUE_LIMIT = 2000
DEAD_SUFFIX = ".dlq"
"""What a topic's dead letters add to its name."""


def dead_letter(
    connector: str,
    exchange: str,
    stream: str,
    topic: str,
    symbol: str,
    error: RecordError,
    frame: str | bytes,
    received_at: int,
    account: DeliveryAccount,
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> Envelope:
    """The envelope of one dead letter, on ``<topic>.dlq`` as JSON. ``received_at`` is microseconds since the epoch;
    ``origin`` says where the frame stands, if it is a row of a file.
    """
    document = {
        "connector": connector,
        "exchange": exchange,
        "stream": stream,
        "symbol": symbol or None,
        "field": error.field,
        "expression": error.expression,
        "value": None if error.value is None else exactjson.spell(error.value)[:_VALUE_LIMIT],
        "reason": error.reason,
        "detail": error.detail,
        "received_at": received_at,
        **origin,
        **_raw(frame),
    }
    value = exactjson.encode(document)
    return Envelope(topic + DEAD_SUFFIX, symbol.encode() or None, value, None, received_at // 1000, account)


def _raw(frame: str | bytes) -> dict[str, Any]:
    if isinstance(frame, str):
        safe = frame[:RAW_LIMIT].encode("utf-8", "replace").decode()
        return {"frame": safe, "frame_truncated": len(frame) > RAW_LIMIT}
    encoded = base64.b64encode(frame[:RAW_LIMIT]).decode()
    return {"frame_base64": encoded, "frame_truncated": len(frame) > RAW_LIMIT}
