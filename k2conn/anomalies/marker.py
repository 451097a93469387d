"""All records of one connector: encoded trades and quotes in, anomalies out, as records of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from k2conn.anomalies.encoding import AnomalyEncoder, anomaly_record, anomaly_topic, needed
from k2conn.anomalies.habits import NOTHING_LISTED, QuoteHabits, QuoteRow, Thresholds, TradeHabits, TradeRow, listed
from k2conn.anomalies.reports import OddRecord, Report, Reports
from k2conn.anomalies.settings import AnomalySettings
from k2conn.avro import RecordSchema
from k2conn.avro.picking import FieldPicker
from k2conn.avro.unscaled import UnscaledReader
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.plan import Instrument, Plan
from k2conn.records import StandingRecords, load_record, record_revisions

TRADE, QUOTE = "trade", "quote"
MOST_SYMBOLS = 20_000
"""Symbols of streams whose habits are learnt; records of further ones are not looked at."""
LONGEST = 2048
"""Bytes of a record that is kept as it is until it is told of."""
_TRADE = ("symbol", "price", "quantity", "timestamp", "ingestion_timestamp")
_QUOTE = ("symbol", "bid_price", "bid_quantity", "ask_price", "ask_quantity", "timestamp", "ingestion_timestamp")

Accounts = Callable[[str], DeliveryAccount | None]
"""Gives the account of an anomaly of a symbol."""


class _Looked:
    """How records of one type are looked at."""

    def __init__(self, schema: RecordSchema, rows: type[Any], names: Sequence[str], habits: Any) -> None:
        self.schema = schema
        self.picker: FieldPicker[Any] = FieldPicker(rows, schema, names, {})
        self.habits = habits
        self.reader = UnscaledReader(schema.text)
        self.standing = StandingRecords(schema)


class AnomalyMarker:
    """That of one connector. Records of a stream must come in their order; times are microseconds since the epoch."""

    def __init__(self, plan: Plan, settings: AnomalySettings, most: int = MOST_SYMBOLS) -> None:
        self.settings = settings
        self.reports = Reports(settings.quiet_us)
        self.looked = 0
        """Records that were looked at."""
        self.passed_over = 0
        """Records of too many symbols."""
        self._plan = plan
        self.most = most
        """Symbols, each counted for each of its streams, whose habits are learnt."""
        self._limits = Thresholds(settings)
        self._encoder = AnomalyEncoder(plan.name)
        self._looked: dict[RecordSchema, _Looked] = {
            **{one.schema: _Looked(one.schema, TradeRow, _TRADE, TradeHabits) for one in record_revisions(TRADE)},
            **{one.schema: _Looked(one.schema, QuoteRow, _QUOTE, QuoteHabits) for one in record_revisions(QUOTE)},
        }
        self._scale = load_record(TRADE).field(_TRADE[1]).scale
        """Of all prices and quantities."""
        self._habits: dict[tuple[str, str], TradeHabits | QuoteHabits] = {}
        self._instruments: Mapping[str, Instrument] = {}
        self._whole = False

    def topics(self) -> dict[str, RecordSchema]:
        """Where its anomalies go, and as what."""
        classes = {name for stream in self._plan.streams if stream.record in (TRADE, QUOTE)
                   for name in stream.kafka_topics}
        return {anomaly_topic(self._plan.exchange, name): anomaly_record(name).schema for name in sorted(classes)}

    def know(self, instruments: Mapping[str, Instrument], whole: bool) -> None:
        """What the venue's list says last; quick where that is what it said before. Before it was read nothing is
        compared.
        """
        if instruments is self._instruments:
            return
        self._instruments, self._whole = instruments, whole
        for (_, symbol), habits in self._habits.items():
            self._compare(habits, symbol)

    def look(self, envelopes: Iterable[Envelope], now_us: int, account: Accounts) -> list[Envelope]:
        """Looks at the trades and quotes among these; what is to be told of them now. Those of the past (fetched, or of
        a snapshot) are left out: they say nothing of the moment; so are corrections, and quotes of one side only.
        """
        found: list[Envelope] = []
        for (schema, stream), bodies in self._sorted(envelopes).items():
            found += self._of_stream(self._looked[schema], stream, bodies, now_us, account)
        return found

    def is_due(self, now_us: int) -> bool:
        """Whether `due` may have something."""
        return self.reports.is_due(now_us)

    def due(self, now_us: int, account: Accounts, last: bool = False) -> Iterator[Envelope]:
        """What came of kinds that were told before, and is due now; with ``last`` what would be due later, too."""
        for report in self.reports.due(now_us, last):
            yield self._told(report, account)

    def _sorted(self, envelopes: Iterable[Envelope]) -> dict[tuple[RecordSchema, str], list[bytes]]:
        kinds = self._looked
        found: dict[tuple[RecordSchema, str], list[bytes]] = {}
        for envelope in envelopes:
            schema, account = envelope[3], envelope[5]
            if schema in kinds and schema is not None and account is not None and envelope[6]:
                found.setdefault((schema, account.stream), []).append(envelope[2])
        return found

    def _of_stream(
        self, looked: _Looked, stream: str, bodies: Sequence[bytes], now_us: int, account: Accounts
    ) -> Iterator[Envelope]:
        known, kinds = self._habits, self._limits.kinds
        bodies = looked.standing.of(bodies)
        for at, row in enumerate(looked.picker.pick(bodies)):
            if None in row:
                continue
            habits = known.get((stream, row[0]))
            if habits is None:
                habits = self._begin(looked, stream, bodies[at], row[0])
                if habits is None:
                    self.passed_over += 1
                    continue
            self.looked += 1
            for oddity in habits.judge(row):
                if oddity.kind not in kinds:
                    continue
                body = bodies[at]
                fields = needed(looked.reader.record(body)) if len(body) > LONGEST else None
                odd = OddRecord(oddity, looked.schema, body if fields is None else b"", row[-1], fields)
                report = self.reports.note(stream, row[0], odd, now_us)
                if report is not None:
                    yield self._told(report, account)

    def _begin(self, looked: _Looked, stream: str, body: bytes, symbol: str) -> TradeHabits | QuoteHabits | None:
        """The habits of a symbol that was not seen yet; None where there are too many."""
        if len(self._habits) >= self.most:
            return None
        found: TradeHabits | QuoteHabits = looked.habits(self._limits)
        self._habits[stream, symbol] = found
        found.own = looked.reader.record(body)["asset_class"] == self._plan.asset_class
        self._compare(found, symbol)
        return found

    def _compare(self, habits: TradeHabits | QuoteHabits, symbol: str) -> None:
        """From now on its records are compared with what the list says of it."""
        instrument = self._instruments.get(symbol)
        if not self._instruments or (instrument is None and not habits.own):
            habits.listed = NOTHING_LISTED
            return
        found = listed(instrument, self._whole, self._scale, self._limits.kinds)
        habits.listed = NOTHING_LISTED if found == NOTHING_LISTED else found

    def _told(self, report: Report, account: Accounts) -> Envelope:
        odd = report.latest
        marked = self._looked[odd.schema].reader.record(odd.body) if odd.fields is None else odd.fields
        return self._encoder.envelope(report, marked, account)
