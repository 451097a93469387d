"""What the comparison with other programs rests on: the judge of their records, and the interpretive path."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from decimal import Decimal

import pytest

from benchmarks.peers.builds import native
from benchmarks.peers.interpreted import compile_by_fastavro
from benchmarks.peers.proof import prove, read_json
from benchmarks.peers.topics import Wrong
from benchmarks.tapes import BinanceTape
from k2conn.avro import load_schema
from k2conn.cli.loading import find
from k2conn.compiler.compiler import load_plan
from k2conn.compiler.expressions.expressions import reference
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline

FRAMES, SYMBOLS = 40, 4


def written() -> list[dict[str, str]]:
    """The tape's trades as cryptofeed writes them."""
    items = [json.loads(BinanceTape(SYMBOLS, 1).frame(number))["data"] for number in range(FRAMES)]
    return [
        {"symbol": f"{item['s'][:-4]}-USDT", "id": str(item["a"]), "price": item["p"], "amount": item["q"],
         "side": "sell" if item["m"] else "buy"}
        for item in items
    ]


def values(records: list[dict[str, str]]) -> Iterator[bytes]:
    return iter([json.dumps(record).encode() for record in records])


def test_what_was_sent_is_accepted() -> None:
    prove(values(written()), read_json, FRAMES, SYMBOLS)


def spoilt(how: str) -> list[dict[str, str]]:
    records = written()
    first, rest = records[0], records[1:]
    match how:
        case "a loss in the middle":
            return records[:7] + records[8:]
        case "a loss at the end":
            return records[:-1]
        case "a repeat":
            return [*records[:3], *records[2:]]
        case "out of order":
            records[4], records[4 + SYMBOLS] = records[4 + SYMBOLS], records[4]
            return records
        case "another price":
            return [{**first, "price": str(Decimal(first["price"]) + 1)}, *rest]
        case "another quantity":
            return [{**first, "amount": "1"}, *rest]
        case _:
            return [{**first, "side": "buy" if first["side"] == "sell" else "sell"}, *rest]


@pytest.mark.parametrize("how", ["a loss in the middle", "a loss at the end", "a repeat", "out of order",
                                 "another price", "another quantity", "another side"])
def test_anything_else_is_not(how: str) -> None:
    with pytest.raises(Wrong):
        prove(values(spoilt(how)), read_json, FRAMES, SYMBOLS)


def test_the_interpretive_path_has_no_fast_path() -> None:
    file = find("binance")
    with reference():
        plan = load_plan(file)
    stream = next(stream for stream in plan.streams if stream.name == "agg_trade")
    assert all(field.direct is None for field in (*stream.fields, *stream.vendor_data, stream.symbol))
    compiled = next(stream for stream in load_plan(file).streams if stream.name == "agg_trade")
    assert any(field.direct is not None for field in compiled.fields)  # so that the line above says something


def test_fastavro_in_its_place_writes_the_same_bytes() -> None:
    schema = load_schema("trade")
    constants = {"exchange": "BINANCE", "platform_sequence": None}
    values: list[object] = [
        "00000000-0000-5000-8000-000000000000", "BINANCE-7", "BTCUSDT", "BINANCE", "crypto", 1_700_000_000_000_000,
        4_215_050_000_000, 128, "USDT", "SELL", [], 7, 1_700_000_000_000_001, None, {"a": "1"},
    ]
    assert compile_by_fastavro(schema, constants)(values) == schema.compile(constants)(values)


def test_the_native_program_writes_the_records_that_k2conn_writes() -> None:
    tape, received = BinanceTape(SYMBOLS, 1), 1_700_000_000_000_000
    frames = [tape.frame(number).decode() for number in range(500)]
    plan = load_plan(find("binance"))
    symbols = [found for name in tape.symbols if (found := plan.symbols.resolve(name))]
    state = ConnectorState(plan, [tape.stream])
    pipeline = FramePipeline(state, plan.connections[0], symbols, SessionContext(lambda: "", {}))
    pipeline.session.open(0.0, 0)
    ours = [made.value for made in pipeline.receive(frames, 1.0, received)[0]]
    program, _ = native()
    pairs = ",".join(f"{base}-USDT" for base in tape.bases)
    answers = json.dumps({"result": None, "id": 1})
    done = subprocess.run([str(program), "map", str(received), pairs], input="\n".join([answers, *frames]).encode(),
                          stdout=subprocess.PIPE, check=True)
    theirs, at = [], 0
    while at < len(done.stdout):
        size = int.from_bytes(done.stdout[at : at + 4], "big")
        theirs.append(done.stdout[at + 4 : at + 4 + size])
        at += 4 + size
    assert len(ours) == len(frames)
    assert theirs == ours


@pytest.mark.parametrize(("frame", "said"), [
    ('{"data":{"e":"aggTrade","s":"XUSDT"}}', "not asked for: XUSDT"),
    ('{"data":{"s":"BTCUSDT","a":1}}', "without its 'p'"),
    ('{"data":{"s":"BTC\\u0055SDT"}}', "with an escape"),
    ('{"data":{"s":"BTCUSDT","a":1,"p":"1e5","q":"1","f":1,"l":1,"e":"x","E":1,"T":1,"m":true,"M":true}}', "a price"),
    ('{"data":{"s":"BTCUSDT"', "without an end"),
])
def test_what_the_native_program_does_not_expect_ends_it(frame: str, said: str) -> None:
    program, _ = native()
    done = subprocess.run([str(program), "map", "1", "BTC-USDT"], input=frame, capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
