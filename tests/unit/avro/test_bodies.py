"""Bodies that are looked through in C: it never says yes to what the decoder and the encoder would not take."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn import native
from k2conn.avro import Resolution, load_schema, well_formed
from k2conn.errors import RecordError
from tests.support.topics import candles, quotes, trades

GOOD = [("trade", trades(range(3))), ("quote", quotes(range(3))), ("candle", candles(range(3)))]
pytestmark = pytest.mark.skipif(native.well_formed is None, reason="k2conn/native is not built here (no C compiler)")


def taken(name: str, body: bytes) -> bool:
    try:
        Resolution(load_schema(name).text, load_schema(name)).body(body)
    except RecordError:
        return False
    return True


@pytest.mark.parametrize(("name", "bodies"), GOOD, ids=[name for name, _ in GOOD])
def test_whole_records_are_and_parts_are_not(name: str, bodies: list[bytes]) -> None:
    schema = load_schema(name)
    assert well_formed(schema, bodies) == 3
    assert well_formed(schema, [bodies[0], bodies[1] + b"\0", bodies[2]]) == 1
    assert well_formed(schema, []) == 0
    for cut in range(len(bodies[0])):
        assert well_formed(schema, [bodies[0][:cut]]) == 0


@given(st.data())
def test_what_is_changed_is_only_taken_where_the_decoder_takes_it(data: Any) -> None:
    name, bodies = data.draw(st.sampled_from(GOOD))
    body = bytearray(bodies[0])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    if well_formed(load_schema(name), [bytes(body)]):
        assert taken(name, bytes(body))


@pytest.mark.parametrize(
    "text", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xf8\x88\x80\x80\x80"]
)
def test_text_is_utf_8(text: bytes) -> None:
    (body,) = trades([1])
    own = b"\x06X-1"
    assert own in body
    assert not well_formed(load_schema("trade"), [body.replace(own, bytes([2 * len(text)]) + text)])
    assert well_formed(load_schema("trade"), [body.replace(own, b"\x08\xf0\x9f\x98\x80")])


def test_a_decimal_has_its_precision() -> None:
    schema = load_schema("trade")
    (body,) = trades([1], price=10**18 - 1)
    small = (10**18 - 1).to_bytes(8, "big")
    assert small in body
    assert well_formed(schema, [body]) == 1
    assert well_formed(schema, [body.replace(small, (10**18).to_bytes(8, "big"))]) == 0
    assert not taken("trade", body.replace(small, (10**18).to_bytes(8, "big")))
