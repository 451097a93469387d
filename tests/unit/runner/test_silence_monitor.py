"""What the log says of a stream that was lost: that it has data again is said once it has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from k2conn.clock import monotonic
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.subscriptions import SubscriptionState
from k2conn.runner import silence_monitor
from k2conn.runner.silence_monitor import SilenceMonitor
from tests.support.plans import plan_of


class Log:
    """A logger that keeps the events."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event: str, **_: Any) -> None:
        self.events.append(event)

    warning = info


def test_a_stream_has_data_again_once_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence_monitor, "LOOK_EVERY", 0.0)
    state, log = ConnectorState(plan_of(), ["trade"], window=0), Log()
    monitor = SilenceMonitor(state, log)
    symbol = state.plan.symbols.resolve("BTC-USD")
    one = SimpleNamespace(stream="trade", symbol=symbol, state=SubscriptionState.CONFIRMED, asked=0.0)
    session = SimpleNamespace(subscriptions=SimpleNamespace(all=[one]))
    connection = SimpleNamespace(pipeline=SimpleNamespace(session=session), opened_at=monotonic())
    supervisor: Any = SimpleNamespace(connection=connection, connected=True)

    account = state.ledger.account("trade", "BTCUSD")
    account.received = 1
    monitor.look([supervisor])
    account.received = 2
    monitor.look([supervisor])
    assert monitor.worst_state("trade") is None

    supervisor.connected = False
    monitor.look([supervisor])
    assert monitor.worst_state("trade") == "dead"

    supervisor.connected, connection.opened_at = True, monotonic()
    monitor.look([supervisor])
    monitor.look([supervisor])
    assert monitor.worst_state("trade") is None
    assert log.events == []  # connected, but nothing was heard yet

    account.received = 3
    monitor.look([supervisor])
    monitor.look([supervisor])
    assert log.events == ["stream has data again"]
