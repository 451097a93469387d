"""What is served of a consumption: its health and its metrics."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import cast

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from k2conn import __version__
from k2conn.consumer.accounts import TopicFigures
from k2conn.consumer.consumption import Consumption
from k2conn.monitoring.board.document import Board, board_document
from k2conn.monitoring.board.figures import merge_figures
from k2conn.monitoring.board.query import BoardQuery
from k2conn.monitoring.console.examples import NO_EXAMPLES, Examples
from k2conn.monitoring.feed_figures import consumption_figures
from k2conn.monitoring.metrics import error_metric, exposed, sink_metrics
from k2conn.monitoring.process_status import AnomalyReport, DriftReport, Health, ProcessStatus, Silence
from k2conn.secret_mask import SECRETS
from k2conn.spool.status import SpooledSinkStatus

SHOWN = 2000
"""Partitions that have metrics of their own, at most."""


class ConsumptionView:
    """See `k2conn.monitoring.health.View`."""

    def __init__(self, consumption: Consumption) -> None:
        self._consumption = consumption

    async def health(self) -> ProcessStatus:
        """See `View`."""
        one = self._consumption
        waiting, degraded = one.waiting_for, one.degraded_by
        found = cast(ProcessStatus, {  # see `process_status`
            **consumption_figures(one),
            "status": Health.DEGRADED if waiting or degraded else Health.OK,
            "ready": not waiting,
            "waiting_for": waiting,
            "degraded_by": degraded,
            "version": __version__,
            "sink": cast(SpooledSinkStatus, one.sink_status()),  # every sink's, here without a spool
            "source": one.status(),
            "connectors": {},
        })
        return SECRETS.hide(found)

    async def silence(self) -> Silence:
        """There are no symbols here."""
        return {}

    async def drift(self) -> DriftReport:
        """There are no venues here."""
        return {}

    async def anomalies(self) -> AnomalyReport:
        """There are no venues here."""
        return {}
    async def board(self, query: BoardQuery) -> Board:
        """See `View`: of a consumption it has the sink, and no connector."""
        figures = merge_figures((), query)
        figures["sink"] = self._consumption.sink.name
        return board_document(await self.health(), figures, query)

    async def examples(self, connector: str) -> Examples:
        """There are no connectors here."""
        return NO_EXAMPLES

    async def metrics(self) -> bytes:
        """See `View`."""
        return exposed(_ConsumptionCollector(self._consumption))


class _ConsumptionCollector(Collector):
    """Reads the figures of one consumption."""

    def __init__(self, consumption: Consumption) -> None:
        self._consumption = consumption

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the figures are read on collection."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All metrics, now."""
        one = self._consumption
        yield from self._lags()
        yield from self._counts()
        yield error_metric(one.errors)
        yield from sink_metrics(one.sink.name, one.sink_status(), one.started)

    def _lags(self) -> Iterable[Metric]:
        labels = ("topic", "partition", "group")
        lag = GaugeMetricFamily("k2conn_source_lag", "Records that are not durable in the sink yet.", labels=labels)
        behind = GaugeMetricFamily(
            "k2conn_source_lag_seconds", "Age of the latest record that was written, while more are there.",
            labels=labels,
        )
        offset = GaugeMetricFamily("k2conn_source_committed_offset", "What the group has committed.", labels=labels)
        status = self._consumption.status()
        partitions = ((topic, number, found) for topic, one in status["topics"].items()
                      for number, found in one["partitions"].items())
        for topic, number, found in islice(partitions, SHOWN):
            own = (topic, number, status["group"])
            lag.add_metric(own, found["lag"])
            behind.add_metric(own, found["seconds_behind"] or 0)
            offset.add_metric(own, found["committed"])
        return [lag, behind, offset]

    def _counts(self) -> Iterable[Metric]:
        texts = {
            "consumed": "Records read from a topic.",
            "written": "Records durable in the sink.",
            "dead_letters": "Messages that are no record, or that the sink refused, durable as dead letters.",
            "released": "Records read, and left to the process that has their partition now.",
            "lost": "Dead letters that the sink did not take, with a reason in the log.",
        }
        families = {
            name: CounterMetricFamily(f"k2conn_source_{name}", text, labels=("topic",)) for name, text in texts.items()
        }
        flight = GaugeMetricFamily("k2conn_source_in_flight", "Read, not yet durable.", labels=("topic",))
        accounts = self._consumption.accounts
        for topic, account in islice(accounts.by_topic.items(), SHOWN):
            figures: TopicFigures = account.figures()
            for name, family in families.items():
                family.add_metric((topic,), figures[name])  # type: ignore[literal-required] # its own names
            flight.add_metric((topic,), figures["in_flight"])
        dead = CounterMetricFamily("k2conn_dead_letter_reasons", "Dead letters by reason.",
                                   labels=("connector", "exchange", "reason"))
        for reason, number in accounts.reasons.items():
            dead.add_metric((f"kafka:{self._consumption.settings.group}", "-", reason), number)
        expired = CounterMetricFamily(
            "k2conn_source_expired", "Records that Kafka had deleted before they were read.", labels=("group",)
        )
        status = self._consumption.status()
        expired.add_metric((status["group"],), status["expired"])
        amendments = CounterMetricFamily(
            "k2conn_source_amendments", "Corrections of trades, and what takes them back, that candles leave out.",
            labels=("group",),
        )
        amendments.add_metric((status["group"],), status["amendments"])
        return [*families.values(), flight, dead, expired, amendments]
