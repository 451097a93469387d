"""Silence has causes: never acknowledged, no first data, gone quiet against a habit, dead."""

from __future__ import annotations

from k2conn.engine.conversation.subscriptions import SubscriptionState
from k2conn.engine.resilience.silence_detection import FIRST_DATA, FLOOR, SilenceDetector, SilenceReading, SilenceState

KEY = ("trade", "BTCUSD")
CONFIRMED, PENDING = SubscriptionState.CONFIRMED, SubscriptionState.PENDING
REFUSED, UNACKNOWLEDGED = SubscriptionState.REFUSED, SubscriptionState.UNACKNOWLEDGED


class Clock:
    """A watch that looks once a second."""

    def __init__(self) -> None:
        self.watch, self.now, self.received, self.state = SilenceDetector(), 1000.0, 0, ""

    def run(
        self, seconds: int, every: int | None = None, state: SubscriptionState = CONFIRMED, connected: bool = True
    ) -> str:
        """So many seconds, with data every few of them."""
        for second in range(seconds):
            self.now += 1
            self.received += 5 if every and second % every == 0 else 0
            reading = SilenceReading(1000.0 if connected else None, state, self.received)
            self.state = self.watch.look(KEY, reading, self.now)
        return self.state


def test_what_was_never_acknowledged_is_not_what_has_no_data() -> None:
    clock = Clock()
    assert clock.run(1, state=PENDING) == "asked"
    assert clock.run(1, state=UNACKNOWLEDGED) == "unacknowledged"
    assert clock.run(1) == "asked"
    assert clock.run(int(FIRST_DATA)) == "no-data"
    assert clock.run(1, every=1) == "live"
    assert clock.run(1, state=REFUSED) == "refused"
    assert clock.run(1, connected=False) == "dead"


def test_a_busy_symbol_is_quiet_soon_and_a_slow_one_late() -> None:
    busy, slow = Clock(), Clock()
    busy.run(60, every=1)
    slow.run(600, every=20)
    assert busy.run(int(FLOOR) - 1) == "live"
    assert busy.run(3) == "quiet"
    assert slow.run(300) == "live"
    assert slow.run(150) == "quiet"
    assert slow.run(1, every=1) == "live"


def test_without_a_habit_nothing_is_quiet() -> None:
    clock = Clock()
    clock.run(1, every=1)
    assert clock.run(5000) == "live"


def test_after_a_reconnect_the_first_data_may_take_as_long_as_the_habit_says() -> None:
    clock = Clock()
    clock.run(900, every=30)
    began = clock.now
    for second in range(400):
        state = clock.watch.look(KEY, SilenceReading(began, CONFIRMED, clock.received), began + second)
    assert state == "asked"
    assert clock.watch.look(KEY, SilenceReading(began, CONFIRMED, clock.received), began + 700) == "no-data"


def test_a_stream_is_silent_where_no_symbol_speaks() -> None:
    watch = SilenceDetector()
    for symbol, state, received in (("A", CONFIRMED, 1), ("B", UNACKNOWLEDGED, 0), ("C", REFUSED, 0)):
        watch.look(("trade", symbol), SilenceReading(0.0, state, received), 10.0)
    assert watch.silent("trade") is None
    assert watch.counts("trade") == dict.fromkeys(SilenceState, 0) | {"live": 1, "unacknowledged": 1, "refused": 1}
    assert list(watch.worst("trade", 1)) == [("C", "refused")]
    watch.forget({("trade", "B"), ("trade", "C")})
    assert watch.silent("trade") == "refused"
    assert watch.silent("quote") is None
    assert watch.silence(("trade", "B"), 10.0) is None
