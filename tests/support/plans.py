"""Small connector files for tests: a venue that speaks plainly, and whatever a test changes about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.compiler.compiler import check_text
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import Close, Note, Send, Session, SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.plan import Plan

HEAD = """
connector: venue
exchange: VENUE
asset_class: crypto
docs: https://docs.example/ws
symbols: {default: [BTC-USD, ETH-USD], form: "{base}-{quote}", aliases: {XBT: BTC}}
"""

STREAMS = """
streams:
  trade:
    when: {ch: trade}
    each: data
    fields:
      symbol: s
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {from: d, map: {buy: BUY, sell: SELL}}
  quote:
    when: {ch: quote}
    fields:
      symbol: s
      quote_id: i
      timestamp: {from: t, unit: ms}
      bid_price: b
      bid_quantity: B
      ask_price: a
      ask_quantity: A
"""

SUBSCRIBE = """
connection:
  url: wss://venue.example/ws
  steps:
    - name: subscribe trades
      send: {op: sub, ch: trade, symbols: $symbols, id: $counter}
      for: trade
      expect:
        accepted: {op: sub, ok: true}
        refused: {op: sub, ok: false}
        symbol: s
        reply_to: id
        reason: why
        within: 5s
"""

WORLD = SessionContext(lambda: "00000000-0000-4000-8000-000000000000", {"K2_VENUE_KEY": "secret"})


def plan_of(connection: str = SUBSCRIBE, streams: str = STREAMS, name: str = "venue") -> Plan:
    """The plan of a connector file in parts; fails with its problems."""
    head = HEAD.replace("connector: venue", f"connector: {name}")
    plan, problems = check_text(f"{name}.yaml", head + connection + streams, Path())
    assert plan is not None, "\n".join(map(str, problems))
    return plan


def intake_of(
    plan: Plan, symbols: tuple[str, ...] = (), streams: list[str] | None = None, window: int = 1000
) -> FramePipeline:
    """A fresh connection of a plan's first kind of socket."""
    names = symbols or plan.symbols.default
    found = [symbol for name in names if (symbol := plan.symbols.resolve(name))]
    return FramePipeline(ConnectorState(plan, streams, window), plan.connections[0], found, WORLD)


def trade(number: int = 1, **fields: Any) -> dict[str, Any]:
    """One item of the venue's trade stream."""
    return {"s": "BTC-USD", "i": number, "p": "64000.10", "q": "0.25", "t": 1767323045678, "d": "sell"} | fields


def trades(*items: dict[str, Any], **fields: Any) -> str:
    """A frame of trades."""
    return exactjson.encode({"ch": "trade", "data": list(items), **fields}).decode()


class Script:
    """One connection on a clock of its own: what goes in, what comes out."""

    def __init__(self, plan: Plan, symbols: tuple[str, ...] = (), streams: list[str] | None = None) -> None:
        self.pipeline = intake_of(plan, symbols, streams)
        self.session: Session = self.pipeline.session
        self.now, self.wall = 1000.0, 1_767_323_046_000_000
        self.sent: list[Any] = []
        self.notes: list[Note] = []
        self.closed: Close | None = None
        self.envelopes: list[Any] = []

    def open(self) -> list[Any]:
        return self._act(self.session.open(self.now, self.wall))

    def hear(self, value: Any) -> list[Any]:
        """A frame comes in; what is sent thereupon."""
        frame = value if isinstance(value, (str, bytes)) else exactjson.encode(value).decode()
        envelopes, actions = self.pipeline.receive([frame], self.now, self.wall)
        self.envelopes += envelopes
        return self._act(actions)

    def wait(self, seconds: float) -> list[Any]:
        """Time passes, deadline by deadline; what is sent meanwhile."""
        end, sent = self.now + seconds, []
        while (deadline := self.session.deadline) is not None and deadline <= end:
            self.now = max(deadline, self.now)
            sent += self._act(self.session.timer(self.now, self.wall))
        self.now = end
        return sent

    def retire(self) -> list[Any]:
        return self._act(self.session.retire(self.now, self.wall))

    def states(self, stream: str = "trade") -> dict[str, str]:
        """The state of each subscription of a stream, by symbol."""
        return {one.symbol.native: one.state for one in self.session.subscriptions.all if one.stream == stream}

    def noted(self, kind: str) -> list[dict[str, Any]]:
        return [note.detail for note in self.notes if note.kind == kind]

    def _act(self, actions: list[Any]) -> list[Any]:
        sent = []
        for action in actions:
            if isinstance(action, Send):
                sent.append(_value(action.frame))
            elif isinstance(action, Note):
                self.notes.append(action)
            elif isinstance(action, Close):
                assert self.closed is None, "a session closes once"
                self.closed = action
        self.sent += sent
        return sent


def _value(frame: str) -> Any:
    try:
        return exactjson.decode(frame)
    except exactjson.JsonError:
        return frame
