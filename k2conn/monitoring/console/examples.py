"""What a connector's page shows beside figures: dead letters with the place in their frames, gaps and what became of
them, and which way its data takes, from the sockets to the topics.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from k2conn import exactjson
from k2conn.engine.accounting.dead_letter import DEAD_SUFFIX
from k2conn.engine.accounting.frame_place import place_in
from k2conn.engine.gaps.gap_records import gap_topic
from k2conn.envelope import Envelope
from k2conn.runner import Connector, Runner

AROUND = 1200
"""Characters of a frame that are shown on both sides of the place; without a place, twice as many from its beginning.
"""
LETTERS = 36
GAPS = 200
TOPICS = 20
"""Topics of a stream that are shown."""


class LetterExample(TypedDict):
    """A dead letter. The frame is in three pieces: what is before, in and behind the place that could not be read."""

    received_us: int
    stream: str
    symbol: str
    field: str
    expression: str
    value: str
    reason: str
    detail: str
    before: str
    marked: str
    after: str
    cut: bool
    """Whether there is more of the frame than the pieces."""
    binary: bool
    """Whether the pieces are the frame's bytes as hexadecimal digits."""
    count: int
    """Items that it stands for."""


class GapExample(TypedDict):
    """A gap, as its latest record tells it. Times are microseconds since the epoch, 0 where they are not known."""

    gap: str
    stream: str
    symbol: str
    status: str
    cause: str
    missing: int | None
    count: int | None
    recovered: int
    backfill: str
    since_us: int
    from_us: int
    to_us: int
    told_us: int
    """When its first record was made."""
    settled_us: int
    """When the record was made that says what became of it."""


class ConnectionPicture(TypedDict):
    """A kind of socket of the connector file."""

    connection: str
    streams: list[str]
    replicas: int


class StreamPicture(TypedDict):
    """A stream, and where its records go."""

    stream: str
    record: str
    topics: list[str]


class WayPicture(TypedDict):
    """Which way a connector's data takes."""

    connections: list[ConnectionPicture]
    streams: list[StreamPicture]
    gaps: str
    """The topic of gap records."""
    dead: str
    """What the topics of dead letters have behind the name."""


class Examples(TypedDict):
    """All of it."""

    letters: list[LetterExample]
    gaps: list[GapExample]
    way: WayPicture | None


NO_EXAMPLES: Examples = {"letters": [], "gaps": [], "way": None}


def examples_of(runner: Runner, name: str) -> Examples:
    """Those of the connector of that name, the newest first; none where there is no such connector."""
    found = next((one for one in runner.connectors if one.plan.name == name), None)
    if found is None:
        return NO_EXAMPLES
    latest = found.connector_state.ledger.latest
    letters = [letter_example(exactjson.decode(one)) for one in latest.letters]
    return merge_examples([{"letters": letters, "gaps": gap_examples(latest.gaps), "way": _way(found)}])


def merge_examples(found: Sequence[Examples]) -> Examples:
    """Those of several workers as one."""
    letters = sorted((one for said in found for one in said["letters"]), key=lambda one: -one["received_us"])
    gaps = sorted((one for said in found for one in said["gaps"]), key=lambda one: -one["told_us"])
    way = next((said["way"] for said in found if said["way"] is not None), None)
    return {"letters": letters[:LETTERS], "gaps": gaps[:GAPS], "way": way}


def letter_example(said: Mapping[str, Any]) -> LetterExample:
    """A dead letter's document as it is shown."""
    raw, binary = said.get("frame"), False
    place, length = 0, 0
    if isinstance(raw, str):
        place, length = place_in(raw, said)
    else:
        raw, binary = base64.b64decode(said.get("frame_base64") or "").hex(" "), True
    at = max(0, place)
    begin, end = (max(0, at - AROUND), at + length + AROUND) if length else (0, 2 * AROUND)
    whole = begin == 0 and end >= len(raw) and not said.get("frame_truncated")
    return {
        "received_us": said["received_at"],
        **{name: str(said.get(name) or "") for name in _TEXTS},  # type: ignore[typeddict-item] # its own names
        "before": raw[begin:at] if length else raw[:end],
        "marked": raw[at : at + length],
        "after": raw[at + length : end] if length else "",
        "cut": not whole,
        "binary": binary,
        "count": said.get("count", 1),
    }


_TEXTS = ("stream", "symbol", "field", "expression", "value", "reason", "detail")


def gap_examples(records: Iterable[Envelope]) -> list[GapExample]:
    """Gap records, the oldest first, as gaps."""
    found: dict[str, GapExample] = {}
    for one in records:
        assert one.schema is not None
        record = one.schema.decode_plain(one.value)
        before = found.pop(record["gap_id"], None)
        now = record["ingestion_timestamp"]
        found[record["gap_id"]] = {
            "gap": record["gap_id"], "stream": record["stream"], "symbol": record["symbol"],
            "status": record["status"], "cause": record["cause"], "missing": record["missing"],
            "count": record["count"], "recovered": record["recovered"], "backfill": record["backfill"],
            "since_us": record["timestamp"], "from_us": record["from_timestamp"] or 0,
            "to_us": record["to_timestamp"] or 0, "told_us": before["told_us"] if before is not None else now,
            "settled_us": now if before is not None or record["status"] == "CLOSED" else 0,
        }
    return list(found.values())


def _way(connector: Connector) -> WayPicture:
    plan, streams = connector.plan, connector.connector_state.streams
    names = {one.name for one in streams}
    kinds = {one.shard.connection.name for one in connector.supervisors}
    connections: list[ConnectionPicture] = [
        {"connection": one.name, "streams": [name for name in one.streams if name in names], "replicas": one.replicas}
        for one in plan.connections if one.name in kinds or not kinds
    ]
    shown: list[StreamPicture] = [
        {"stream": one.name, "record": one.record,
         "topics": sorted({one.kafka_topic, *one.kafka_topics.values()})[:TOPICS]} for one in streams
    ]
    return {"connections": connections, "streams": shown, "gaps": gap_topic(plan), "dead": DEAD_SUFFIX}
