"""The meaning of key names and texts: words that exchanges commonly use, and none of any one exchange."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

KIND_NAMES = frozenset({
    "channel", "ch", "topic", "type", "ty", "event", "e", "ev", "T", "stream", "feed", "method", "action", "m", "op",
    "table", "subject", "name", "cmd", "command", "subbed", "msg", "id", "rep", "result", "chan", "kind", "messagetype",
    "datatype", "data", "tag", "status",
})
"""Keys whose text identifies the kind of a message, without separators and in lower case; one letter as it is."""
LETTERS = {"t": "trade", "q": "quote"}
"""What one letter means, where it is all that a message says of its kind."""

TRADE_WORDS = frozenset({
    "trade", "trades", "match", "matches", "deal", "deals", "execution", "executions", "fill", "fills", "te",
    "transaction", "transactions", "tick",
})
QUOTE_WORDS = frozenset({"ticker", "tickers", "bbo", "quote", "quotes", "spread", "best", "top", "nbbo", "lite"})
BOOK_WORDS = frozenset({"depth", "book", "books", "orderbook", "order", "orders", "l2", "level2", "l2update", "board",
                        "diff", "snapshots"})
CANDLE_WORDS = frozenset({"candle", "candles", "candlestick", "candlesticks", "kline", "klines", "ohlc"})
OTHER_WORDS = CANDLE_WORDS | frozenset({
    "liquidation", "liquidations", "force", "funding", "mark", "index",
    "estimated", "price", "status", "summary", "statistics", "stats", "interest", "settlement", "spot24h", "rate",
    "instruments", "instrument", "premium", "tu",
})
ACK_WORDS = frozenset({
    "subscribe", "subscribed", "subscription", "subscriptions", "subscriptionstatus", "unsubscribe", "unsubscribed",
    "sub", "ack", "connected", "welcome", "info", "conf", "auth", "systemstatus", "login", "succeeded", "hello",
    "authenticated", "authorized",
})
BEAT_WORDS = frozenset({"ping", "pong", "heartbeat", "heartbeats", "hb", "test", "ka", "keepalive", "beat"})
ERROR_WORDS = frozenset({"error", "errors", "fail", "failed", "alert"})
SNAPSHOT_WORDS = frozenset({"snapshot", "partial", "snap"})
STATE_WORDS = SNAPSHOT_WORDS | frozenset({"update", "delta", "incremental"})
ALL_WORDS = (TRADE_WORDS | QUOTE_WORDS | BOOK_WORDS | OTHER_WORDS | ACK_WORDS | BEAT_WORDS | SNAPSHOT_WORDS
             | STATE_WORDS | frozenset({"realtime"}))

QUOTES = (
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USDD", "DAI", "USD", "EUR", "GBP", "JPY", "KRW", "TRY", "BRL",
    "AUD", "CHF", "CAD", "SGD", "INR", "IDR", "MXN", "ARS", "ZAR", "PLN", "UAH", "BTC", "XBT", "ETH", "BNB", "TRX",
    "HT", "UST",
)
"""Currencies that prices are commonly in."""

PRODUCTS = frozenset({"PERP", "PERPETUAL", "SWAP", "SPOT", "PI", "FI", "PF", "FF", "FX", "CW", "NW", "CQ", "NQ", "C",
                      "P"})
"""Parts of a symbol that name a product instead of a currency."""

_QUOTED = re.compile(rf"[a-z0-9]{{2,}}(?:{'|'.join(quote.lower() for quote in QUOTES)})\Z")
_SMALL = re.compile(rf"[a-z0-9]+[-_/](?:{'|'.join(quote.lower() for quote in QUOTES)})\b")
_UPPER = re.compile(r"[a-z@]?[A-Z0-9]*[A-Z][A-Z0-9]*\Z")
_SYMBOL = re.compile(r"[A-Za-z0-9@]+(?:[-_/:.][A-Za-z0-9]+)*\Z")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")
_PARTS = re.compile(r"([^A-Za-z0-9]+)")
_SUFFIXES = frozenset({"perp", "swap", "perpetual"})
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def names_kind(key: object) -> bool:
    """Whether a text under a key names the kind of a message; single letters count in their own case."""
    return isinstance(key, str) and (key in KIND_NAMES or (len(key) > 1 and folded(key) in KIND_NAMES))


def folded(name: str) -> str:
    """A key without separators, in lower case: `best_bid` and `bestBid` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def rank(name: str, ranks: Mapping[str, int]) -> int:
    """How well a key's name fits, 0 for not at all; single letters count in their own case first."""
    if name in ranks:
        return ranks[name]
    return ranks.get(folded(name), 0) if len(name) > 1 else 0


def words(texts: Iterable[str]) -> frozenset[str]:
    """The words of some texts, camelCase taken apart; each whole text (and part) is a word too."""
    found: set[str] = set()
    for text in texts:
        for part in re.split(r"[^A-Za-z0-9]+", text):
            found.add(part.lower())
            found.update(one.lower() for one in _CAMEL.findall(part))
    return frozenset(found - {""})


def like_symbol(text: str) -> bool:
    """Whether a text could be an instrument's name: capitals, or a known currency at its end."""
    if not 2 <= len(text) <= 40 or _UUID.match(text) or not _SYMBOL.match(text) or text.isdecimal():
        return False
    parts = re.split(r"[-_/:.]", text)
    first = parts[0]
    small = [part for part in parts if part.islower()]
    if small and len(small) < sum(not part.isdigit() for part in parts) and any(one not in _SUFFIXES for one in small):
        return False
    if len(parts) > 1 and any(part in QUOTES for part in parts):
        return True
    return bool(_UPPER.match(first) or _QUOTED.match(first) or _SMALL.match(text))


def surely_symbol(text: str) -> bool:
    """The same, but the text must also contain a common quote currency."""
    if not like_symbol(text):
        return False
    parts = [part.upper() for part in re.split(r"[-_/:.]", text)]
    return any(part.endswith(quote) and (len(parts) > 1 or part != quote) for part in parts for quote in QUOTES)


def symbol_span(text: str, known: Iterable[str] = ()) -> tuple[int, int] | None:
    """Where an instrument's name stands in a channel's text; ``known`` are names found elsewhere in the message."""
    folded_text = text.lower()
    for name in sorted(known, key=len, reverse=True):
        start = folded_text.find(name.lower())
        if len(name) > 2 and start >= 0:
            return start, start + len(name)
    return _span(_PARTS.split(text))


def _span(parts: list[str]) -> tuple[int, int] | None:
    """The run of parts (every second one is a separator) that look like a name."""
    first = last = -1
    for place in range(0, len(parts), 2):
        part = parts[place]
        if first < 0:
            if _is_name(part):
                first = last = place
        elif place == last + 2 and parts[place - 1] in ("-", "_", "/", ":") and _continues(part):
            last = place
    if first < 0:
        return None
    start = sum(map(len, parts[:first]))
    return start, start + sum(map(len, parts[first : last + 1]))


def _is_name(part: str) -> bool:
    return len(part) > 1 and part.lower() not in ALL_WORDS and bool(_UPPER.match(part) or _QUOTED.match(part))


def _continues(part: str) -> bool:
    return bool(_UPPER.match(part) or part.isdecimal() or re.match(r"\d+[A-Z]{3}\d+\Z", part)) or (
        part in _SUFFIXES or part.upper() in QUOTES
    )
