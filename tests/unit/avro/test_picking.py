"""Some fields of records, in C and in Python alike: what the decoder reads, or the decoder's own error."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn import native
from k2conn.avro import V2, WIDE, load_schema, use_decimals
from k2conn.avro.picking import FieldPicker
from k2conn.avro.unscaled import UnscaledReader
from tests.support.topics import candles, trades

SIDES = {"BUY": True, "SELL": False, "UNKNOWN": None}


class Row(NamedTuple):
    symbol: Any
    timestamp: Any
    price: Any
    side: Any
    source_sequence: Any
    asset_class: Any


def picker() -> FieldPicker[Row]:
    return FieldPicker(Row, load_schema("trade"), Row._fields, {"side": SIDES})


def expected(body: bytes) -> Row:
    record = UnscaledReader(load_schema("trade").text).record(body)
    values = {**record, "side": SIDES.get(record["side"], record["side"])}
    return Row(*(values[name] for name in Row._fields))


@pytest.fixture(params=["in C", "in Python"], autouse=True)
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in Python":
        monkeypatch.setattr(native, "picked", None)
    elif native.picked is None:
        pytest.skip("k2conn/native is not built here (no C compiler)")


@pytest.mark.parametrize("size", [V2, WIDE], ids=str)
def test_they_are_what_the_decoder_reads(size: Any) -> None:
    use_decimals(size)
    try:
        bodies = [
            *trades(range(3)), *trades([7], side="SELL", source_sequence=None, price=-5, vendor_data=None),
            *trades([8], side="SELL_SHORT", symbol="Å😀", price=10**17 - 1, vendor_data={"a": "b", "c": ""}),
        ]
        found = picker().pick(bodies)
        assert found == list(map(expected, bodies))
        assert {type(one) for one in found} == {Row}
        assert found[3].side is False
        assert found[4].side == "SELL_SHORT"
    finally:
        use_decimals(V2)


def test_texts_that_repeat_are_one() -> None:
    found = picker().pick(trades(range(5)) + trades([6], symbol="OTHER") + trades([7]))
    assert [one.symbol for one in found] == ["BTCUSD"] * 5 + ["OTHER", "BTCUSD"]


def test_what_is_no_record_is_told_and_costs_nothing_before_it() -> None:
    (body,) = trades([1])
    for wrong in (b"", body[:-1], body + b"\0", b"\x02"):
        with pytest.raises(ValueError, match="not a"):
            picker().pick([body, wrong, body])


@given(st.data())
def test_changed_bytes_are_read_as_the_decoder_reads_them_or_not_at_all(data: Any) -> None:
    (body,) = trades([1])
    changed = bytearray(body)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        wanted = expected(bytes(changed))
    except ValueError:
        return  # what the decoder refuses somewhere need not be refused where nothing is picked
    assert picker().pick([bytes(changed)]) == [wanted]


@pytest.mark.skipif(native.picked is None, reason="k2conn/native is not built here (no C compiler)")
def test_descriptions_that_cannot_be_are_refused() -> None:
    good = (4, 0, 0, 0, ())
    if native.picked is None:
        return
    for fields in ([good], ((4, 0, 0, 1, ()),), (good, good), ((99, 0, 0, 0, ()),), ((4, 0, 0),), (1,)):
        with pytest.raises((TypeError, ValueError)):
            native.picked(Row, fields, ())
    with pytest.raises(TypeError):
        native.picked(list, (good,), ())
    with pytest.raises(TypeError):
        native.picked(Row, (good,), ("text",))
    assert native.picked(tuple, (good,), tuple(candles([]))) == []
