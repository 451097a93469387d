"""Metrics: the one door to prometheus-client. Read from the ledger when they are asked for, so they cost nothing per
record and can never disagree with the ledger.

One family of names, ``k2conn_*``, with labels connector, exchange and stream: never a name per exchange, never a label
value that an error text could grow. Stream ``-`` holds what could not be told: frames that are no message.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import accumulate, islice
from typing import Any, Literal, cast

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from k2conn.clock import monotonic
from k2conn.engine.accounting.latency import BOUNDS_MS, LatencyHistogram
from k2conn.engine.accounting.ledger import NOWHERE, total
from k2conn.engine.resilience.circuit_breaker import BreakerState
from k2conn.monitoring.condition_metrics import condition_metrics
from k2conn.observe import Observers
from k2conn.runner import Runner
from k2conn.runner.connection_state import ConnectionState
from k2conn.runner.error_count import ErrorCount
from k2conn.runner.status import GroupStatus
from k2conn.secret_mask import SECRETS
from k2conn.sinks import SinkStatus
from k2conn.spool.status import SpoolStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PRICED = 2000
"""Accounts that have a metric of their own, at most, in equal shares of the connectors: a venue may send any number of
names, and making the text takes its time.
"""
PRICED_AT_LEAST = 100
"""Of each connector."""
_LABEL_VALUE = re.compile(rb'="(?:[^"\\\\]|\\\\.)*"')
_STREAM = ("connector", "exchange", "stream")
_Figure = Literal[
    "received", "published", "duplicates", "dead_letters", "filtered", "lost", "unknown_sides", "snapshots", "gaps",
    "backfilled", "conflicts",
]
_Copy = Literal["first", "late", "missing"]
_COPIES: tuple[_Copy, ...] = ("first", "late", "missing")
_Counter = Literal[
    "frames", "control", "unrecognised", "malformed", "discarded", "connects", "refused", "crashes", "venue_errors",
]
SpoolFigure = Literal["bytes", "max_bytes", "records", "segments", "damaged", "recovered"]
_COUNTERS: tuple[tuple[_Figure, str], ...] = (
    ("received", "Items that are to become records."),
    ("published", "Records durable in the sink."),
    ("duplicates", "Records dropped because they came before."),
    ("dead_letters", "Records that could not be made, durable as dead letters."),
    ("filtered", "Items that are no record by the connector file's own words."),
    ("lost", "Records lost, with a reason in the log."),
    ("unknown_sides", "Records whose side the venue said in an unknown word."),
    ("snapshots", "Records of the recent past, sent on subscribe."),
    ("gaps", "Gaps found in the venue's numbers."),
    ("backfilled", "Records that were fetched to fill gaps."),
    ("conflicts", "Records published under an id of their own, because another record had theirs."),
)


class RunnerCollector(Collector):
    """Reads the figures of one runner."""

    def __init__(self, runner: Runner, part: bool = False) -> None:
        """``part``: one of several runners of the process, which have their observers in common."""
        self._runner = runner
        self._part = part

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the figures are read on collection."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All metrics, now."""
        yield from self._streams()
        yield from self._latencies()
        yield from self._prices()
        yield from self._candles()
        yield from self._features()
        yield from self._audits()
        yield from self._drifts()
        yield from self._anomalies()
        yield error_metric(self._runner.errors)
        yield from self._connectors()
        yield from self._sockets()
        yield from self._subscriptions()
        yield from self._endpoints()
        yield from condition_metrics(self._runner)
        if self._runner.group is not None:
            yield from _group(self._runner.group())
        yield from self._sink()

    def _streams(self) -> Iterable[Metric]:
        families: list[Any] = [
            CounterMetricFamily(f"k2conn_records_{name}", text, labels=_STREAM) for name, text in _COUNTERS
        ]
        flight = GaugeMetricFamily("k2conn_records_in_flight", "Handed to the sink, not yet durable.", labels=_STREAM)
        event = GaugeMetricFamily(
            "k2conn_last_event_timestamp_seconds", "Exchange time of the latest record.", labels=_STREAM
        )
        data = GaugeMetricFamily("k2conn_last_data_timestamp_seconds", "Receipt of the latest record.", labels=_STREAM)
        lag = GaugeMetricFamily(
            "k2conn_lag_seconds", "Exchange time to acknowledgement, of the stream's slowest symbol.", labels=_STREAM
        )
        errors = GaugeMetricFamily(
            "k2conn_error_ratio", "Share of the last minute's records that are dead letters; of stream -: of its"
            " messages that are unknown or malformed.", labels=_STREAM,
        )
        for connector in self._runner.connectors:
            sums = connector.shown.by_stream()
            ratios = connector.recent.ratios(monotonic(), sums)
            for stream in (*connector.stream_names, NOWHERE):
                labels = (connector.plan.name, connector.plan.exchange, stream)
                totals, times = sums.get(stream) or total(()), connector.shown.times(stream)
                errors.add_metric(labels, ratios[stream])
                for family, (name, _) in zip(families, _COUNTERS, strict=True):
                    family.add_metric(labels, totals[name])
                flight.add_metric(labels, totals["in_flight"])
                event.add_metric(labels, times["last_event_us"] / 1e6)
                data.add_metric(labels, times["last_received_us"] / 1e6)
                lag.add_metric(labels, times["lag_us"] / 1e6)
        return [*families, flight, event, data, lag, errors]

    def _latencies(self) -> Iterable[Metric]:
        exchange = HistogramMetricFamily(
            "k2conn_exchange_to_ack_seconds", "From the exchange's time to the acknowledgement.", labels=_STREAM
        )
        receipt = HistogramMetricFamily(
            "k2conn_receipt_to_ack_seconds", "From receipt to the acknowledgement.", labels=_STREAM
        )
        for connector in self._runner.connectors:
            for stream in connector.stream_names:
                latency = connector.connector_state.ledger.latencies.get(stream)
                if latency is not None:
                    labels = (connector.plan.name, connector.plan.exchange, stream)
                    exchange.add_metric(labels, *_histogram(latency.exchange))
                    receipt.add_metric(labels, *_histogram(latency.receipt))
        return [exchange, receipt]

    def _prices(self) -> Iterable[Metric]:
        price = GaugeMetricFamily(
            "k2conn_last_price", "The headline price of the latest record.", labels=(*_STREAM, "symbol")
        )
        connectors = self._runner.connectors
        share = max(PRICED_AT_LEAST, PRICED // max(1, len(connectors)))
        for connector in connectors:
            state = connector.connector_state
            scales = {name: mapping.price_scale for name, mapping in state.mappings.items()}
            for account in islice(state.ledger.accounts(), share):
                scale = scales.get(account.stream)
                if account.last_price is not None and scale is not None:
                    labels = (connector.plan.name, connector.plan.exchange, account.stream, account.symbol)
                    price.add_metric(labels, account.last_price / 10**scale)
        return [price]

    def _candles(self) -> Iterable[Metric]:
        labels = ("connector", "exchange", "outcome")
        trades = CounterMetricFamily(
            "k2conn_candle_trades", "What became of trades that candles are made of: counted, repeated, late, ahead,"
            " unknown; and amendments, which correct trades or take them back and are left out.", labels=labels,
        )
        made = CounterMetricFamily(
            "k2conn_candles", "Candles made of trades: new ones, those that were published before and changed"
            " (correction), those that were not seen from their beginning and are not published (partial), those with a"
            " number that does not fit (unfit).", labels=labels,
        )
        for connector in self._runner.connectors:
            stage = connector.candles
            if stage is None:
                continue
            counts, own = stage.aggregator.counts, (connector.plan.name, connector.plan.exchange)
            for name, count in (
                ("counted", counts.trades), ("repeated", counts.repeated), ("late", counts.late),
                ("ahead", counts.ahead), ("unknown", counts.unknown), ("amendment", stage.amendments),
            ):
                trades.add_metric((*own, name), count)
            new = counts.candles - counts.corrections - stage.partial - stage.unfit
            for name, count in (
                ("new", new), ("correction", counts.corrections), ("partial", stage.partial), ("unfit", stage.unfit),
            ):
                made.add_metric((*own, name), count)
        return [trades, made]

    def _features(self) -> Iterable[Metric]:
        found = CounterMetricFamily(
            "k2conn_feature_candles", "What became of candles that features are made of: made, warming (too few before"
            " them), late (older than all that is kept), unknown (of too many symbols).",
            labels=("connector", "exchange", "outcome"),
        )
        for connector in self._runner.connectors:
            if connector.features is not None:
                counts = connector.features.maker.counts
                for name, count in (
                    ("made", counts.made), ("warming", counts.warming), ("late", counts.late),
                    ("unknown", counts.unknown),
                ):
                    found.add_metric((connector.plan.name, connector.plan.exchange, name), count)
        return [found]

    def _audits(self) -> Iterable[Metric]:
        spans = CounterMetricFamily(
            "k2conn_audited_spans", "Spans whose trades were compared with the venue's candle, by what became of them.",
            labels=(*_STREAM, "outcome"),
        )
        amendments = CounterMetricFamily(
            "k2conn_audit_amendments", "Corrections of trades, and what takes them back, that an audit leaves out.",
            labels=_STREAM,
        )
        for connector in self._runner.connectors:
            if connector.audit is None:
                continue
            own = (connector.plan.name, connector.plan.exchange)
            for stream, count in connector.audit.amendments.items():
                amendments.add_metric((*own, stream), count)
            for stream, outcomes, unmatched in connector.audit.counts:
                labels = (*own, stream)
                for outcome, count in outcomes.items():
                    spans.add_metric((*labels, outcome), count)
                spans.add_metric((*labels, "no-candle"), unmatched)
        return [spans, amendments]

    def _drifts(self) -> Iterable[Metric]:
        changes = CounterMetricFamily(
            "k2conn_drift_findings", "Changes of a venue's messages, each counted once: see /drift.",
            labels=(*_STREAM, "change"),
        )
        looks = CounterMetricFamily(
            "k2conn_drift_frames", "Frames that were looked at for changes.", labels=("connector", "exchange"),
        )
        for connector in self._runner.connectors:
            watch, own = connector.drift, (connector.plan.name, connector.plan.exchange)
            if watch is None:
                continue
            looks.add_metric(own, watch.looks)
            for (stream, change), count in watch.counts.items():
                changes.add_metric((*own, stream, change), count)
        return [changes, looks]

    def _anomalies(self) -> Iterable[Metric]:
        odd = CounterMetricFamily(
            "k2conn_anomalies", "Odd records, by what is odd about them: see /anomalies.", labels=(*_STREAM, "kind"),
        )
        records = CounterMetricFamily(
            "k2conn_anomaly_records", "Records that were looked at for what is odd, and those that there was no time or"
            " no room for.", labels=("connector", "exchange", "outcome"),
        )
        for connector in self._runner.connectors:
            watch, own = connector.anomalies, (connector.plan.name, connector.plan.exchange)
            if watch is None:
                continue
            records.add_metric((*own, "looked"), watch.marker.looked)
            records.add_metric((*own, "passed-over"), watch.passed_over + watch.marker.passed_over)
            for (stream, kind), count in watch.counts.items():
                odd.add_metric((*own, stream, kind), count)
        return [odd, records]

    def _connectors(self) -> Iterable[Metric]:
        labels = ("connector", "exchange")
        counters: dict[_Counter, str] = {
            "frames": "Frames received.",
            "control": "Frames of the conversation: acknowledgements, heartbeats, status.",
            "unrecognised": "Messages that no rule of the connector knows.",
            "malformed": "Frames that are no message.",
            "discarded": "Frames cut off by the end of their connection, or no text.",
            "connects": "Connections made.",
            "refused": "Subscriptions refused.",
            "crashes": "Bugs that ended the connector; it was started again.",
            "venue_errors": "Errors that the venue reported beside its answers to subscriptions.",
        }
        families = {
            name: CounterMetricFamily(f"k2conn_{name}", text, labels=labels) for name, text in counters.items()
        }
        again = CounterMetricFamily("k2conn_reconnects", "Connections lost, by cause.", labels=(*labels, "cause"))
        dead = CounterMetricFamily("k2conn_dead_letter_reasons", "Dead letters by reason.", labels=(*labels, "reason"))
        for connector in self._runner.connectors:
            figures = connector.connector_state.ledger.conversation()
            own = (connector.plan.name, connector.plan.exchange)
            for name, family in families.items():
                family.add_metric(own, figures[name])
            for cause, number in figures["reconnect_causes"].items():
                again.add_metric((*own, cause), number)
            for reason, number in figures["dead_letter_reasons"].items():
                dead.add_metric((*own, reason), number)
        return [*families.values(), again, dead]

    def _sockets(self) -> Iterable[Metric]:
        state = GaugeMetricFamily(
            "k2conn_connection_live", "1 where a socket is subscribed.", labels=("connector", "exchange", "socket")
        )
        names = ", ".join(f"{one.grade} {one}" for one in ConnectionState)
        number = GaugeMetricFamily(
            "k2conn_connection_state", f"A socket's state as a number: {names}.",
            labels=("connector", "exchange", "socket"),
        )
        replicas = CounterMetricFamily(
            "k2conn_leg_records", "Of a replica's records: the first copies, late ones, and those it never had.",
            labels=("connector", "exchange", "socket", "copy"),
        )
        for connector in self._runner.connectors:
            for supervisor in connector.supervisors:
                status = supervisor.status()
                own = (connector.plan.name, connector.plan.exchange, status["socket"])
                number.add_metric(own, ConnectionState(status["state"]).grade)
                state.add_metric(own, 1 if status["state"] == ConnectionState.LIVE else 0)
                for copy in _COPIES if "leg" in status else ():
                    replicas.add_metric((*own, copy), status["leg"][copy])
        return [state, number, replicas]

    def _subscriptions(self) -> Iterable[Metric]:
        found = GaugeMetricFamily(
            "k2conn_subscriptions", "Symbols of a stream, by how they do.", labels=(*_STREAM, "state")
        )
        for connector in self._runner.connectors:
            for stream in connector.stream_names:
                for state, number in connector.silence.counts(stream).items():
                    found.add_metric((connector.plan.name, connector.plan.exchange, stream, state), number)
        return [found]

    def _endpoints(self) -> Iterable[Metric]:
        labels = ("connector", "exchange", "connection", "endpoint")
        state = GaugeMetricFamily(
            "k2conn_breaker", "1 for the state an address's breaker is in.", labels=(*labels, "state")
        )
        opened = CounterMetricFamily("k2conn_breaker_opened", "How often an address was out of order.", labels=labels)
        now = monotonic()
        for connector in self._runner.connectors:
            for name, endpoint_group in connector.endpoint_groups.items():
                for at, endpoint in enumerate(endpoint_group.status(now)):
                    own = (connector.plan.name, connector.plan.exchange, name, str(at))
                    opened.add_metric(own, endpoint["opened"])
                    for one in BreakerState:
                        state.add_metric((*own, one), 1 if endpoint["breaker"] == one else 0)
        return [state, opened]

    def _sink(self) -> Iterable[Metric]:
        status = self._runner.sink_status()
        yield from sink_metrics(self._runner.sink.name, status, self._runner.started)
        if "spool" in status:
            yield from _spool(status["spool"])
        if not self._part:
            yield from _observers(self._runner.observers)


def _group(status: GroupStatus) -> Iterable[Metric]:
    """How a member sees its group."""
    slots = GaugeMetricFamily(
        "k2conn_group_slots", "Slots of the group: of this member, and those with which something is amiss.",
        labels=("group", "kind"),
    )
    for kind, count in (
        ("all", status["slots"]), ("owned", status["owned"]), ("carried", status["carrying"]),
        ("handing_over", status["lost"]), ("without_owner", len(status["without_owner"])),
        ("not_carried", len(status["not_carried"])),
    ):
        slots.add_metric((status["name"], kind), count)
    members = GaugeMetricFamily("k2conn_group_members", "Members that this one hears, with itself.", labels=("group",))
    members.add_metric((status["name"],), len(status["members"]))
    moves = CounterMetricFamily(
        "k2conn_group_moves", "Slots that this member was given or has lost.", labels=("group",)
    )
    moves.add_metric((status["name"],), status["moves"])
    fenced = CounterMetricFamily(
        "k2conn_group_fenced", "Slots at work here that another process has taken over.", labels=("group",)
    )
    fenced.add_metric((status["name"],), status["fenced"])
    return [slots, members, moves, fenced]


def _observers(observers: Observers) -> Iterable[Metric]:
    """What those count who look on."""
    counts = Counter[str]()
    for one in observers.watching:
        counts.update(one.figures())
    for name, text in _OBSERVED.items():
        family = CounterMetricFamily(f"k2conn_{name}", text)
        family.add_metric((), counts[name])
        yield family


def error_metric(errors: ErrorCount) -> Metric:
    """The errors of a process by kind."""
    found = CounterMetricFamily("k2conn_errors", "Errors, by what they are about.", labels=("kind",))
    for kind, count in errors.totals().items():
        found.add_metric((kind,), count)
    return found


def sink_metrics(name: str, status: SinkStatus, started: float) -> Iterable[Metric]:
    """How a sink does, and since when it is at work."""
    up = GaugeMetricFamily("k2conn_sink_reachable", "1 where the sink can be reached.", labels=("sink",))
    up.add_metric((name,), 1 if status["reachable"] else 0)
    queued = GaugeMetricFamily("k2conn_sink_queued", "Envelopes waiting in the sink.", labels=("sink",))
    queued.add_metric((name,), status["queued"])
    produce = _of_sink(CounterMetricFamily, name, status, (
        ("errors", "k2conn_produce_errors", "Attempts to hand records on that the sink's system did not take."),
        ("retries", "k2conn_produce_retries", "Batches that were sent again."),
    ))
    start = GaugeMetricFamily("k2conn_uptime_seconds", "Seconds since the start.")
    start.add_metric((), monotonic() - started)
    return [up, queued, *produce, *_transactions(name, status), start]


def _transactions(name: str, status: SinkStatus) -> Iterable[Metric]:
    """How a sink's transactions do; all is 0 for one without."""
    yield from _of_sink(CounterMetricFamily, name, status, (
        ("transactions", "k2conn_transactions", "Transactions that were committed."),
        ("failed_transactions", "k2conn_transactions_failed", "Those that were not; what was in them went later."),
        ("left_out", "k2conn_left_out_records", "Of an earlier process: committed already, or of no state."),
    ))
    yield from _of_sink(GaugeMetricFamily, name, status, (
        ("commit_seconds", "k2conn_transaction_seconds", "How long the last transaction took."),
        ("uncommitted_seconds", "k2conn_transaction_waiting_seconds", "Age of the oldest that is not committed."),
    ))


def _of_sink(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily], name: str, status: SinkStatus,
    rows: Iterable[tuple[str, str, str]],
) -> Iterable[Metric]:
    """A metric for each of some figures of a sink's status, 0 where that has it not."""
    for figure, metric, text in rows:
        found = kind(metric, text, labels=("sink",))
        found.add_metric((name,), cast(dict[str, float], status).get(figure, 0))
        yield found


