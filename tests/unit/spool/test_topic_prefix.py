"""A prefix before every topic: what is put, prepared and rejected."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from k2conn.avro import load_schema
from k2conn.envelope import Envelope
from k2conn.errors import SettingsError
from k2conn.sinks import Reject, Settle, Sink
from k2conn.sinks.file import FileSettings
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import make_spooled
from k2conn.spool.sink import SpoolingSink
from k2conn.spool.topic_prefix import TopicPrefixSink
from tests.support.sinks import Book, trade
from tests.support.spools import Inner


def test_topics_have_the_prefix_and_what_is_rejected_comes_back_without_it() -> None:
    inner: list[Inner] = []
    prepared: list[str] = []
    rejected: list[Envelope] = []

    class Preparing(Inner):
        async def prepare(self, topics: object) -> None:
            assert isinstance(topics, dict)
            prepared.extend(topics)

    def make(settle: Settle, reject: Reject) -> Sink:
        inner.append(Preparing(settle, reject))
        return inner[0]

    async def main() -> None:
        book = Book()
        sink = TopicPrefixSink(make, "staging.", book.settle, lambda envelope, *_: rejected.append(envelope))
        await sink.open()
        await sink.prepare({"market.x": load_schema("trade")})
        assert prepared == ["staging.market.x"]
        inner[0].refused = {2}
        sink.put(trade(1, "market.x"))
        sink.put(trade(2, "market.x"))
        await asyncio.sleep(0.01)
        assert [one.topic for one in book.settled] == ["staging.market.x"]
        assert [one.topic for one in rejected] == ["market.x"]
        assert (sink.name, sink.crowded, await sink.flush(1)) == ("inner", False, 0)

    asyncio.run(main())


def test_it_is_there_only_where_the_settings_have_one(tmp_path: Path) -> None:
    book = Book()
    plain = make_spooled(SinkSettings(options=KafkaSettings()), book.settle, book.reject)
    assert type(plain) is SpoolingSink
    prefixed = make_spooled(SinkSettings(options=KafkaSettings(topic_prefix="staging.")), book.settle, book.reject)
    assert type(prefixed) is TopicPrefixSink
    files = SinkSettings(kind="file", options=FileSettings(folder=tmp_path))
    assert type(make_spooled(files, book.settle, book.reject)) is not TopicPrefixSink


def test_what_no_topic_can_be_called_is_refused() -> None:
    with pytest.raises(SettingsError, match="topic_prefix 'a b'"):
        KafkaSettings(topic_prefix="a b")
