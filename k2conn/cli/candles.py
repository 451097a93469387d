"""`k2conn candles`: trades in, candles out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k2conn.avro.unscaled import UnscaledRecords
from k2conn.candles.aggregator import CandleAggregator
from k2conn.candles.envelopes import STREAM, CandleEncoder
from k2conn.candles.output import CandleOutput
from k2conn.candles.series import Candle
from k2conn.candles.settings import CandleSettings
from k2conn.candles.source import TradeSource, UnreadRecord
from k2conn.cli.event_loop import stop_on_signals
from k2conn.cli.messages import complain, say
from k2conn.cli.option_values import lasting, listed
from k2conn.clock import wall_us
from k2conn.engine.accounting.dead_letter import DEAD_SUFFIX
from k2conn.engine.accounting.ledger import NOWHERE
from k2conn.envelope import Envelope
from k2conn.errors import CollectedProblems, RecordError, SettingsError, known
from k2conn.features.envelopes import STREAM as FEATURES
from k2conn.features.making import feature_maker
from k2conn.runner.event_log import configure
from k2conn.settings import feature_settings, sink_settings
from k2conn.sinks import SINKS, Sink, putter, refuse_borders
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import make_spooled
from k2conn.tools.trade_files import TradeFiles

if TYPE_CHECKING:
    from k2conn.features.maker import FeatureMaker

FLUSH_WITHIN = 30.0
ALL_WELL, UNSENT, DEAD = 0, 1, 65
OPEN = ("drop", "keep", "close")
"""What is done with candles that are not over where the input ends."""


@dataclass(frozen=True, slots=True)
class CandleOptions:
    """What the command line says."""

    inputs: Sequence[str]
    intervals: str
    delay: str
    lateness: str
    empty: str
    open: str
    topic: str
    sink: str | None = None
    sink_options: Sequence[str] = ()
    folder: Path | None = None
    kafka: str | None = None
    registry: str | None = None
    features: str | None = None


def run(options: CandleOptions) -> int:
    """Makes candles until the input ends, or SIGINT or SIGTERM come; the exit code."""
    configure("warning", False)
    problems = CollectedProblems()
    settings, sink, source, encoder = CandleSettings(), SinkSettings(kind="console"), None, None
    maker: FeatureMaker | None = None
    with problems.noting():
        settings = candle_settings(options)
    with problems.noting():
        encoder = encoder_of(options.topic)
    with problems.noting():
        if options.open not in OPEN:
            raise SettingsError(f"--open {options.open}{known(options.open, OPEN)}")
    with problems.noting():
        flags: dict[str, Any] = {"folder": options.folder, "kafka": options.kafka, "registry": options.registry}
        sink = sink_settings(os.environ, options.sink, options.sink_options, **flags)
        refuse_borders(sink)
        if found := SINKS.get(sink.kind).check(sink.options):
            raise SettingsError(*found)
    with problems.noting():
        maker = _feature_maker(options, settings)
    with problems.noting():
        source = TradeFiles(options.inputs)
    problems.finish()
    assert source is not None
    assert encoder is not None
    making = CandleMaking(settings, encoder, sink, options.open, maker)
    return asyncio.run(making.run(source))


def candle_settings(options: CandleOptions) -> CandleSettings:
    """The settings; SettingsError with all that is wrong."""
    problems = CollectedProblems()
    names: list[str] = []
    delay = lateness = 0.0
    with problems.noting():
        names = listed("--intervals", options.intervals)
    with problems.noting():
        delay = lasting("--delay", options.delay) or 0.0
    with problems.noting():
        lateness = lasting("--lateness", options.lateness) or 0.0
    problems.finish()
    return CandleSettings(tuple(names), round(delay * 1_000_000), round(lateness * 1_000_000), options.empty)


def _feature_maker(options: CandleOptions, candles: CandleSettings) -> FeatureMaker | None:
    """What makes features of the candles; None where nobody asks for them."""
    if options.features is None:
        return None
    settings = feature_settings(os.environ, listed("--features", options.features), "--features")
    if settings is None:
        return None
    missing = [name for name in settings.names if name not in candles.names]
    if missing:
        raise SettingsError(f"--features {', '.join(missing)}: no such candles are made: say --intervals "
                            f"{','.join((*candles.names, *missing))}")
    return feature_maker(settings, options.topic)


def encoder_of(topic: str) -> CandleEncoder:
    """Writes to that template; SettingsError where it is none."""
    encoder = CandleEncoder(topic)
    try:
        encoder.topic("X", "crypto")
    except (KeyError, IndexError, ValueError):
        names = "{asset_class}, {plural} and {exchange}"
        raise SettingsError(f"--topic {topic}: a template has no other words than {names}") from None
    return encoder


class CandleMaking:
    """One run: from a source into a sink."""

    def __init__(
        self, settings: CandleSettings, encoder: CandleEncoder, sink: SinkSettings, open_: str,
        features: FeatureMaker | None = None,
    ) -> None:
        self._features = features
        self._reader = UnscaledRecords()
        self.aggregator = CandleAggregator(settings)
        self._output = CandleOutput(encoder)
        self._settings = sink
        self._open = open_
        self._prepared: set[str] = set()
        self.written = 0
        self.dead = 0
        self.amendments = 0
        """Corrections of trades, and what takes them back, that were left out."""
        self.lost = 0
        self._sink: Sink | None = None

    async def run(self, source: TradeSource) -> int:
        """Until the source ends; the exit code."""
        stop = asyncio.Event()
        stop_on_signals(asyncio.get_running_loop(), stop)
        sink = self._sink = make_spooled(self._settings, self._settled, self._rejected)
        await sink.open()
        try:
            whole = await self._all(source, sink, stop)
            last = self._last() if whole else []
            await self._put(sink, last)
            unsent = await sink.flush(FLUSH_WITHIN)
        finally:
            await sink.close()
        return self._said(unsent)

    async def _all(self, source: TradeSource, sink: Sink, stop: asyncio.Event) -> bool:
        """Whether the source has come to its end."""
        batches = source.batches()
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while True:
                coming = asyncio.ensure_future(anext(batches, None))
                await asyncio.wait({coming, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    coming.cancel()
                    return False
                batch = coming.result()
                if batch is None:
                    return True
                found = [self._unread(one) for one in batch.unread]
                self.amendments += batch.amendments
                late = self.aggregator.add(batch.trades)
                found += [self._output.refused(trade, why, wall_us()) for trade, why in late]
                if source.in_order:
                    self.aggregator.advance_to_latest()
                await self._put(sink, found + self._envelopes())
        finally:
            stopping.cancel()

    def _last(self) -> list[Envelope]:
        """What the end of the input tells."""
        self.aggregator.advance_to_latest()
        found = self._envelopes()
        states = list(self.aggregator.states())
        if self._open == "drop":
            text = f"{len(states)} candles are not over, and not written (--open keep or close writes them)"
            say(text, open=len(states))
            return found
        closed = self._open == "close"
        more = [candle._replace(closed=closed) for candle in states]
        return [*found, *self._written(more)]

    def _envelopes(self) -> list[Envelope]:
        return list(self._written(self.aggregator.collect()))

    def _written(self, candles: Iterable[Candle]) -> Iterator[Envelope]:
        """Candles, each that is over with its features behind it. There are no quotes here, so that the spread is 0."""
        maker = self._features
        for candle in candles:
            for made in self._output.candles((candle,), wall_us()):
                yield made
                if maker is None or made.dead or not candle.closed:
                    continue
                if candle.interval.name in maker.settings.intervals:
                    account = self._output.account(candle.symbol[1], FEATURES)
                    assert made.schema is not None
                    found = maker.features(self._reader.record(made.schema, made.value), STREAM, 0.0, account)
                    if found is not None:
                        yield found

    def _unread(self, one: UnreadRecord) -> Envelope:
        complain(f"{one.place}: {one.reason}")
        error = RecordError("record", None, None, "bad-type", f"{one.place}: {one.reason}")
        return self._output.dead((NOWHERE, NOWHERE), NOWHERE, error, one.body.decode("utf-8", "replace"), wall_us())

    # -- the sink

    async def _put(self, sink: Sink, envelopes: Sequence[Envelope]) -> None:
        new = {one.topic: one.schema for one in envelopes if one.topic not in self._prepared}
        if new:
            new |= {f"{topic}{DEAD_SUFFIX}": None for topic, schema in new.items() if schema is not None}
            await sink.prepare(new)
            self._prepared.update(new)
        putter(sink)(envelopes)
        if sink.crowded:
            await sink.drain()

    def _settled(self, envelopes: Sequence[Envelope]) -> None:
        dead = sum(envelope.dead for envelope in envelopes)
        self.dead += dead
        self.written += len(envelopes) - dead

    def _rejected(self, envelope: Envelope, reason: str, words: str = "") -> None:
        assert self._sink is not None
        if envelope.dead:
            self.lost += 1
            complain(f"a dead letter was refused: {reason} {words}")
            return
        self._sink.put(self._output.rejected(envelope, reason, words, wall_us()))

    def _said(self, unsent: int) -> int:
        counts = self.aggregator.counts
        say(
            f"{counts.trades} trades, {counts.repeated} repeats, {counts.late} too late, {counts.ahead} ahead of time, "
            f"{self.amendments} corrections of trades left out: "
            f"{self.written} records written, {counts.corrections} corrections, {self.dead} dead letters",
        )
        if unsent or self.lost:
            complain(f"{unsent + self.lost} records could not be written")
            return UNSENT
        return DEAD if self.dead else ALL_WELL
