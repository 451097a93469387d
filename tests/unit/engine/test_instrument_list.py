"""Any answer is an instrument list or a RecordError, and any body an answer or a RecordError; what was taken in is
bounded and whole.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2conn import exactjson
from k2conn.codecs.bodies import body_reader, body_writer
from k2conn.compiler.compiler import check_text
from k2conn.engine.instrument_list import learn
from k2conn.engine.symbol_directory import SymbolDirectory
from k2conn.errors import RecordError
from k2conn.plan import FrameEncoding, Plan
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE

LIST = """list:
    http: GET https://v.example/list
    pages: {number: page}
    each: data
    symbol: {from: id, pattern: "{value}"}
    split: {from: pair, pattern: "{base}/{quote}"}
    expiry: {from: ends, unit: ms}
    strike: k
    option_right: {from: r, map: {C: CALL}}
    multiplier: {places: d}
    parts: {group: g}
    tick: t
    lot: {places: l}
    status: s
    trading: ["1"]
    when: {"on": true}
  form:"""
SYMBOLS = HEAD[HEAD.index("symbols:"):]
KEYS = ("id", "pair", "ends", "k", "r", "d", "g", "t", "l", "s", "on")
MOST = 20


def plan() -> Plan:
    text = HEAD.replace(SYMBOLS, f'symbols:\n  default: [BTC-USD]\n  {LIST} "{{base}}-{{quote}}"\n')
    found, problems = check_text("venue.yaml", text + SUBSCRIBE + STREAMS, Path())
    assert found is not None, problems
    return found


PLAN = plan()
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(10**30, 10**40), st.text(max_size=130),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from(["BTC/USD", "1e999999", "-0", "C", "1", "word/"]),
    st.sampled_from([Decimal("1E+999"), Decimal("1E-999"), 1_774_598_400_000]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
ROWS = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUES)) | VALUES
ENTRIES = st.lists(ROWS, max_size=6) | st.dictionaries(st.text(max_size=5), ROWS, max_size=4)
PAGES = st.lists(st.fixed_dictionaries({}, optional={"data": ENTRIES}) | VALUES, max_size=3)


@given(st.one_of(PAGES, VALUES))
@settings(max_examples=150, deadline=None)
def test_any_answer(answer: Any) -> None:
    assert PLAN.symbols.list is not None
    directory = SymbolDirectory(PLAN.symbols, MOST)
    try:
        for _ in learn(PLAN.symbols.list, answer, directory):
            pass
    except RecordError as error:
        said = error.detail
    else:
        said = "the answer has no list of instruments"
    assert said == "the answer has no list of instruments"
    assert len(directory.instruments) <= MOST
    for name in directory.instruments:
        assert name
    for instrument in directory.instruments.values():
        assert all(step is None or 0 < step < Decimal(10) ** 61 for step in (instrument.tick, instrument.lot))
        assert len(instrument.status) <= 60


ENCODINGS = {
    words: FrameEncoding((), tuple(words.split("+"))) for words in ("json", "csv", "jsonlines", "gzip+json", "gzip+csv")
}


@pytest.mark.parametrize("words", ENCODINGS)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(max_examples=100, deadline=None)
def test_any_body(words: str, body: bytes) -> None:
    try:
        found = body_reader(ENCODINGS[words], 1000)(body)
    except RecordError:
        return
    assert exactjson.count(found, 1000) <= 1000


@pytest.mark.parametrize("words", ENCODINGS)
def test_what_is_written_is_read_again(words: str) -> None:
    rows = [{"id": "A", "t": "1,5"}, {"id": "B", "t": 'q"'}]
    body = body_writer(ENCODINGS[words])(exactjson.encode(rows))
    assert body_reader(ENCODINGS[words])(body) == rows
