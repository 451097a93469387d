"""Dead letters of messages: what cannot be a record, or what the sink refuses, with where it came from."""

from __future__ import annotations

from typing import Any

from k2conn.consumer.progress import RecordAccount
from k2conn.engine.accounting.dead_letter import Origin, dead_letter, whole_frame
from k2conn.envelope import Envelope
from k2conn.errors import RecordError

NOWHERE = "-"


def letter(
    group: str, account: RecordAccount, key: bytes | None, value: bytes | None, timestamp_ms: int, error: RecordError,
    more: dict[str, Any] | None = None,
) -> Envelope:
    """The dead letter of one message. The same message has the same one whenever it is read, so that a sink that knows
    its dead letters has it once.
    """
    topic, number = account.partition
    symbol = (key or b"")[:200].decode("utf-8", "replace")
    source: dict[str, Any] = {
        "topic": topic, "partition": number, "offset": account.offset, "timestamp_ms": timestamp_ms, **(more or {}),
    }
    origin = Origin(f"kafka:{group}", NOWHERE, NOWHERE, topic)
    frame = {"source": source, **whole_frame(value or b"")}
    return dead_letter(origin, symbol, error, timestamp_ms * 1000, account, frame)
