"""The books balance at every instant, whatever happens in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from k2conn import exactjson
from k2conn.engine.accounting.ledger import Account, Ledger
from tests.support.plans import Script, plan_of, trade, trades

FIGURES = ("published", "duplicates", "dead_letters", "in_flight", "lost")


class Books(RuleBasedStateMachine):
    """A connection that hears good, bad, repeated and foreign frames, and a sink that settles when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.on = Script(plan_of())
        self.on.open()
        self.waiting = self.on.envelopes
        self.received = 0

    @rule(number=st.integers(0, 20), symbol=st.sampled_from(["BTC-USD", "ETH-USD", "nonsense"]),
          price=st.sampled_from(["1", "x", None, "1e99"]))
    def trade(self, number: int, symbol: str, price: str | None) -> None:
        self.on.hear(trades(trade(number, s=symbol, p=price), trade(number + 1)))
        self.received += 2

    @rule(frame=st.sampled_from(["{", "hello", b"\xff", '{"ch":"trade"}']))
    def garbage(self, frame: str | bytes) -> None:
        self.on.hear(frame)
        self.received += 1

    @rule(frame=st.sampled_from(['{"op":"sub","ok":true,"id":1}', '{"what":1}']))
    def talk(self, frame: str) -> None:
        self.on.hear(frame)

    @rule(count=st.integers(1, 5))
    def settle(self, count: int) -> None:
        for envelope in self.waiting[:count]:
            envelope.account.settled(envelope.dead)
        del self.waiting[:count]

    @invariant()
    def balanced(self) -> None:
        ledger = self.on.pipeline.connector_state.ledger
        totals = ledger.totals()
        assert totals["received"] == self.received == sum(totals[name] for name in FIGURES)
        assert totals["in_flight"] == len(self.waiting)
        assert ledger.balanced()
        assert " = " in ledger.equation()
        assert sum(ledger.dead_reasons.values()) >= totals["dead_letters"]
        for stream, part in ledger.report()["streams"].items():
            assert part["received"] == ledger.totals(stream)["received"]


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


def test_more_out_than_in_is_noticed() -> None:
    ledger = Ledger("venue", "VENUE")
    ledger.account("trade", "BTCUSD").settled(False)
    assert not ledger.balanced()


def test_the_report_is_json_and_holds_every_figure() -> None:
    on = Script(plan_of())
    on.open()
    on.hear(trades(trade(1), trade(2, p="x")))
    report: dict[str, Any] = exactjson.decode(exactjson.encode(on.pipeline.connector_state.ledger.report()))
    assert report["frames"] == 1
    assert report["dead_letter_reasons"] == {"bad-number": 1}
    assert report["streams"]["trade"]["symbols"]["BTCUSD"]["received"] == 2
    assert set(report) > {"connector", "control", "unrecognised", "malformed", "connects", "reconnects", "balanced"}


def test_equation_in_words() -> None:
    ledger = Ledger("venue", "VENUE")
    account = ledger.account("trade", "BTCUSD")
    account.received, account.published, account.duplicates = 5, 2, 1
    assert ledger.equation() == (
        "received 5 = published 2 + duplicates 1 + dead letters 0 + in flight 2 + lost 0"
    )


def test_accounts_are_opened_once() -> None:
    ledger = Ledger("venue", "VENUE")
    assert ledger.account("trade", "X") is ledger.account("trade", "X")
    assert isinstance(next(ledger.accounts()), Account)


def test_the_least_delay_is_that_of_the_latest_records() -> None:
    ledger = Ledger("venue", "VENUE")
    for symbol, event, received in (("A", 100, 130), ("B", 200, 150), ("OLD", 50, 10), ("NONE", 0, 150)):
        account = ledger.account("trade", symbol)
        account.last_event_us, account.last_received_us = event, received
    assert ledger.least_delay_us("trade", 100) == -50
    assert ledger.least_delay_us("trade", 140) == -50
    assert ledger.least_delay_us("trade", 150) is None
    assert ledger.least_delay_us("quote", 0) is None
