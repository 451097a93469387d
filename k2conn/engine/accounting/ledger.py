"""The ledger: every frame received and every item in it is accounted for, at every instant.

For each connector, stream and symbol::

    items    = filtered + received
    received = published + duplicates + dead letters + in flight + lost

*filtered* items are no records by the connector file's own words (`drop_when`, a skipped snapshot); *in flight* ones
are with the sink, not yet durable (*spooled* ones of them are on disk meanwhile). *lost* is never silent: it has a
reason and a log line, and ends the process with a non-zero exit code. Frames are control, unrecognised, malformed or
data; *discarded* ones are none of these: they were cut off by the end of their connection, came behind it, or are text
that is not UTF-8, which ends it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import cast

from k2conn.engine.accounting.figures import (
    AccountFigures,
    ConversationFigures,
    LedgerReport,
    StreamReport,
    StreamTimes,
)
from k2conn.engine.accounting.latency import StreamLatency
from k2conn.engine.accounting.latest import LatestExamples
from k2conn.engine.accounting.troubles import Troubles
from k2conn.engine.accounting.venue_errors import VenueErrors

MOST_SYMBOLS = 20_000
"""Accounts of a connector, one for each symbol of each stream: bounds what a venue's names can take."""
OTHER = "(other)"
"""Stands for all symbols of a stream beyond these."""
NOWHERE = "-"
"""Stands for the stream or symbol where it is not known: a frame that is no JSON, an item without a symbol."""


class Account:
    """The counts of one symbol on one stream."""

    __slots__ = (
        "backfilled", "conflicts", "dead_letters", "duplicates", "filtered", "gaps", "last_event_us", "last_price",
        "last_received_us", "latency", "lost", "missing", "published", "received", "settled_event_us", "settled_us",
        "snapshots", "spooled", "stream", "symbol", "unknown_sides",
    )

    def __init__(self, stream: str, symbol: str, latency: StreamLatency | None = None) -> None:
        self.stream = stream
        self.symbol = symbol
        self.latency = StreamLatency() if latency is None else latency
        """That of its stream."""
        self.received = 0
        self.published = 0
        self.duplicates = 0
        self.dead_letters = 0
        self.filtered = 0
        self.lost = 0
        self.unknown_sides = 0
        self.snapshots = 0
        self.gaps = 0
        self.missing = 0
        self.backfilled = 0
        self.conflicts = 0
        self.last_event_us = 0
        self.last_received_us = 0
        self.settled_us = 0
        self.settled_event_us = 0
        self.spooled = 0
        self.last_price: int | None = None
        """Unscaled, as the record has it."""

    def settled(self, dead: bool, count: int = 1) -> None:
        """Some envelopes are durable in the sink."""
        if dead:
            self.dead_letters += count
        else:
            self.published += count

    def not_wanted(self, count: int = 1) -> None:
        """Some that were received are not handed to the sink: the run was to have only so many."""
        self.received -= count
        self.filtered += count

    @property
    def in_flight(self) -> int:
        """Handed to the sink, not yet durable."""
        return self.received - self.published - self.duplicates - self.dead_letters - self.lost

    def lag_us(self, now_us: int) -> int:
        """Microseconds from the exchange's time of the latest record known to be durable to its acknowledgement; while
        more is in flight, to ``now_us``.
        """
        if not self.settled_event_us:
            return 0
        return (now_us if self.in_flight else self.settled_us) - self.settled_event_us

    def figures(self) -> AccountFigures:
        """All counts."""
        return {
            "items": self.received + self.filtered,
            "filtered": self.filtered,
            "received": self.received,
            "published": self.published,
            "duplicates": self.duplicates,
            "dead_letters": self.dead_letters,
            "in_flight": self.in_flight,
            "spooled": self.spooled,
            "lost": self.lost,
            "unknown_sides": self.unknown_sides,
            "snapshots": self.snapshots,
            "gaps": self.gaps,
            "missing": self.missing,
            "backfilled": self.backfilled,
            "conflicts": self.conflicts,
        }


@dataclass(slots=True)
class RoundedNumbers:
    """How many records of a stream have a number that was rounded, and the latest of these numbers."""

    count: int
    symbol: str
    field: str
    number: str
    """As the venue said it."""


