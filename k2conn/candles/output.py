"""What is written of trades: candles as envelopes, and dead letters for what is counted in none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from k2conn.candles.aggregator import AHEAD
from k2conn.candles.envelopes import STREAM, CandleEncoder
from k2conn.candles.series import Candle
from k2conn.candles.trades import Trade
from k2conn.engine.accounting.dead_letter import Origin, dead_letter, whole_frame
from k2conn.engine.accounting.ledger import NOWHERE, Ledger
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.errors import EncodeError, RecordError


class CandleOutput:
    """Makes envelopes. Accounts are those of a ledger, unless one is given for all."""

    def __init__(self, encoder: CandleEncoder) -> None:
        self._encoder = encoder
        self._ledger = Ledger("candles", NOWHERE)

    def candles(
        self, candles: Iterable[Candle], now_us: int, account: DeliveryAccount | None = None
    ) -> Iterator[Envelope]:
        """Candles, and dead letters for those with a number that does not fit the record; ``now_us``: microseconds
        since 1970.
        """
        for candle in candles:
            own = account or self.account(candle.symbol[1])
            try:
                yield self._encoder.envelope(candle, own)
            except EncodeError as error:
                yield self.dead(candle.symbol, candle.asset_class, error, str(candle.sums.values), now_us, own)

    def refused(self, trade: Trade, why: str, now_us: int, account: DeliveryAccount | None = None) -> Envelope:
        """The dead letter of a trade that the aggregator refused with these words."""
        reason = "bad-time" if why == AHEAD else "too-late"
        error = RecordError("timestamp", None, trade.time_us, reason, why)
        return self.dead(trade[:2], trade.asset_class, error, str(trade._asdict()), now_us, account)

    def dead(
        self, of: tuple[str, str], asset_class: str, error: RecordError, frame: str, now_us: int,
        account: DeliveryAccount | None = None,
    ) -> Envelope:
        """A dead letter of an exchange and symbol."""
        exchange, symbol = of
        origin = Origin("candles", exchange, STREAM, self._encoder.topic(exchange, asset_class))
        return dead_letter(origin, symbol, error, now_us, account or self.account(symbol), whole_frame(frame))

    def rejected(
        self, envelope: Envelope, reason: str, words: str, now_us: int, account: DeliveryAccount | None = None
    ) -> Envelope:
        """The dead letter of a candle that the sink cannot take."""
        error = RecordError("record", None, None, reason, words or f"{len(envelope.value)} bytes of Avro")
        origin = Origin("candles", NOWHERE, STREAM, envelope.topic)
        symbol = (envelope.key or b"").decode("utf-8", "replace")
        frame = whole_frame(envelope.value)
        return dead_letter(origin, symbol, error, now_us, account or self.account(symbol), frame)

    def account(self, symbol: str, stream: str = STREAM) -> DeliveryAccount:
        """The ledger's account of a symbol."""
        return self._ledger.account(stream, symbol)
