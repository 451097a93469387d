"""What the pages of the console say of a connector: its grade, and why, the cause first."""

from __future__ import annotations

from typing import Any, cast

import pytest

from k2conn.engine.accounting.ledger import Ledger
from k2conn.engine.gaps.gap import Gap
from k2conn.engine.gaps.gap_records import gap_envelope
from k2conn.engine.gaps.gap_states import BackfillStatus, GapCause
from k2conn.monitoring.board.document import Board
from k2conn.monitoring.console.diagnosis import Diagnosis, diagnosed
from k2conn.monitoring.console.examples import AROUND, NO_EXAMPLES, gap_examples, letter_example, merge_examples
from k2conn.monitoring.console.pages import ODD, asked_page, page_of
from tests.support.plans import plan_of

AT = "2026-11-28T02:00:00+00:00"
COUNTS = dict.fromkeys(
    ("received", "published", "duplicates", "dead_letters", "in_flight", "lost", "gaps", "missing"), 0
)
SOCKET = {"socket": "main-0", "state": "live", "refused": 0}
CONNECTOR = {
    **COUNTS, "connector": "one", "state": "live", "reason": "", "sockets": [SOCKET], "connections": 1, "reconnects": 0,
    "crashes": 0, "dead_letter_reasons": {}, "frames": 0, "bad_data": [], "balanced": True, "per_second": None,
}
STREAM = {**COUNTS, "connector": "one", "stream": "trade", "state": "live", "reason": "", "silent": 0,
          "last_received": None}
BOARD = {"at": AT, "sink": {"name": "kafka", "reachable": True, "last_error": None, "spool": None}, "errors": []}
AWAY = {"state": "waiting", "reason": "connect: refused", "sockets": [{**SOCKET, "state": "waiting"}], "reconnects": 3}


def judged(board: dict[str, Any], connector: dict[str, Any], stream: dict[str, Any]) -> Diagnosis:
    return diagnosed(cast(Any, {**BOARD, **board}), cast(Any, {**CONNECTOR, **connector}),
                     cast(Any, [{**STREAM, **stream}]))


@pytest.mark.parametrize(
    ("board", "connector", "stream", "grade", "first"),
    [
        ({}, {"received": 5, "published": 5}, {}, "ok", None),
        ({}, {"missing": 2, "gaps": 1}, {}, "ok", "2 records missing, in 1 gap."),
        ({}, AWAY, {}, "bad", "It is not connected and subscribed: connect: refused."),
        ({}, AWAY, {"last_received": "2026-11-28T01:59:50.000Z"}, "warn", "It is not connected"),
        ({}, {**AWAY, "state": "connecting", "reconnects": 0}, {}, "starting", "It is not connected"),
        ({}, {"state": "failed", "reason": "gave up"}, {}, "bad", "It has given up: gave up."),
        ({}, {"connections": 0, "sockets": []}, {}, "bad", "It has no connection yet"),
        ({}, {"sockets": [{**SOCKET, "refused": 1}]}, {}, "warn", "The venue refused 1 subscription."),
        ({}, {"frames": 9}, {}, "warn", "Frames come, and there is no record"),
        ({}, {"dead_letter_reasons": {"missing-field": 3}}, {"received": 3, "dead_letters": 3}, "bad",
         "Every record of stream trade becomes a dead letter: missing-field."),
        ({"errors": [{"connector": "one", "stream": "trade", "kind": "dead letter", "reason": "bad-number",
                      "text": "field price"}]}, {}, {"received": 3, "dead_letters": 3}, "bad",
         "Every record of stream trade becomes a dead letter: bad-number (field price)."),
        ({}, {}, {"received": 3, "dead_letters": 2, "published": 1}, "ok", None),
        ({}, {"bad_data": ["trade: 5 of 9 records are dead letters"]}, {}, "warn", "In the last minute: trade"),
        ({}, {}, {"state": "quiet", "reason": "nothing for long"}, "warn", "Stream trade: nothing for long."),
        ({}, {"lost": 1}, {}, "bad", "1 record lost"),
        ({}, {"balanced": False}, {}, "bad", "Its books do not balance"),
        ({"sink": {"name": "kafka", "reachable": False, "last_error": "refused", "spool": {}}}, {}, {}, "bad",
         "The sink kafka cannot be reached: refused."),
    ],
)
def test_the_grade_and_the_first_sentence(
    board: dict[str, Any], connector: dict[str, Any], stream: dict[str, Any], grade: str, first: str | None
) -> None:
    found = judged(board, connector, stream)
    assert found["grade"] == grade
    assert (found["why"][0].startswith(first) if first else found["why"] == []), found["why"]


