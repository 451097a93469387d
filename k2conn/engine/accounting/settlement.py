"""Batches that are durable, in the books: each account's count, each stream's latencies.

A large batch has nearly always the records of one stream, which are counted by functions that take many at once; a few
are quicker counted one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from k2conn import native
from k2conn.engine.accounting.latency import BOUNDS_US, FEW, StreamLatency
from k2conn.engine.accounting.ledger import Account
from k2conn.envelope import Envelope

_SCHEMA_AND_ACCOUNT = itemgetter(3, 5)


def settle(envelopes: Sequence[Envelope], now_us: int) -> None:
    """Counts them as durable, at that moment, in microseconds since 1970."""
    if len(envelopes) < FEW:
        for envelope in envelopes:
            _settle_one(envelope, now_us)
        return
    latencies: set[StreamLatency] = set()
    others = False
    for (schema, account), count in _counted(envelopes).items():
        if account is not None:
            account.settled(schema is None, count)
        if isinstance(account, Account):
            latencies.add(account.latency)
        else:
            others = True
    for latency in latencies:
        own = envelopes if len(latencies) == 1 and not others else [
            one for one in envelopes if isinstance(one[5], Account) and one[5].latency is latency
        ]
        if native.durations is not None:
            receipt, exchange = native.durations(own if type(own) is list else list(own), now_us, BOUNDS_US)
            latency.receipt.add(*receipt)
            latency.exchange.add(*exchange)
            continue
        timed = [one for one in own if one[6]]
        if timed:
            latency.receipt.observe_since([one[6] for one in timed], now_us)
            latency.exchange.observe_since([one[4] * 1000 for one in timed], now_us)


def _counted(envelopes: Sequence[Envelope]) -> dict[tuple[Any, Any], int]:
    """How many there are, by schema and account."""
    if native.counted is None:
        return Counter(map(_SCHEMA_AND_ACCOUNT, envelopes))
    found: dict[tuple[Any, Any], int]
    found = native.counted(envelopes if type(envelopes) is list else list(envelopes))
    return found


def _settle_one(envelope: Envelope, now_us: int) -> None:
    _, _, _, schema, event_ms, account, received_us = envelope
    if account is not None:
        account.settled(schema is None)
    if received_us and isinstance(account, Account):
        account.latency.receipt.observe(now_us - received_us, 1)
        account.latency.exchange.observe(now_us - event_ms * 1000, 1)
