"""What is read of a state topic, which anybody may have written: bounded, and refused with its place."""

from __future__ import annotations

import pytest

from k2conn.errors import SinkError
from k2conn.sinks.kafka import state_reader
from k2conn.sinks.kafka.state_reader import LatestValues


def test_the_latest_value_of_each_key_counts() -> None:
    latest = LatestValues("topic t/0")
    latest.put(b'["symbol"]', 0, b'{"v":1}')
    latest.put(b'["symbol"]', 1, b'{"v":2}')
    latest.put(b'["ids"]', 2, b"3")
    assert latest.decoded() == [(["symbol"], {"v": 2}), (["ids"], 3)]


def test_more_bytes_than_there_may_be_end_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_reader, "LARGEST_BYTES", 1000)
    latest = LatestValues("topic t/0")
    for offset in range(1000):
        latest.put(b"key", offset, bytes(900))  # a compacted topic would keep one
    latest.put(b"other", 1000, bytes(90))
    with pytest.raises(SinkError, match="topic t/0 holds more than 1000 bytes"):
        latest.put(b"third", 1001, bytes(10))


def test_more_values_than_there_may_be_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_reader, "LARGEST_VALUES", 10)
    latest = LatestValues("topic t/0")
    latest.put(b'["symbol"]', 0, b"[" + b"1," * 20 + b"1]")
    with pytest.raises(SinkError, match="more than 10 values"):
        latest.decoded()


@pytest.mark.parametrize(("key", "value"), [
    (b"", b"{}"), (b"{}", b"{}"), (b"[]", b"{}"), (b"[1]", b"{}"), (b'["symbol"]', b"{"), (b'["symbol"]', b"\xff"),
    (b'["symbol"]', b"[" * 100_000), (b'["symbol"]', b"[" * 500 + b"]" * 500),
])
def test_what_is_no_state_is_refused_with_its_offset(key: bytes, value: bytes) -> None:
    latest = LatestValues("topic t/0")
    latest.put(key, 7, value)
    with pytest.raises(SinkError, match="topic t/0, offset 7: no state of k2conn"):
        latest.decoded()