_OBSERVED = {
    "recorded_frames": "Frames written to the recording.",
    "recording_lost_frames": "Frames that the recording lacks: the disk was too slow, or full.",
    "tap_lost_events": "What those who listen now were too slow for.",
}


def _histogram(one: LatencyHistogram) -> tuple[list[tuple[str, float]], float]:
    """The steps with their upper bounds and all that is below each, and the sum, in seconds."""
    bounds = [*(f"{bound / 1000:g}" for bound in BOUNDS_MS), "+Inf"]
    return list(zip(bounds, map(float, accumulate(one.counts)), strict=True)), one.sum_us / 1e6


def _spool(status: SpoolStatus) -> Iterable[Metric]:
    """The spool's figures."""
    texts: dict[SpoolFigure, str] = {
        "bytes": "Bytes in the spool.",
        "max_bytes": "Bytes the spool may hold before sockets must wait.",
        "records": "Records in the spool that are not acknowledged.",
        "segments": "Files of the spool.",
        "damaged": "Records of the spool that could not be read back.",
        "recovered": "Records that an earlier run left in the spool.",
    }
    for name, text in texts.items():
        family = GaugeMetricFamily(f"k2conn_spool_{name}", text)
        family.add_metric((), status[name])
        yield family


def exposition(runner: Runner) -> bytes:
    """The metrics of a runner as Prometheus reads them."""
    return exposed(RunnerCollector(runner))


def slot_exposition(runner: Runner) -> bytes:
    """The metrics of one of several runners of this process, without those of the process."""
    return exposed(RunnerCollector(runner, part=True), process=False)


class MemberCollector(Collector):
    """What a member of a group has whose slots have a runner each, beside these."""

    def __init__(self, group: GroupStatus, observers: Observers) -> None:
        self._group = group
        self._observers = observers

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the figures are read on collection."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All metrics, now."""
        yield from _group(self._group)
        yield from _observers(self._observers)


def exposed(collector: Collector, process: bool = True) -> bytes:
    """What a collector and (``process``) this process have, as Prometheus reads it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    if process:
        ProcessCollector(registry=registry)
    hidden = cache(SECRETS.hide_bytes)  # a label's value stands in very many lines
    return _LABEL_VALUE.sub(lambda found: hidden(found[0]), generate_latest(registry))