def test_the_worst_comes_first() -> None:
    found = judged({}, {**AWAY, "lost": 2, "bad_data": ["odd"]}, {"last_received": "2026-11-28T01:59:50.000Z"})
    assert found["why"][0].startswith("2 records lost")


def test_a_letter_is_shown_around_its_place() -> None:
    frame = '{"a":"' + "x" * 5000 + '","p":"bad","z":"' + "y" * 5000 + '"}'
    said = {"received_at": 1, "stream": "trade", "symbol": None, "field": "price", "expression": "p", "value": "bad",
            "reason": "bad-number", "detail": "no number", "frame": frame, "frame_truncated": False}
    found = letter_example(said)
    assert (found["marked"], found["cut"], found["symbol"]) == ('"bad"', True, "")
    assert len(found["before"]) == len(found["after"]) == AROUND
    assert found["before"] + found["marked"] + found["after"] in frame
    nowhere = letter_example({**said, "expression": None, "value": "not there"})
    assert (nowhere["marked"], nowhere["before"]) == ("", frame[: 2 * AROUND])
    binary = letter_example({**said, "frame": None, "frame_base64": "AAH/"})
    assert (binary["before"], binary["binary"]) == ("00 01 ff", True)


def test_the_records_of_a_gap_are_one_gap() -> None:
    plan, account = plan_of(), Ledger("venue", "VENUE").account("gaps", "BTCUSD")
    gap = Gap("trade", "BTCUSD", 3, 5, 10, GapCause.STREAM, 3, 3)
    records = [gap_envelope(plan, gap, 20, account)]
    (found,) = gap_examples(records)
    assert (found["status"], found["told_us"], found["settled_us"], found["since_us"]) == ("OPEN", 20, 0, 10)
    gap.missing, gap.recovered, gap.backfill = 0, 3, BackfillStatus.DONE
    records.append(gap_envelope(plan, gap, 90, account))
    (found,) = gap_examples(records)
    assert (found["status"], found["told_us"], found["settled_us"], found["recovered"]) == ("CLOSED", 20, 90, 3)


def test_examples_of_several_workers_are_one() -> None:
    assert merge_examples([]) == NO_EXAMPLES
    older, newer = ({"received_us": at} for at in (1, 2))
    found = merge_examples(cast(Any, [{**NO_EXAMPLES, "letters": [older]}, {**NO_EXAMPLES, "letters": [newer]}]))
    assert found["letters"] == [newer, older]


def test_a_page_of_nobody_says_so() -> None:
    query = asked_page("page=connector&connector=nobody")
    board = cast(Board, {**BOARD, "connectors": [], "streams": [], "symbols": {}})
    assert page_of(query, board, {}, {}) == {"missing": {"connector": "nobody"}}


def odd(symbol: str, number: int) -> dict[str, Any]:
    return {"symbol": symbol, "kind": "price-move", "record_message_id": str(number)}


def test_pages_have_the_odd_records_of_their_connector_and_symbol() -> None:
    symbols = {"rows": [], "found": 0, "offset": 0, "limit": 25}
    whole = {**CONNECTOR, "exchange": "ONE", "frames_per_second": None}
    stream = {**STREAM, "symbols": 2, "exchange_to_ack_ms": {"p50": None, "p99": None}}
    board = cast(Board, {**BOARD, "connectors": [whole], "streams": [stream], "symbols": symbols})
    marked = [odd("BTCUSD", number) for number in range(ODD)] + [odd("ETHUSD", 99)]
    report = {"one": marked, "another": [odd("BTCUSD", 7)]}
    connector = page_of(asked_page("page=connector&connector=one"), board, {}, report)["odd"]
    assert (connector["found"], connector["records"]) == (ODD + 1, marked[1:]), "the latest"
    symbol = page_of(asked_page("page=symbol&connector=one&symbol=ETHUSD"), board, {}, report)["odd"]
    assert (symbol["found"], symbol["records"]) == (1, marked[-1:])
    (row,) = page_of(asked_page("page=overview"), board, {}, report)["overview"]["rows"]
    assert row["odd"] == ODD + 1
