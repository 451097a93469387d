"""What an independent reader of committed records finds in topics: confluent-kafka's, not ours."""

from __future__ import annotations

import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from k2conn.avro import load_schema


def committed(bootstrap: str, topic: str, within: float = 60) -> list[Message]:
    """All committed messages of a topic that were written by now, in the order of each partition; none where it is not
    there.
    """
    given = {"bootstrap.servers": bootstrap, "group.id": f"test-{time.monotonic_ns()}", "enable.auto.commit": False,
             "enable.partition.eof": True}
    reader = Consumer({**given, "isolation.level": "read_committed"})
    found: list[Message] = []
    try:
        known = reader.list_topics(timeout=within).topics  # asked for by name, the broker would make it
        if topic not in known:
            return []
        partitions = known[topic].partitions
        ends = {number: reader.get_watermark_offsets(TopicPartition(topic, number), within)[1] for number in partitions}
        left = {number for number, end in ends.items() if end}
        reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in left])
        end = time.monotonic() + within
        while left:
            assert time.monotonic() < end, f"{topic}: the end of {sorted(left)} was not reached"
            for message in reader.consume(5000, 0.2):
                number, offset = message.partition(), message.offset()
                if message.error() is None:
                    found.append(message)
                if number is not None and (message.error() is not None or (offset or 0) + 2 >= ends[number]):
                    left.discard(number)  # behind the last record of a transaction stands its marker
    finally:
        reader.close()
    return found


def plain(messages: list[Message], record: str) -> list[dict[str, object]]:
    """Records of one of our types."""
    schema = load_schema(record)
    return [schema.decode_plain((message.value() or b"")[5:]) for message in messages]
