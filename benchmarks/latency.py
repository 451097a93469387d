"""How long a trade takes at an offered rate: from the feeder's socket to the broker's acknowledgement.

Four moments of every trade, by one clock of one machine: *due*, when the rate wants it sent; *sent*, just before the
feeder gives it to its socket; *received*, the record's own ``ingestion_timestamp``, taken before the frame is parsed;
*acknowledged*, when the engine hears that the batch is durable (see `benchmarks.observed`). The broker's own append
time, whole milliseconds, is shown beside them for comparison. Everything is read back: each trade once, in order.

What is not in it: a network (all is on this machine), a second replica, and the consumer's side.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.engine import Cluster, Engine, addressed, cluster, subscribed
from benchmarks.figures import at_least, below, holds, ladder, progress
from benchmarks.observed import acknowledged
from benchmarks.processes import Feeding
from benchmarks.readback import records
from benchmarks.tapes import BinanceTape, Leg, due
from k2conn.avro import load_schema
from k2conn.cli.loading import find

RATE = 10_000
MEAN = 2_000
TIMES = 15
WARM = 10.0
"""Seconds at the offered rate before those that count: a broker that has just started is slow."""
DRAINED = 2.0


class Moments(NamedTuple):
    """Of one trade, in seconds since 1970."""

    number: int
    due: float
    sent: float
    received: float
    acknowledged: float


def run(quick: bool) -> dict[str, Any]:
    """The steady rate with two lingers, then a burst."""
    steady = [Leg(RATE, WARM), Leg(RATE, 5 if quick else 60)]
    burst = [Leg(MEAN, 3 if quick else 10), Leg(MEAN * TIMES, 1), Leg(MEAN, 5 if quick else 10)]
    with cluster({"log.message.timestamp.type": "LogAppendTime"}) as at:
        found = {f"linger {linger} ms": _steady(at, steady, linger) for linger in (5, 0)}
        sudden = _burst(at, burst)
    slow, fast = (found[name]["sent to acknowledged"] for name in ("linger 5 ms", "linger 0 ms"))
    return {
        "rate": RATE, "warm_up_s": WARM, "steady": found, "burst": sudden,
        "targets": [
            below(f"p50 at {RATE:,}/s, linger 5 ms, sent to acknowledged", 8, slow["50"], "ms"),
            below(f"p99 at {RATE:,}/s, linger 5 ms, sent to acknowledged", 20, slow["99"], "ms"),
            below(f"p50 at {RATE:,}/s, linger 0, sent to acknowledged", 3, fast["50"], "ms"),
            holds(f"burst of {TIMES} times the mean for 1 s: nothing lost", "0 missing",
                  f"{sudden['sent'] - sudden['read_back']} missing of {sudden['sent']:,}",
                  sudden["sent"] == sudden["read_back"]),
            below("burst: queues empty after its end", DRAINED, sudden["drained_s"], "s"),
            at_least("burst: it was offered as fast as it should be", 0.95 * MEAN * TIMES, sudden["burst_sent_rate"],
                     "/s"),
        ],
    }


def _steady(at: Cluster, legs: Sequence[Leg], linger: int) -> dict[str, Any]:
    progress(f"latency: {RATE:,} trades a second for {sum(leg.seconds for leg in legs):.0f} s, linger {linger} ms")
    trades, appended = _play(at, legs, linger)
    counted = [one for one in trades if one.number >= legs[0].frames]
    behind = [(appended[one.number] / 1000 - one.received) * 1000 for one in counted]
    return {
        "trades": len(counted), "seconds": legs[1].seconds,
        "sent to acknowledged": ladder([(one.acknowledged - one.sent) * 1000 for one in counted]),
        "received to acknowledged": ladder([(one.acknowledged - one.received) * 1000 for one in counted]),
        "due to acknowledged": ladder([(one.acknowledged - one.due) * 1000 for one in counted]),
        "due to sent": ladder([(one.sent - one.due) * 1000 for one in counted]),
        "received to appended": ladder(behind),
    }


def _burst(at: Cluster, legs: Sequence[Leg]) -> dict[str, Any]:
    before, burst, _ = legs
    progress(f"latency: a burst of {burst.rate:,.0f} in a second after {before.rate:,.0f} a second")
    trades, appended = _play(at, legs, 5)
    sudden = [one for one in trades if before.frames <= one.number < before.frames + burst.frames]
    end = max(one.sent for one in sudden)
    return {
        "mean": before.rate, "burst": burst.rate, "sent": sum(leg.frames for leg in legs), "read_back": len(appended),
        "burst_sent_rate": round(burst.frames / (end - min(one.sent for one in sudden))),
        "drained_s": round(max(one.acknowledged for one in sudden) - end, 3),
        "most_waiting": _most_waiting(trades),
        "sent to acknowledged": ladder([(one.acknowledged - one.sent) * 1000 for one in sudden]),
    }


def _most_waiting(trades: Sequence[Moments]) -> int:
    """The most trades that were sent and not yet acknowledged."""
    changes = sorted([(one.sent, 1) for one in trades] + [(one.acknowledged, -1) for one in trades])
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


_runs = iter(range(1_000))


def _play(at: Cluster, legs: Sequence[Leg], linger: int) -> tuple[list[Moments], dict[int, int]]:
    """One run into a topic of its own: each trade's moments, and the broker's append times in ms by number."""
    topic = f"latency.{next(_runs)}"
    folder = at.folder / topic
    folder.mkdir()
    file, journal, seen = folder / "binance.yaml", folder / "journal", folder / "seen"
    file.write_text(find("binance").read_text(encoding="utf-8") + f'\nkafka_topic: "{topic}"\n', encoding="utf-8")
    tape = BinanceTape(10, 1)
    total = sum(leg.frames for leg in legs)
    feeder = Feeding(folder, "binance", journal=journal)
    try:
        given = {**addressed("binance", feeder, tape.path), "K2_BINANCE_SYMBOLS": ",".join(tape.symbols)}
        engine = Engine(at, [str(file)], given, streams=tape.stream, linger_ms=linger,
                        before=("-m", "benchmarks.observed", str(seen)))
        try:
            subscribed(engine, feeder, 1, len(tape.symbols))
            engine.quiet()
            feeder.tell("go legs " + " ".join(f"{leg.rate:g}x{leg.seconds:g}" for leg in legs))
            start = float(feeder.hear("sent binance", sum(leg.seconds for leg in legs) + 60).split()[0])
            engine.until(total)
            engine.finish(total)
        finally:
            engine.stop()
    finally:
        feeder.stop()
    return _moments(tape, legs, start, journal, seen), _read_back(at, topic, tape, total)


def _moments(tape: BinanceTape, legs: Sequence[Leg], start: float, journal: Path, seen: Path) -> list[Moments]:
    lines = [line.split() for line in journal.read_text().splitlines()]
    counts, moments = [int(count) for count, _ in lines], [float(moment) for _, moment in lines]
    decode, when = load_schema("trade").decode, due(legs)
    found = []
    for acknowledgement, body in acknowledged(seen):
        record = decode(body)
        number = tape.place(record["symbol"], record["source_sequence"])
        found.append(Moments(number, start + when(number), moments[bisect.bisect_right(counts, number)],
                             record["ingestion_timestamp"] / 1e6, acknowledgement / 1e6))
    return found


def _read_back(at: Cluster, topic: str, tape: BinanceTape, total: int) -> dict[int, int]:
    """The append times; AssertionError where a trade is there twice, out of order, or was never sent."""
    found: dict[int, int] = {}
    last: dict[str, int] = {}
    for record, appended in records(at.bootstrap, topic):
        number = tape.place(record["symbol"], record["source_sequence"])
        assert number not in found, f"trade {number} is in Kafka twice"
        assert number > last.get(record["symbol"], -1), f"trade {number} is out of order"
        assert number < total, f"trade {number} was never sent"
        last[record["symbol"]] = number
        found[number] = appended
    return found
