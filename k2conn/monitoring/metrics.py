"""Metrics: the one door to prometheus-client. Read from the ledger when they are asked for, so they cost nothing per
record and can never disagree with the ledger.

One family of names, ``k2conn_*``, with labels connector, exchange and stream: never a name per exchange, never a label
value that an error text could grow. Stream ``-`` holds what could not be told: frames that are no message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from k2conn.clock import monotonic, wall_us
from k2conn.engine.accounting.ledger import NOWHERE
from k2conn.engine.resilience.circuit_breaker import BreakerState
from k2conn.runner import Runner
from k2conn.runner.connection_state import ConnectionState
from k2conn.spool.status import SpoolStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STREAM = ("connector", "exchange", "stream")
_Figure = Literal[
    "received", "published", "duplicates", "dead_letters", "filtered", "lost", "unknown_sides", "snapshots", "gaps",
    "backfilled",
]
_Copy = Literal["first", "late", "missing"]
_COPIES: tuple[_Copy, ...] = ("first", "late", "missing")
_Counter = Literal["frames", "control", "unrecognised", "malformed", "connects", "refused", "venue_errors"]
_SpoolFigure = Literal["bytes", "max_bytes", "records", "segments", "damaged", "recovered"]
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
)


class RunnerCollector:
    """Reads the figures of one runner."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the figures are read on collection."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All metrics, now."""
        yield from self._streams()
        yield from self._connectors()
        yield from self._sockets()
        yield from self._subscriptions()
        yield from self._endpoints()
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
        now = wall_us()
        for connector in self._runner.connectors:
            ledger = connector.connector_state.ledger
            for stream in (*connector.stream_names, NOWHERE):
                labels = (connector.plan.name, connector.plan.exchange, stream)
                totals, times = ledger.totals(stream), ledger.times(stream, now)
                for family, (name, _) in zip(families, _COUNTERS, strict=True):
                    family.add_metric(labels, totals[name])
                flight.add_metric(labels, totals["in_flight"])
                event.add_metric(labels, times["last_event_us"] / 1e6)
                data.add_metric(labels, times["last_received_us"] / 1e6)
                lag.add_metric(labels, times["lag_us"] / 1e6)
        return [*families, flight, event, data, lag]

    def _connectors(self) -> Iterable[Metric]:
        labels = ("connector", "exchange")
        counters: dict[_Counter, str] = {
            "frames": "Frames received.",
            "control": "Frames of the conversation: acknowledgements, heartbeats, status.",
            "unrecognised": "Messages that no rule of the connector knows.",
            "malformed": "Frames that are no message.",
            "connects": "Connections made.",
            "refused": "Subscriptions refused.",
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
        replicas = CounterMetricFamily(
            "k2conn_leg_records", "Of a replica's records: the first copies, late ones, and those it never had.",
            labels=("connector", "exchange", "socket", "copy"),
        )
        for connector in self._runner.connectors:
            for supervisor in connector.supervisors:
                status = supervisor.status()
                own = (connector.plan.name, connector.plan.exchange, status["socket"])
                state.add_metric(own, 1 if status["state"] == ConnectionState.LIVE else 0)
                for copy in _COPIES if "leg" in status else ():
                    replicas.add_metric((*own, copy), status["leg"][copy])
        return [state, replicas]

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
        up = GaugeMetricFamily("k2conn_sink_reachable", "1 where the sink can be reached.", labels=("sink",))
        up.add_metric((self._runner.sink.name,), 1 if status["reachable"] else 0)
        queued = GaugeMetricFamily("k2conn_sink_queued", "Envelopes waiting in the sink.", labels=("sink",))
        queued.add_metric((self._runner.sink.name,), status["queued"])
        start = GaugeMetricFamily("k2conn_uptime_seconds", "Seconds since the start.")
        start.add_metric((), monotonic() - self._runner.started)
        return [up, queued, start, *(_spool(status["spool"]) if "spool" in status else ())]


def _spool(status: SpoolStatus) -> Iterable[Metric]:
    """The spool's figures."""
    texts: dict[_SpoolFigure, str] = {
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
    """The metrics as Prometheus reads them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunnerCollector(runner))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
