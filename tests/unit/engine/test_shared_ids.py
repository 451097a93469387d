"""A venue's id that several records share: each record has its own message_id, and the same one whenever it is seen."""

from __future__ import annotations

import uuid

from k2conn import exactjson
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from tests.support.shipped import load

FILLS = [{"d": "7", "t": 1667320276193, "p": "20439.5", "q": quantity, "s": "SELL", "i": "BTCUSD-PERP"}
         for quantity in ("0.0050", "0.1000", "0.0050", "0.0244")]
FRAME = exactjson.encode({"id": -1, "code": 0, "method": "subscribe", "result": {"channel": "trade", "data": FILLS}})


def _connect(state: ConnectorState) -> FramePipeline:
    symbols = [found for name in state.plan.symbols.default if (found := state.plan.symbols.resolve(name))]
    return FramePipeline(state, state.plan.connections[0], symbols, SessionContext(lambda: str(uuid.uuid4()), {}))


def test_fills_of_one_order_are_all_delivered_and_recognised_when_they_come_again() -> None:
    plan = load("crypto-com-derivatives")
    state = ConnectorState(plan, ["trade"], window=1000)
    first, _ = _connect(state).receive([FRAME.decode()], 0.0, 1)
    again, _ = _connect(state).receive([FRAME.decode()], 0.0, 2)
    records = [envelope.schema.decode_plain(envelope.value) for envelope in first if envelope.schema]
    assert [record["trade_id"] for record in records] == ["CRYPTO_COM-7"] * 4
    assert len({record["message_id"] for record in records}) == 4
    assert again == []