class Ledger:
    """All accounts of one connector, and its counts of frames and connections."""

    def __init__(self, connector: str, exchange: str, most: int = MOST_SYMBOLS) -> None:
        """``most``: accounts that there are, beside those of `OTHER` and `NOWHERE`."""
        self.most = most
        self.connector = connector
        self.exchange = exchange
        self.frames = 0
        self.control = 0
        self.unrecognised = 0
        self.malformed = 0
        self.discarded = 0
        self.connects = 0
        self.crashes = 0
        """How often a bug has ended the connector."""
        self.stood = False
        """Whether a connection ever had data, or was subscribed for a while."""
        self.reconnects: Counter[str] = Counter()
        self.refused = 0
        self.failed_calls = 0
        """Calls over HTTP that failed."""
        self.unfilled: Counter[str] = Counter()
        """Gaps that were given up, by stream."""
        self.venue_errors = VenueErrors()
        self.dead_reasons: Counter[str] = Counter()
        self.troubles = Troubles()
        """What was wrong, for the log and the status page."""
        self.latest = LatestExamples()
        """Examples of it, for the console."""
        self.latencies: dict[str, StreamLatency] = {}
        self.rounded: dict[str, RoundedNumbers] = {}
        """By stream."""
        self._streams: dict[str, dict[str, Account]] = {}
        """The accounts by stream and symbol."""
        self._accounts: list[Account] = []
        """All of them, in the order of their first use."""

    def account(self, stream: str, symbol: str) -> Account:
        """The account of one stream and symbol, opened on first use."""
        accounts = self._streams.get(stream)
        found = accounts.get(symbol) if accounts is not None else None
        if found is None:
            if len(self._accounts) >= self.most and symbol not in (OTHER, NOWHERE):
                return self.account(stream, OTHER)
            if accounts is None:
                accounts = self._streams[stream] = {}
            latency = self.latencies.setdefault(stream, StreamLatency())
            found = accounts[symbol] = Account(stream, symbol, latency)
            self._accounts.append(found)
        return found

    def count_rounded(self, stream: str, symbol: str, field: str, number: str) -> None:
        """One more record with a number that was rounded."""
        before = self.rounded.get(stream)
        self.rounded[stream] = RoundedNumbers(before.count + 1 if before else 1, symbol, field, number)

    def accounts(self) -> Iterator[Account]:
        """All accounts."""
        return iter(tuple(self._accounts))

    def totals(self, stream: str | None = None) -> AccountFigures:
        """The sums over symbols, of one stream or of all."""
        if stream is not None:
            return _sum(self._of(stream))
        return total(self.by_stream().values())

    def by_stream(self) -> dict[str, AccountFigures]:
        """The sums over symbols of each stream that has an account, in one pass."""
        return {stream: _sum(accounts.values()) for stream, accounts in self._streams.items()}

    def _of(self, stream: str) -> Collection[Account]:
        return self._streams.get(stream, {}).values()

    def times(self, stream: str, now_us: int) -> StreamTimes:
        """When a stream last had data; ``now_us`` is microseconds since the epoch."""
        accounts = self._of(stream)
        return {
            "last_event_us": max((one.last_event_us for one in accounts), default=0),
            "last_received_us": max((one.last_received_us for one in accounts), default=0),
            "lag_us": max((one.lag_us(now_us) for one in accounts), default=0),
        }

    def least_delay_us(self, stream: str, since_us: int) -> int | None:
        """Microseconds from the exchange's time to receipt of the latest records of a stream's symbols, the least of
        those received after ``since_us``; None where there are none.
        """
        delays = (one.last_received_us - one.last_event_us for one in self._of(stream)
                  if one.last_event_us and one.last_received_us > since_us)
        return min(delays, default=None)

    def balanced(self) -> bool:
        """Whether no account has less than nothing in flight, which would mean that more came out than went in."""
        return all(account.in_flight >= 0 for account in self.accounts())

    def conversation(self) -> ConversationFigures:
        """The counts that belong to no record."""
        return {
            "frames": self.frames,
            "control": self.control,
            "unrecognised": self.unrecognised,
            "malformed": self.malformed,
            "discarded": self.discarded,
            "connects": self.connects,
            "crashes": self.crashes,
            "stood": self.stood,
            "reconnects": sum(self.reconnects.values()),
            "reconnect_causes": dict(self.reconnects),
            "refused": self.refused,
            "venue_errors": self.venue_errors.count,
            "dead_letter_reasons": dict(self.dead_reasons),
        }

    def report(self) -> LedgerReport:
        """All figures, for `--summary`."""
        streams: dict[str, StreamReport] = {
            stream: {**figures, "symbols": {}} for stream, figures in self.by_stream().items()
        }
        for account in self.accounts():
            streams[account.stream]["symbols"][account.symbol] = account.figures()
        return {
            "connector": self.connector,
            "exchange": self.exchange,
            **self.conversation(),
            **self.totals(),
            "balanced": self.balanced(),
            "streams": streams,
        }

    def equation(self) -> str:
        """The conservation equation with this connector's numbers."""
        return equation(self.totals())


def total(figures: Iterable[AccountFigures]) -> AccountFigures:
    """The sums of some figures."""
    found = cast(dict[str, int], Account("", "").figures())
    for one in figures:
        for name, value in cast(dict[str, int], one).items():
            found[name] += value
    return cast(AccountFigures, found)


def _sum(accounts: Collection[Account]) -> AccountFigures:
    """The sums over accounts, of which there may be very many: a column at a time, in the loops of C."""
    found = Account("", "")
    if accounts:
        (
            found.received, found.published, found.duplicates, found.dead_letters, found.filtered, found.lost,
            found.spooled, found.unknown_sides, found.snapshots, found.gaps, found.missing, found.backfilled,
            found.conflicts,
        ) = map(sum, zip(*map(_summed, accounts), strict=True))
    return found.figures()


_summed = attrgetter(
    "received", "published", "duplicates", "dead_letters", "filtered", "lost", "spooled", "unknown_sides", "snapshots",
    "gaps", "missing", "backfilled", "conflicts",
)


def equation(totals: AccountFigures) -> str:
    """The conservation equation with some figures, as `Ledger.totals` gives them."""
    t = totals
    right = t["published"] + t["duplicates"] + t["dead_letters"] + t["in_flight"] + t["lost"]
    sign = "=" if right == t["received"] else "!="
    return (
        f"received {t['received']} {sign} published {t['published']} + duplicates {t['duplicates']}"
        f" + dead letters {t['dead_letters']} + in flight {t['in_flight']} + lost {t['lost']}"
    )
