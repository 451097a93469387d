"""Metrics of what an operator is to be told of before data is missing: clocks that differ, gaps that wait or stay,
connections that cannot be replaced.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from k2conn.clock import wall_us
from k2conn.runner import Runner

RECENT_US = 60_000_000
"""How old the latest record of a symbol may be for what it says of the clocks."""
_CONNECTOR = ("connector", "exchange")
_STREAM = (*_CONNECTOR, "stream")


def condition_metrics(runner: Runner) -> Iterable[Metric]:
    """All of them, of one runner."""
    yield from _delays(runner)
    yield from _gaps(runner)
    yield from _replacements(runner)


def _delays(runner: Runner) -> Iterable[Metric]:
    delay = GaugeMetricFamily(
        "k2conn_receipt_delay_seconds", "From the exchange's time to receipt, of the latest records of the last minute:"
        " the least of the stream's symbols. Below 0, one of the two clocks is wrong.", labels=_STREAM,
    )
    since = wall_us() - RECENT_US
    for connector in runner.connectors:
        for stream in connector.stream_names:
            found = connector.connector_state.ledger.least_delay_us(stream, since)
            if found is not None:
                delay.add_metric((connector.plan.name, connector.plan.exchange, stream), found / 1e6)
    return [delay]


def _gaps(runner: Runner) -> Iterable[Metric]:
    missing = GaugeMetricFamily(
        "k2conn_records_missing", "Records of reported gaps that have not come, as far as they can be counted.",
        labels=_STREAM,
    )
    unfilled = CounterMetricFamily(
        "k2conn_gaps_unfilled", "Gaps given up: the venue's history did not have what is missing.", labels=_STREAM
    )
    pending = GaugeMetricFamily("k2conn_backfills_pending", "Gaps that are to be filled yet.", labels=_CONNECTOR)
    for connector in runner.connectors:
        ledger = connector.connector_state.ledger
        own = (connector.plan.name, connector.plan.exchange)
        sums = connector.shown.by_stream()
        for stream in connector.stream_names:
            missing.add_metric((*own, stream), sums[stream]["missing"] if stream in sums else 0)
            unfilled.add_metric((*own, stream), ledger.unfilled[stream])
        pending.add_metric(own, connector.backfill_worker.waiting)
    return [missing, unfilled, pending]


def _replacements(runner: Runner) -> Iterable[Metric]:
    failed = GaugeMetricFamily(
        "k2conn_replacement_failures", "Attempts in a row to replace a connection that stands (it is old, or the venue"
        " asks for it) that failed; the old one goes on.", labels=(*_CONNECTOR, "socket"),
    )
    for connector in runner.connectors:
        for supervisor in connector.supervisors:
            own = (connector.plan.name, connector.plan.exchange, supervisor.shard.name)
            failed.add_metric(own, supervisor.failed_replacements)
    return [failed]
