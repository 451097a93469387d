"""What an independent reader of committed records finds in topics: confluent-kafka's, not ours."""

from __future__ import annotations

import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

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
        ends = {number: _end(reader, TopicPartition(topic, number), within) for number in partitions}
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


def _end(reader: Consumer, place: TopicPartition, within: float) -> int:
    """Where a partition ends. Its leader may have been told later than the one that was asked who it is."""
    last = time.monotonic() + within
    while True:
        try:
            found: int = reader.get_watermark_offsets(place, within)[1]
            return found
        except KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > last:
                raise
            time.sleep(0.1)


class Follower:
    """Reads on in a topic, which may not be there yet: each committed message once."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic = topic
        self._reader = Consumer({"bootstrap.servers": bootstrap, "group.id": f"test-{time.monotonic_ns()}",
                                 "enable.auto.commit": False, "isolation.level": "read_committed"})
        self._assigned = False

    def new(self) -> list[Message]:
        """What has come since the last call, or comes within a moment."""
        if not self._assigned:
            known = self._reader.list_topics(timeout=60).topics  # asked for by name, the broker would make it
            if self._topic not in known:
                time.sleep(0.2)
                return []
            numbers = known[self._topic].partitions
            self._reader.assign([TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in numbers])
            self._assigned = bool(numbers)
        return [one for one in self._reader.consume(5000, 0.2) if one.error() is None]

    def close(self) -> None:
        """Lets go of the broker."""
        self._reader.close()


def plain(messages: list[Message], record: str) -> list[dict[str, object]]:
    """Records of one of our types."""
    schema = load_schema(record)
    return [schema.decode_plain((message.value() or b"")[5:]) for message in messages]
