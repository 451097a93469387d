"""What runs, as a table or as lines: for each stream of each symbol its rate, last price, latency and state."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Context, Decimal
from statistics import median
from typing import NamedTuple

from k2conn.cli.screen import Column, Styled, Table, table
from k2conn.clock import monotonic, wall_us
from k2conn.engine.accounting.ledger import NOWHERE, Account
from k2conn.envelope import Envelope
from k2conn.records import load_record
from k2conn.runner import Runner
from k2conn.runner.connection_state import ConnectionState

_WIDE = Context(prec=60)
"""Python's own is 28 digits: decimal(38,18) has more."""
_WINDOW = 3.0
"""Seconds over which a rate is taken."""
_STYLES = {
    ConnectionState.LIVE: "green",
    ConnectionState.STOPPED: "dim",
    ConnectionState.FAILED: "red",
    ConnectionState.WAITING: "red",
}

_COLUMNS = (
    Column("exchange", leaves=1), Column("stream", leaves=2), Column("symbol"),
    Column("records/s", right=True, leaves=3), Column("last price", right=True),
    Column("exchange to disk", right=True, leaves=5), Column("on disk", right=True, leaves=4),
    Column("state", leaves=6),
)


class TableRow(NamedTuple):
    """One stream of one symbol at one moment."""

    connector: str
    stream: str
    symbol: str
    rate: float
    price: str
    latency_ms: float | None
    published: int
    state: ConnectionState


class TimedRunner(Runner):
    """A runner that also notes, for each stream and symbol, how old records are when they become durable."""

    def __init__(self, *args: object, **options: object) -> None:
        self.latencies: dict[int, deque[float]] = {}
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def _settle(self, envelopes: Sequence[Envelope]) -> None:
        super()._settle(envelopes)
        now_ms = wall_us() / 1000
        for envelope in envelopes:
            if envelope.schema is not None:
                known = self.latencies.setdefault(id(envelope.account), deque(maxlen=200))
                known.append(now_ms - envelope.timestamp_ms)


class LiveTable:
    """Watches a runner."""

    def __init__(self, runner: TimedRunner, title: str = "") -> None:
        self._runner = runner
        self._title = title
        self._counts: dict[int, deque[tuple[float, int]]] = {}
        self._began = monotonic()

    def lines(self) -> Iterator[TableRow]:
        """All streams and symbols that had data, in order."""
        now = monotonic()
        for connector in self._runner.connectors:
            state = connector.connector_state
            scales = {name: _scale(mapping.stream.record) for name, mapping in state.mappings.items()}
            accounts = [one for one in state.ledger.accounts() if one.stream != NOWHERE]
            for account in sorted(accounts, key=lambda one: (one.stream, one.symbol)):
                latencies = self._runner.latencies.get(id(account))
                yield TableRow(
                    connector.plan.name,
                    account.stream,
                    account.symbol,
                    self._rate(account, now),
                    _price(account, scales.get(account.stream, 0)),
                    median(latencies) if latencies else None,
                    account.published,
                    connector.state,
                )

    def table(self, width: int) -> Table:
        """The board for a terminal of so many columns."""
        rows = [
            (line.connector, line.stream, line.symbol, f"{line.rate:.1f}", line.price, _ms(line.latency_ms),
             f"{line.published:,}", Styled(line.state, _STYLES.get(line.state, "yellow")))
            for line in self.lines()
        ]
        return table(_COLUMNS, rows, width, title=self._title)

    def text(self) -> str:
        """One line for each connector, where there is no terminal."""
        found: dict[str, list[TableRow]] = {}
        for line in self.lines():
            found.setdefault(line.connector, []).append(line)
        return "\n".join(_summed(name, lines) for name, lines in found.items())

    def _rate(self, account: Account, now: float) -> float:
        known = self._counts.setdefault(id(account), deque([(self._began, 0)]))
        known.append((now, account.received))
        while len(known) > 1 and known[1][0] <= now - _WINDOW:
            known.popleft()
        (then, before), (_, after) = known[0], known[-1]
        return (after - before) / (now - then) if now > then else 0.0


def _summed(name: str, lines: Sequence[TableRow]) -> str:
    rate = sum(line.rate for line in lines)
    latencies = [line.latency_ms for line in lines if line.latency_ms is not None]
    last = {line.symbol: line.price for line in lines}
    prices = ", ".join(f"{symbol} {price}" for symbol, price in last.items())
    return (
        f"{name}: {lines[0].state}, {rate:.1f} records/s, {sum(line.published for line in lines):,} on disk, "
        f"latency {_ms(median(latencies) if latencies else None)}, {prices}"
    )


def _ms(latency: float | None) -> str:
    return "-" if latency is None else f"{latency:.0f} ms"


def _scale(name: str) -> int:
    """The decimals of a record type's headline price."""
    record = load_record(name)
    return record.field(record.profile.price).scale if record.profile.price is not None else 0


def _price(account: Account, scale: int) -> str:
    unscaled: object = account.last_price
    if not isinstance(unscaled, int):
        return "-"
    number = Decimal(unscaled).scaleb(-scale, _WIDE).normalize(_WIDE)
    return f"{number:,f}"
