"""Quotes of nothing but zeros, and records that come again: the same on all ways through the mapping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from k2conn import exactjson, native
from k2conn.compiler.compiler import check_text
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.mapping import native_mapper
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, intake_of, plan_of

QUOTES = STREAMS[STREAMS.index("  quote:"):]
ZERO = dict.fromkeys(("b", "B", "a", "A"), 0)


@pytest.fixture(autouse=True, params=["native", "python"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test runs with the native mapper, and without it."""
    if request.param == "native" and native.Mapper is None:
        pytest.skip("k2conn/native is not built here (no C compiler)")
    if request.param == "python":
        monkeypatch.setattr(native_mapper.native, "Mapper", None)
    return str(request.param)


def pipeline_of(more: str = "", *, numbered: bool = False, window: int = 100) -> FramePipeline:
    quotes = QUOTES.replace("    fields:\n", f"{more}    fields:\n")
    if numbered:
        quotes = quotes.replace("      quote_id: i\n", "")
    return intake_of(plan_of(SUBSCRIBE, STREAMS.replace(QUOTES, quotes)), window=window)


def quote(number: int, **fields: Any) -> str:
    said = {"ch": "quote", "s": "BTC-USD", "i": number, "t": 1767323045678, "b": "1", "B": "2", "a": "3", "A": "4"}
    return exactjson.encode(said | fields).decode()


def feed(pipeline: FramePipeline, *frames: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    records, dead = [], []
    for frame in frames:
        for envelope in pipeline.receive([frame], 0.0, 1)[0]:
            if envelope.schema is None:
                dead.append(exactjson.decode(envelope.value))
            else:
                records.append(envelope.schema.decode_plain(envelope.value))
    return records, dead


def test_a_quote_of_zeros_is_refused() -> None:
    pipeline = pipeline_of()
    records, dead = feed(pipeline, quote(1), quote(2, **ZERO), quote(3, **dict.fromkeys(ZERO, "0.000")), quote(4, b=0))
    assert [record["bid_price"] for record in records] == ["1", "0"]
    assert [(letter["field"], letter["expression"], letter["reason"]) for letter in dead] == [
        ("bid_price", "b", "all-zero"), ("bid_price", "b", "all-zero"),
    ]
    assert dead[0]["detail"].startswith("bid_price, bid_quantity, ask_price, ask_quantity are all zero: say")
    assert pipeline.connector_state.ledger.balanced()


@pytest.mark.parametrize("field", ZERO)
def test_one_side_or_size_is_enough(field: str) -> None:
    assert len(feed(pipeline_of(), quote(1, **ZERO | {field: "0.00000001"}))[0]) == 1


def test_a_file_may_say_what_they_mean() -> None:
    pipeline = pipeline_of("    empty: drop\n")
    assert feed(pipeline, quote(1, **ZERO)) == ([], [])
    assert pipeline.connector_state.ledger.totals()["filtered"] == 1
    assert len(feed(pipeline_of("    empty: keep\n"), quote(1, **ZERO))[0]) == 1


def test_numbers_of_empty_quotes_are_no_gap() -> None:
    for more in ("    empty: drop\n", ""):
        pipeline = pipeline_of(more + "    sequence: {from: i, rule: contiguous, per: symbol}\n")
        feed(pipeline, quote(1), quote(2, **ZERO), quote(3))
        gaps = pipeline.connector_state.mappings["quote"].gaps
        assert gaps is not None
        assert list(gaps.due(10**15)) == []


NUMBERED = "    identity: [timestamp, bid_price, ask_price]\n"
DISTINCT = "    identity: {distinct: [timestamp, bid_price, ask_price]}\n"


def test_equal_rows_are_numbered_or_one_record() -> None:
    numbered = pipeline_of(NUMBERED, numbered=True)
    assert len({record["message_id"] for record in feed(numbered, quote(1), quote(2), quote(3))[0]}) == 3
    distinct = pipeline_of(DISTINCT, numbered=True)
    records, dead = feed(distinct, quote(1), quote(2), quote(3, b="2"), quote(4), quote(5, t=1767323045679))
    assert dead == []
    assert [record["bid_price"] for record in records] == ["1", "2", "1"]
    assert distinct.connector_state.ledger.totals()["duplicates"] == 2


def test_what_comes_again_is_no_record_on_another_connection_either() -> None:
    ids = [feed(pipeline_of(DISTINCT, numbered=True, window=0), quote(1), quote(2))[0] for _ in range(2)]
    assert len({record["message_id"] for records in ids for record in records}) == 1


def test_the_first_of_equal_rows_has_the_same_id_either_way() -> None:
    first = [feed(pipeline_of(more, numbered=True), quote(1))[0][0]["message_id"] for more in (NUMBERED, DISTINCT)]
    assert first[0] == first[1]


def test_another_content_under_an_equal_identity_is_a_record_of_its_own() -> None:
    pipeline = pipeline_of(DISTINCT, numbered=True)
    records, _ = feed(pipeline, quote(1), quote(2, B="7"))
    assert len({record["message_id"] for record in records}) == 2
    assert pipeline.connector_state.ledger.totals()["conflicts"] == 1


def test_trades_may_be_zero() -> None:
    text = STREAMS.replace("    each: data\n", "    each: data\n    empty: drop\n", 1)
    _, problems = check_text("venue.yaml", HEAD + SUBSCRIBE + text, Path())
    assert [problem.text for problem in problems] == ["a trade record may be all zeros: take it out"]
