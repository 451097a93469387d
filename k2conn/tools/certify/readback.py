"""Reads records and dead letters back from the sink, with a reader that shares only the schema with the writer."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.avro import RecordSchema
from k2conn.avro.reading import read_container
from k2conn.engine.accounting.dead_letter import DEAD_SUFFIX
from k2conn.engine.gaps.gap_records import GAP
from k2conn.records import load_record
from k2conn.sinks.kafka.reading import HEAD, read_topics
from k2conn.sinks.kafka.settings import KafkaSettings


@dataclass(slots=True)
class Readback:
    """Everything that was read back."""

    records: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    dead_letters: list[dict[str, Any]] = field(default_factory=list)

    def take(self, record: dict[str, Any]) -> None:
        """Adds one record."""
        (self.gaps if load_record(GAP).profile.id in record else self.records).append(record)

    def frames(self) -> Counter[bytes]:
        """The raw frames of dead letters without a stream: frames that could not be decoded."""
        own = [letter for letter in self.dead_letters if letter["stream"] == "-"]
        return Counter(raw(letter) for letter in own if letter.get("frame", letter.get("frame_base64")) is not None)

    def dead(self) -> Counter[tuple[str, str]]:
        """Dead letters of single items, by stream and symbol."""
        own = [letter for letter in self.dead_letters if letter["stream"] != "-"]
        found: Counter[tuple[str, str]] = Counter()
        for letter in own:
            found[letter["stream"], letter["symbol"] or "-"] += letter.get("count", 1)
        return found


def raw(letter: Mapping[str, Any]) -> bytes:
    """The frame in a dead letter."""
    if "frame_base64" in letter:
        return base64.b64decode(letter["frame_base64"])
    return str(letter["frame"]).encode()


def from_files(folder: Path) -> Readback:
    """Reads what the file sink wrote."""
    found = Readback()
    for path in sorted(folder.glob("*/*.avro")):
        for record in read_container(path):
            found.take(record)
    for path in sorted(folder.glob("*/*.jsonl")):
        found.dead_letters += [exactjson.decode(line) for line in path.read_bytes().splitlines() if line]
    return found


async def from_kafka(
    settings: KafkaSettings, topics: Mapping[str, RecordSchema], dead_letters: Iterable[str]
) -> Readback:
    """Reads from Kafka: ``topics`` with the schema of each, and topics of dead letters."""
    found = Readback()
    async for topic, value in read_topics(settings, [*topics, *dead_letters]):
        if topic.endswith(DEAD_SUFFIX):
            found.dead_letters.append(exactjson.decode(value))
        else:
            found.take(topics[topic].decode_plain(value[HEAD:]))
    return found
