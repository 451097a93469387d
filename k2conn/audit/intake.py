"""What goes to the sink, sorted for the audit: trades and closed candles of the streams that a rule names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from k2conn.audit.auditor import Auditor
from k2conn.avro import RecordSchema
from k2conn.avro.unscaled import UnscaledRecords
from k2conn.candles.bodies import AT_ONCE, TradeBodies
from k2conn.envelope import Envelope
from k2conn.plan import Stream


class AuditedStream(NamedTuple):
    """One stream of candles, that of the trades which it is compared with, and the auditor of the two."""

    stream: str
    trades: str
    auditor: Auditor


class AuditIntake:
    """The auditors of one connector's streams, fed with envelopes. Trades are read many at a time: `read` first, where
    a verdict is asked for.
    """

    def __init__(self) -> None:
        self._audited: dict[str, AuditedStream] = {}
        """By the name of the stream of candles."""
        self._bodies: dict[str, TradeBodies] = {}
        """By the name of the stream of trades."""
        self._candle_reader = UnscaledRecords()

    def __iter__(self) -> Iterator[AuditedStream]:
        """All streams of candles that are audited."""
        return iter(self._audited.values())

    @property
    def amendments(self) -> dict[str, int]:
        """Corrections of trades, and what takes them back, that were left out, by the stream of trades."""
        return {stream: one.amendments for stream, one in self._bodies.items()}

    def choose(self, streams: Iterable[Stream]) -> Mapping[str, str]:
        """Audits those of these streams that have a rule whose trades are among them, and goes on with those that it
        audits already; the others with a rule, each with its stream of trades.
        """
        given = list(streams)
        running: Collection[str] = {stream.name for stream in given}
        kept: dict[str, AuditedStream] = {}
        without: dict[str, str] = {}
        for stream in given:
            if stream.audit is None or stream.span is None:
                continue
            if stream.audit.trades in running:
                kept[stream.name] = self._audited.get(stream.name) or AuditedStream(
                    stream.name, stream.audit.trades, Auditor(stream.audit, stream.span.interval)
                )
            else:
                without[stream.name] = stream.audit.trades
        self._audited = kept
        self._bodies = {one.trades: self._bodies.get(one.trades) or TradeBodies() for one in kept.values()}
        return without

    def take(self, envelopes: Iterable[Envelope]) -> None:
        """Takes in the trades and the closed candles among them."""
        if not self._audited:
            return
        bodies = self._bodies
        for envelope in envelopes:
            schema, account = envelope[3], envelope[5]
            if account is None or schema is None:
                continue
            if account.stream in bodies:
                bodies[account.stream].waiting.append((schema, envelope[2]))
            elif account.stream in self._audited:
                self._candle(self._audited[account.stream].auditor, schema, envelope[2])
        if any(len(one.waiting) >= AT_ONCE for one in bodies.values()):
            self.read()

    def read(self) -> None:
        """Hands the trades that wait to the auditors."""
        found = {name: one.read() for name, one in self._bodies.items()}
        for one in self._audited.values():
            if found[one.trades]:
                one.auditor.trades(found[one.trades])

    def _candle(self, auditor: Auditor, schema: RecordSchema, body: bytes) -> None:
        record = self._candle_reader.record(schema, body)
        if record["is_closed"]:
            auditor.candle((record["exchange"], record["symbol"]), record["open_time"], record)
