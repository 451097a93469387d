"""Records with decimal(38,18): exact, the same in C and in Python, with the ids that they have in v2."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import pytest

from k2conn import exactjson, native
from k2conn.engine.mapping.symbol_contexts import SymbolContexts
from k2conn.records import V2, WIDE, use_decimals
from tests.support.in_c import both_ways
from tests.support.large_numbers import larger_decimals as larger_decimals
from tests.support.plans import STREAMS, SUBSCRIBE, intake_of, plan_of, trade, trades

in_c = both_ways("Mapper")
WALL = 1_767_323_046_000_000
NUMBERS = [
    "0.0000001117", "124500000000.5", "99999999999999999999.999999999999999999", "0.000000000000000001", "0",
    "64000.10", "9.3", "000012.50", 124500000000, 10**19, 2**63, Decimal("0.0000001117"), Decimal("1E-18"),
    Decimal("1.5E+12"), "1e-7",
]


def received(*frames: str, streams: str = STREAMS) -> list[Any]:
    envelopes, _ = intake_of(plan_of(SUBSCRIBE, streams)).receive(list(frames), 0.0, WALL)
    return envelopes


def records(*frames: str, streams: str = STREAMS) -> list[dict[str, Any]]:
    return [one.schema.decode(one.value) for one in received(*frames, streams=streams)]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_is_exact(number: Any, larger_decimals: None) -> None:
    (found,) = records(trades(trade(p=number, q=number)))
    assert found["price"] == found["quantity"] == Decimal(str(number))


@pytest.mark.parametrize("number", NUMBERS[:3])
def test_everyday_numbers_take_the_short_way(number: Any, larger_decimals: None, monkeypatch: Any) -> None:
    if native.Mapper is None:
        return  # there is none
    tried = []
    whole = SymbolContexts._open

    def noting(self: SymbolContexts, native: str) -> Any:
        context = whole(self, native)
        fast = context.fast
        assert fast is not None
        context.fast = lambda item, scope: tried.append(made := fast(item, scope)) or made  # type: ignore[func-returns-value]
        return context

    monkeypatch.setattr(SymbolContexts, "_open", noting)
    records(trades(trade(1, p=number)), trades(trade(2, p=number)))
    assert tried
    assert tried[-1][2] == int(Decimal(number).scaleb(18, Context(prec=50)))


@pytest.mark.parametrize(
    ("number", "detail"),
    [("100000000000000000000", "100000000000000000000 or more"), ("1e-19", "more than 18 decimals")],
)
def test_what_does_not_fit_is_a_dead_letter(number: str, detail: str, larger_decimals: None) -> None:
    (envelope,) = received(trades(trade(p=number)))
    letter = exactjson.decode(envelope.value)
    assert isinstance(letter, dict)
    assert (envelope.schema, letter["reason"]) == (None, "overflow")
    assert detail in str(letter["detail"])
    assert "K2_DECIMALS" not in str(letter["detail"])


@pytest.mark.parametrize("number", ["124500000000.5", "0.0000001117", "99999999999999999999.999999999999999999"])
def test_v2_says_what_would_hold_the_number(number: str) -> None:
    (envelope,) = received(trades(trade(p=number)))
    letter = exactjson.decode(envelope.value)
    assert isinstance(letter, dict)
    assert letter["reason"] == "overflow"
    assert "which decimal(18,8) does not hold; K2_DECIMALS=38,18 does" in str(letter["detail"])


def test_ids_are_those_of_v2_where_v2_holds_the_number() -> None:
    streams = STREAMS.replace("      trade_id: i\n", "")
    streams = streams.replace("each: data", "each: data\n    identity: [price, side]")
    frame = trades(*(trade(p=number) for number in ("64000.10", "64000.10", "1", "0.00000001", 7)))
    try:
        found = []
        for size in (V2, WIDE):
            use_decimals(size)
            found.append([(one["message_id"], one["trade_id"]) for one in records(frame, streams=streams)])
        assert found[0] == found[1]
        assert len({*found[0]}) == 5
        more = records(trades(trade(p="0.0000000101"), trade(p="0.0000000102")), streams=streams)
        assert more[0]["message_id"] != more[1]["message_id"]
    finally:
        use_decimals(V2)


@pytest.mark.parametrize("size", [V2, WIDE])
@pytest.mark.parametrize("number", ["-13.5", Decimal("-13311.5"), -13723, "-0.00000001"])
def test_a_price_below_zero_is_right_where_it_is_declared(size: Any, number: Any) -> None:
    streams = STREAMS.replace("price: p", "price: {from: p, signed: true}", 1)
    use_decimals(size)
    try:
        (found,) = records(trades(trade(p=number)), streams=streams)
        assert found["price"] == Decimal(str(number))
        (refused,) = received(trades(trade(p=number)))
        letter = exactjson.decode(refused.value)
    finally:
        use_decimals(V2)
    assert isinstance(letter, dict)
    assert (letter["reason"], "`signed`" in str(letter["detail"])) == ("bad-number", True)


def test_rounded_numbers_are_counted() -> None:
    plan = plan_of("on_overflow: round\n" + SUBSCRIBE)
    pipeline = intake_of(plan)
    frame = trades(trade(1), trade(2, p="0.0000001117"), trade(3, q="0.123456789"), trade(4), trade(5, p="x"))
    pipeline.receive([frame], 0.0, WALL)
    rounded = pipeline.connector_state.ledger.rounded["trade"]
    assert (rounded.count, rounded.symbol, rounded.field, rounded.number) == (2, "BTCUSD", "quantity", "0.123456789")
