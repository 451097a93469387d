"""Troubles are told once and then counted; the last minute's shares say whether data is bad."""

from __future__ import annotations

from typing import Any

from k2conn.engine.accounting.latency import LatencyHistogram
from k2conn.engine.accounting.ledger import Account, Ledger
from k2conn.engine.accounting.recent import STUCK, RecentFigures
from k2conn.engine.accounting.troubles import KINDS, TroubleKind, Troubles, short
from tests.support.plans import Script, plan_of, trade, trades

DEAD, UNKNOWN = TroubleKind.DEAD_LETTER, TroubleKind.UNKNOWN


def lines(troubles: Troubles, now: float, last: bool = False) -> list[tuple[str, Any]]:
    return list(troubles.lines(now, last))


def test_the_first_of_each_reason_is_told_whole_the_others_are_counted_once_a_minute() -> None:
    troubles = Troubles()
    for at in range(1000):
        troubles.note(DEAD, "trade", "bad-number", at, lambda at=at: {"symbol": "BTCUSD", "value": str(at), "id": None})
        troubles.note(DEAD, "trade", "overflow", at, lambda: {"symbol": "BTTCUSDT"})
    assert lines(troubles, 0.0) == [
        ("dead letter", {"stream": "trade", "reason": "bad-number", "symbol": "BTCUSD", "value": "0"}),
        ("dead letter", {"stream": "trade", "reason": "overflow", "symbol": "BTTCUSDT"}),
    ]
    assert lines(troubles, 59.0) == []
    of = {"trade bad-number": 999, "trade overflow": 999}
    assert lines(troubles, 60.0) == [("dead letter: more of them", {"count": 1998, "seconds": 60, "of": of})]
    troubles.note(DEAD, "trade", "overflow", 0, dict)
    assert lines(troubles, 61.0) == []
    assert len(lines(troubles, 62.0, last=True)) == 1, "the end does not wait for the minute"
    assert lines(troubles, 130.0) == []
    troubles.note(DEAD, "trade", "overflow", 0, dict)
    assert lines(troubles, 131.0)[0][0] == "dead letter", "after a quiet minute it is news again"


def test_a_few_unknown_messages_are_told() -> None:
    troubles = Troubles()
    for at in range(50):
        troubles.note(UNKNOWN, "", "", at, lambda at=at: {"message": f"m{at}"})
    assert [one[1]["message"] for one in lines(troubles, 0.0)] == ["m0", "m1", "m2"]
    assert [one.detail["message"] for one in troubles.latest] == ["m0", "m1", "m2"]


def test_whatever_comes_memory_and_lines_are_bounded() -> None:
    troubles = Troubles()
    for at in range(10_000):
        troubles.note(DEAD, f"s{at}", "x", at, dict)
    assert len(lines(troubles, 0.0)) <= KINDS + 1
    ((_, counted),) = lines(troubles, 60.0)
    assert counted["count"] + KINDS + 1 >= 10_000
    assert len(counted["of"]) <= KINDS + 1


def test_a_value_is_cut_and_moves_no_cursor() -> None:
    assert short("x" * 500) == "x" * 200 + "..."
    assert short({"a": [1]}) == '{"a":[1]}'
    assert short("\x1b[31m\nforged") == r"\x1b[31m\nforged"
    assert short(None) is None


def test_a_dead_letter_and_an_unknown_message_say_all_that_is_known() -> None:
    on = Script(plan_of())
    on.open()
    on.hear(trades(trade(7, p="1,5")))
    on.hear({"event": "system", "msg": "maintenance"})
    on.hear("{")
    latest = on.pipeline.connector_state.ledger.troubles.latest
    found = [(one.kind, one.stream, one.reason, one.detail) for one in latest]
    kind, stream, reason, detail = found[0]
    assert (kind, stream, reason) == (DEAD, "trade", "bad-number")
    assert (detail["symbol"], detail["id"], detail["field"], detail["value"]) == ("BTCUSD", "7", "price", "1,5")
    assert found[1] == (UNKNOWN, "", "", {"message": '{"event":"system","msg":"maintenance"}'})
    assert found[2][:3] == (DEAD, "-", "malformed-frame")
    assert found[2][3]["frame"] == "{"


# -- the last minute


def account(ledger: Ledger, good: int, dead: int, waiting: int = 0) -> Account:
    found = ledger.account("trade", "BTCUSD")
    found.received += good + dead + waiting
    found.published += good
    found.dead_letters += dead
    return found


def recent(share: float = 0.05) -> tuple[Ledger, RecentFigures]:
    ledger = Ledger("venue", "VENUE")
    return ledger, RecentFigures(ledger, ("trade",), share, 0.0)


def test_a_stream_of_dead_letters_only_is_not_ready() -> None:
    ledger, figures = recent()
    account(ledger, 0, 2)
    assert figures.findings(1.0) == [], "two may be chance"
    account(ledger, 0, 3)
    assert figures.findings(1.0) == [("trade: all 5 records are dead letters", True)]
    account(ledger, 1, 0)
    assert figures.findings(1.0) == [("trade: 5 of 6 records are dead letters", False)]
    assert figures.ratios(1.0) == {"trade": 5 / 6, "-": 0.0}


def test_a_share_below_what_is_allowed_is_no_word_worth_and_a_minute_is_forgotten() -> None:
    ledger, figures = recent(share=0.1)
    account(ledger, 95, 5)
    assert figures.findings(1.0) == []
    account(ledger, 0, 6)
    assert figures.findings(1.0) != []
    for now in range(5, 70, 5):
        figures.look(float(now))
    assert figures.findings(70.0) == []
    assert len(figures._samples) <= 14


def test_unknown_messages_are_a_share_of_all() -> None:
    ledger, figures = recent()
    ledger.frames, ledger.unrecognised = 100, 5
    assert figures.findings(1.0) == []
    ledger.malformed = 1
    assert figures.findings(1.0) == [("6 of 100 messages unknown or malformed", False)]


def test_records_that_come_and_are_never_durable() -> None:
    ledger, figures = recent()
    account(ledger, 0, 0, waiting=5)
    figures.look(5.0)
    assert figures.findings(5.0) == []
    assert figures.findings(5.0 + STUCK) == [("trade: records come, and none becomes durable", False)]
    account(ledger, 1, 0)
    assert figures.findings(5.0 + STUCK) == []


def test_the_report_is_linear_in_the_accounts(monkeypatch: Any) -> None:
    ledger, calls = Ledger("venue", "VENUE"), 0
    for number in range(300):
        ledger.account(f"s{number}", f"y{number}").received = 1
    figures = Account.figures

    def counted(self: Account) -> Any:
        nonlocal calls
        calls += 1
        return figures(self)

    monkeypatch.setattr(Account, "figures", counted)
    report = ledger.report()
    assert report["received"] == len(report["streams"]) == 300
    assert calls < 1300


def test_a_histogram_counts_by_steps() -> None:
    one = LatencyHistogram()
    for took in (-5, 1000, 1001, 60_000_000, 60_000_001):
        one.observe(took, 2)
    assert one.counts == [4, 2, *[0] * 11, 2, 2]
    assert one.sum_us == 2 * (1000 + 1001 + 120_000_001)
