"""Durable batches in the books: many at once give what one by one gives."""

from __future__ import annotations

import random

import pytest

from k2conn.avro import load_schema
from k2conn.engine.accounting.latency import BOUNDS_MS, LatencyHistogram, StreamLatency
from k2conn.engine.accounting.ledger import Account
from k2conn.engine.accounting.settlement import settle
from k2conn.envelope import DeliveryAccount, Envelope

NOW = 1_800_000_000_000_000
TRADE = load_schema("trade")


class Other:
    """An account that is not the ledger's."""

    stream, symbol, spooled, lost = "s", "X", 0, 0

    def __init__(self) -> None:
        self.told = [0, 0]

    def settled(self, dead: bool, count: int = 1) -> None:
        self.told[dead] += count


def books(streams: int, other: bool) -> list[DeliveryAccount]:
    latencies = [StreamLatency() for _ in range(streams)]
    own: list[DeliveryAccount] = [Account(f"s{at}", f"X{one}", latencies[at]) for at in range(streams) for one in "ab"]
    return [*own, Other()] if other else own


def seen(accounts: list[DeliveryAccount]) -> list[object]:
    return [
        one.told if isinstance(one, Other) else
        (one.published, one.dead_letters, one.latency.receipt.counts, one.latency.receipt.sum_us,
         one.latency.exchange.counts, one.latency.exchange.sum_us)
        for one in accounts if isinstance(one, Other | Account)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_many_at_once_are_what_one_by_one_are(seed: int) -> None:
    chance = random.Random(seed)
    streams, other, count = chance.choice((1, 1, 2, 3)), chance.random() < 0.3, chance.choice((1, 7, 8, 9, 100, 700))
    at_once, single = books(streams, other), books(streams, other)
    spread = chance.choice((0, 900, 30_000, 90_000_000))

    def moment() -> int:
        return NOW - chance.randrange(-spread // 4, spread + 1) - chance.choice((0, 1_000, 5_000))

    given = [(chance.randrange(len(at_once) + 1), chance.random() < 0.9, moment() // 1000,
              moment() if chance.random() < 0.9 else 0) for _ in range(count)]

    def envelopes(accounts: list[DeliveryAccount]) -> list[Envelope]:
        return [Envelope("t", b"k", b"v", TRADE if record else None, event, [*accounts, None][at], received)
                for at, record, event, received in given]

    settle(envelopes(at_once), NOW)
    for envelope in envelopes(single):
        settle([envelope], NOW)
    assert seen(at_once) == seen(single)
    assert any(one != [0, 0] and one != (0, 0, [0] * 15, 0, [0] * 15, 0) for one in seen(single))


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_each_step_has_its_bound(off: int) -> None:
    durations = [bound * 1000 + off for bound in BOUNDS_MS for _ in range(3)] + [-5_000, 0, 10**12]
    at_once, single = LatencyHistogram(), LatencyHistogram()
    at_once.observe_since([NOW - took for took in durations], NOW)
    for took in durations:
        single.observe(took, 1)
    assert (at_once.counts, at_once.sum_us) == (single.counts, single.sum_us)
    assert sum(at_once.counts) == len(durations)
