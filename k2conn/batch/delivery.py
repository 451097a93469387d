"""The sink of what is read to its end: no spool (a file is its own), no connections; only books that balance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from k2conn.clock import wall_us
from k2conn.engine.accounting.dead_letter import DEAD_SUFFIX, Origin, dead_letter, whole_frame
from k2conn.engine.accounting.ledger import NOWHERE
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.gaps.gap_records import gap_record, gap_topic
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.errors import RecordError
from k2conn.runner.event_log import get_logger
from k2conn.sinks import putter, refuse_borders
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import make_spooled

FLUSH_WITHIN = 10.0
"""Seconds for one asking whether all is durable."""


class Delivery:
    """Takes the envelopes of some connectors to one sink, and does their books. ``states`` may grow, by connectors of
    the same plans.
    """

    def __init__(self, settings: SinkSettings, states: list[ConnectorState]) -> None:
        refuse_borders(settings)
        self.states = states
        self._sink = make_spooled(replace(settings, spool=replace(settings.spool, mode="never")), _settle, self._reject)
        self._put_all = putter(self._sink)
        self._log = get_logger()

    async def open(self, like: Sequence[ConnectorState] | None = None) -> None:
        """Opens the sink, and tells it of all topics: those of `states`, or of connectors ``like`` those that come.
        Raises Unreachable, SinkError.
        """
        await self._sink.open()
        topics: dict[str, Any] = {}
        for state in self.states if like is None else like:
            for mapping in state.mappings.values():
                topics.update(dict.fromkeys(mapping.stream.kafka_topics.values(), mapping.schema))
                if mapping.gaps is not None:
                    topics[gap_topic(state.plan)] = gap_record(state.plan.asset_class).schema
        try:
            await self._sink.prepare({**topics, **dict.fromkeys(f"{topic}{DEAD_SUFFIX}" for topic in topics)})
        except BaseException:  # whatever it is, a sink that was opened is closed
            await self._sink.close()
            raise

    def put(self, envelopes: Sequence[Envelope]) -> bool:
        """Hands envelopes on; true where `drain` is to be waited for before there are more."""
        self._put_all(envelopes)
        return self._sink.crowded

    async def drain(self) -> None:
        """Waits until the sink has room."""
        await self._sink.drain()

    async def flush(self, within: float) -> int:
        """Waits, at most so many seconds, until all is durable; how many envelopes are not."""
        return await self._sink.flush(within)

    async def close(self) -> None:
        """Closes the sink."""
        await self._sink.close()

    @property
    def last_error(self) -> str | None:
        """What the sink last said."""
        return self._sink.status()["last_error"]

    @property
    def in_flight(self) -> int:
        """Records and dead letters that are not durable."""
        return sum(account.in_flight for state in self.states for account in state.ledger.accounts())

    def _reject(self, envelope: Envelope, reason: str, words: str = "") -> None:
        """A record the sink can never take becomes a dead letter; a dead letter it cannot take is lost, and logged."""
        account = envelope.account
        assert account is not None
        if envelope.schema is None:
            account.lost += 1
            self._log.error("dead letter lost", topic=envelope.topic, reason=reason, detail=words)
            return
        error = RecordError("record", None, None, reason, words or f"{len(envelope.value)} bytes of Avro")
        origin = Origin(*self._owner(account, reason), account.stream, envelope.topic)
        record = whole_frame(envelope.value)
        self._sink.put(dead_letter(origin, account.symbol, error, wall_us(), account, record))

    def _owner(self, account: DeliveryAccount, reason: str) -> tuple[str, str]:
        for state in self.states:
            if any(one is account for one in state.ledger.accounts()):
                state.ledger.dead_reasons[reason] += 1
                return state.plan.name, state.plan.exchange
        return NOWHERE, NOWHERE


def _settle(envelopes: Sequence[Envelope]) -> None:
    """Counts what is durable; envelopes of one account mostly follow each other."""
    account: DeliveryAccount | None = None
    dead, count = False, 0
    for envelope in envelopes:
        if envelope[5] is account and (envelope[3] is None) is dead:
            count += 1
            continue
        if account is not None:
            account.settled(dead, count)
        account, dead, count = envelope[5], envelope[3] is None, 1
    if account is not None:
        account.settled(dead, count)
