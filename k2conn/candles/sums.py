"""What the trades of one span of time add up to, in whole numbers."""

from __future__ import annotations

from k2conn.candles.trades import Trade


class Sums:
    """Trades of some time: prices unscaled at the scale of a trade's price, amounts at that of its quantity, the quote
    amounts at both together. ``told``: whether every trade says who the aggressor was.
    """

    __slots__ = (
        "buy_base", "buy_quote", "close", "count", "high", "latest_us", "low", "open", "quote", "received_us", "told",
        "volume",
    )

    def __init__(self, first: Trade) -> None:
        """Without any trade; ``first`` is one that is about to be taken."""
        self.open = self.close = self.high = self.low = first.price
        self.volume = self.quote = self.buy_base = self.buy_quote = self.count = 0
        self.told = True
        self.latest_us = 0
        """The time of the last of them."""
        self.received_us = 0
        """When the latest of them arrived."""

    def add(self, later: Sums) -> None:
        """Takes in what comes later in time."""
        self.close = later.close
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.volume += later.volume
        self.quote += later.quote
        self.buy_base += later.buy_base
        self.buy_quote += later.buy_quote
        self.count += later.count
        self.told = self.told and later.told
        self.latest_us = later.latest_us
        self.received_us = max(self.received_us, later.received_us)

    def copy(self) -> Sums:
        """The same, as its own."""
        found = Sums.__new__(Sums)
        found.open, found.high, found.low, found.close = self.open, self.high, self.low, self.close
        found.volume, found.quote, found.count = self.volume, self.quote, self.count
        found.buy_base, found.buy_quote, found.told = self.buy_base, self.buy_quote, self.told
        found.latest_us, found.received_us = self.latest_us, self.received_us
        return found

    @property
    def values(self) -> tuple[int, ...]:
        """All that a candle says of them but for when they arrived: equal for equal candles."""
        return (
            self.open, self.high, self.low, self.close, self.volume, self.quote, self.buy_base, self.buy_quote,
            self.count, self.told,
        )

    def repeated(self) -> Sums:
        """The sums of a span without trades that comes next: its prices are the last one."""
        found = self.copy()
        found.open = found.high = found.low = found.close
        found.volume = found.quote = found.buy_base = found.buy_quote = found.count = 0
        found.told = True
        return found


class Bucket(Sums):
    """The shortest span, whose trades are still told apart: from ``begin_us`` to before ``end_us``."""

    __slots__ = ("begin_us", "end_us", "first", "ids", "last")

    def __init__(self, begin_us: int, end_us: int, first: Trade) -> None:
        super().__init__(first)
        self.begin_us = begin_us
        self.end_us = end_us
        self.ids: set[str] = set()
        """The message ids of its trades."""
        self.first = self.last = first
        """In the order of time."""

    def take(self, trade: Trade) -> bool:
        """Counts a trade; False where it was counted before."""
        ids = self.ids
        before = len(ids)
        ids.add(trade[6])
        if len(ids) == before:
            return False
        _, _, time_us, price, quantity, buys, _, _, _, received_us, _, _ = trade
        product = price * quantity
        self.count += 1
        self.volume += quantity
        self.quote += product
        if buys:
            self.buy_base += quantity
            self.buy_quote += product
        elif buys is None:
            self.told = False
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        last_us = self.last[2]
        if time_us > last_us or (time_us == last_us and not _before(trade, self.last)):
            self.last, self.close, self.latest_us = trade, price, time_us
        first_us = self.first[2]
        if time_us < first_us or (time_us == first_us and _before(trade, self.first)):
            self.first, self.open = trade, price
        if received_us > self.received_us:
            self.received_us = received_us
        return True


def _before(trade: Trade, other: Trade) -> bool:
    """Whether a trade is before another one of the same microsecond, which came earlier: by their numbers alone."""
    one, two = trade.number, other.number
    return one is not None and two is not None and one < two
