"""The chaos soak: `k2conn run` into a real Kafka that is restarted, from a mock venue that cuts sockets, and the proof.

The exchange and the broker are this process's; the connector is a process of its own, configured as in production (its
waits are not shortened). At the end every id that left is looked for in Kafka by an independent reader: each exactly
once.

    python -m benchmarks.soak --duration 20m --rate 2000 --restarts 5
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from benchmarks.processes import Process
from k2conn.avro import load_schema
from k2conn.cli.loading import load
from k2conn.compiler.language.durations import duration as seconds_of
from k2conn.engine.gaps.gap_records import gap_topic
from k2conn.plan import Plan
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.faults import Faults
from k2conn.tools.mock.sent_frames import SentFrames
from tests.servers import Broker, Registry
from tests.servers.process import free_port

HEAD = 5
"""Bytes before a record's Avro body in Kafka."""
SHOWN = 10
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Course:
    """What happened while it ran."""

    restarts: list[dict[str, Any]] = field(default_factory=list)
    cuts: Counter[str] = field(default_factory=Counter)
    most_waiting: int = 0
    """Envelopes with the sink at the worst moment."""
    engine_cpu: float = 0.0
    engine_memory: int = 0
    engine_most_memory: int = 0
    drained_after: float = 0.0


def main() -> int:
    """Runs the soak; 1 where it does not balance."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--connector", default="kraken")
    parser.add_argument("--stream", default="trade")
    parser.add_argument("--symbols", help="comma-separated; else the connector's default ones")
    parser.add_argument("--duration", default="20m")
    parser.add_argument("--rate", type=float, default=2000.0, help="records a second, of all symbols together")
    parser.add_argument("--restarts", type=int, default=5, help="of the broker, every second one by kill -9")
    parser.add_argument("--cut-every", default="15s", help="mean time between cuts of all sockets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    parser.add_argument("--log", type=Path, help="where the connector's log stays (else /tmp)")
    given = parser.parse_args()
    given.log = given.log or Path(tempfile.gettempdir()) / f"k2conn-soak-{os.getpid()}.log"
    with tempfile.TemporaryDirectory(prefix="k2conn-soak-") as folder:
        try:
            found = soak(given, Path(folder))
        finally:
            _keep(Path(folder) / "engine.log", given.log)
    text = json.dumps(found, indent=1)
    print(text)
    if given.output:
        given.output.write_text(text + "\n")
    return 0 if found["passed"] else 1


def _keep(log: Path, place: Path) -> None:
    """The connector's log outlives the folder of the run."""
    if log.exists():
        shutil.copyfile(log, place)
        print(f"the connector's log: {place}", file=sys.stderr)


def soak(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Servers, exchange, connector, chaos, and the reading back."""
    plan = load(given.connector)
    symbols = given.symbols.split(",") if given.symbols else list(plan.symbols.default)
    sent_frames = SentFrames(frames=False)
    exchange = MockExchange(
        plan, rate=0, symbols=symbols, keep=False, seed=given.seed, sent_frames=sent_frames, keep_generating=True,
        faults=Faults(duplicate_every=97),
    )
    course = Course()
    with Broker(folder / "kafka") as broker, Registry(folder / "registry") as registry:
        books = asyncio.run(_run(given, plan, symbols, exchange, broker, registry, folder, course))
        began = time.monotonic()
        topic = plan.stream(given.stream).kafka_topic
        found = compare(sent_frames, given.stream, plan, read(broker, topic), read(broker, gap_topic(plan), "gap"))
        found["read_back_seconds"] = round(time.monotonic() - began, 1)
    found["books"] = {name: books.get(name) for name in
                      ("frames", "received", "published", "duplicates", "dead_letters", "lost", "in_flight", "unsent",
                       "reconnects", "reconnect_causes", "gaps", "missing", "exit_code")}
    settings = {"connector": given.connector, "stream": given.stream, "symbols": symbols, "duration": given.duration,
                "rate": given.rate, "restarts": given.restarts, "cut_every": given.cut_every, "seed": given.seed}
    sound = books.get("exit_code") == 0 and not any(found["wrong"].values())
    return {"passed": sound, "settings": settings, **vars(course), "cuts": dict(course.cuts), **found}


# -- the run


async def _run(
    given: argparse.Namespace, plan: Plan, symbols: list[str], exchange: MockExchange, broker: Broker,
    registry: Registry, folder: Path, course: Course,
) -> dict[str, Any]:
    seconds = seconds_of(given.duration)
    async with exchange:
        port = free_port()
        engine = Process("k2conn", _command(given, symbols, port, folder), folder / "engine.log",
                         _environment(plan, exchange, broker, registry, folder))
        try:
            exchange.rate = given.rate / len(symbols)
            await exchange.wait_for(lambda: exchange.counts.total() > 0, within=60)
            async with asyncio.timeout(seconds + 300):
                chaos = [
                    asyncio.create_task(_restart(given, broker, seconds, course)),
                    asyncio.create_task(_cut(given, exchange, seconds, course)),
                    asyncio.create_task(_watch(port, engine, course)),
                ]
                await _stays(engine, seconds, course)
                await asyncio.gather(*chaos[:2])
                chaos[2].cancel()
            await _drain(exchange, port, course)
            course.engine_cpu, course.engine_memory = round(engine.cpu, 1), engine.resident
        except BaseException:
            print((folder / "engine.log").read_text()[-6000:], file=sys.stderr)
            raise
        finally:
            code = await asyncio.to_thread(engine.stop, 40)
    summary = folder / "summary.json"
    books: dict[str, Any] = json.loads(summary.read_bytes()) if summary.exists() else {}
    books.update(books.get("connectors", {}).get(plan.name, {}))
    books["exit_code"] = code
    if code:
        print((folder / "engine.log").read_text()[-3000:], file=sys.stderr)
    return books


def _command(given: argparse.Namespace, symbols: list[str], port: int, folder: Path) -> list[str]:
    return [sys.executable, "-m", "k2conn", "run", given.connector, "--streams", given.stream, "--symbols",
            ",".join(symbols), "--port", str(port), "--summary", str(folder / "summary.json")]


def _environment(
    plan: Plan, exchange: MockExchange, broker: Broker, registry: Registry, folder: Path
) -> dict[str, str]:
    """As in production, but that everything is on this machine."""
    name = "K2_" + "".join(letter if letter.isalnum() else "_" for letter in plan.name.upper())
    return {
        f"{name}_WEBSOCKET_URL": exchange.url(),
        f"{name}_HTTP_URL": exchange.http_url or f"http://127.0.0.1:{exchange.port}/{plan.name}",
        f"{name}_BACKFILL": "false",  # the mock venue has no history to ask for
        "K2_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
        "K2_KAFKA_SCHEMA_REGISTRY_URL": registry.url,
        "K2_KAFKA_CREATE_TOPICS": "true",
        "K2_SPOOL_FOLDER": str(folder / "spool"),
    }


async def _stays(engine: Process, seconds: float, course: Course) -> None:
    """Time passes; RuntimeError where the connector's process does not last that long, with how it ended."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        await asyncio.sleep(0.5)
        if not engine.running:
            raise RuntimeError(
                f"the connector's process {engine.pid} ended after {passed:.0f} s: {_ending(engine.stop())}; at most "
                f"{course.engine_most_memory:,} bytes of memory, {course.most_waiting} envelopes waiting"
            )


def _ending(code: int) -> str:
    """An exit code in words. A SIGTERM from outside is a stop in order: code 0 or 1, and `stopping` in its log."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


async def _restart(given: argparse.Namespace, broker: Broker, seconds: float, course: Course) -> None:
    """Restarts the broker at even intervals: in good order, and by kill -9 in turn."""
    for number in range(given.restarts):
        await asyncio.sleep(seconds / (given.restarts + 1))
        began, how = time.monotonic(), "kill -9" if number % 2 else "restart"
        await asyncio.to_thread(broker.kill if number % 2 else broker.stop)
        await asyncio.sleep(2.0)
        await asyncio.to_thread(broker.start)
        course.restarts.append({"how": how, "away": round(time.monotonic() - began, 1)})


async def _cut(given: argparse.Namespace, exchange: MockExchange, seconds: float, course: Course) -> None:
    """Ends all sockets at random moments: without a word, or with a close frame."""
    chance, end = random.Random(given.seed), time.monotonic() + seconds - 5
    while (pause := chance.expovariate(1 / seconds_of(given.cut_every))) + time.monotonic() < end:
        await asyncio.sleep(pause)
        how = chance.choice(["aborted", "closed"])
        if exchange.clients:
            await exchange.drop_clients(None if how == "aborted" else 1001)
            course.cuts[how] += 1


async def _watch(port: int, engine: Process, course: Course) -> None:
    """Keeps the worst figures of what waits and of memory."""
    while engine.running:
        await asyncio.sleep(0.5)
        with suppress(OSError, StopIteration):  # it may end while it is looked at
            course.engine_most_memory = max(course.engine_most_memory, engine.resident)
        with suppress(OSError, ValueError):
            waiting = sum(one["in_flight"] for one in (await _health(port))["connectors"].values())
            course.most_waiting = max(course.most_waiting, waiting)


async def _drain(exchange: MockExchange, port: int, course: Course) -> None:
    """Quiet, until everything that left has arrived and is in Kafka."""
    exchange.pause()
    assert exchange.sent_frames is not None
    sent_frames, began = exchange.sent_frames, time.monotonic()
    await exchange.wait_for(lambda: sent_frames.settled, within=60)
    async with asyncio.timeout(120):
        while any(one["in_flight"] for one in (await _health(port))["connectors"].values()):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    course.drained_after = round(time.monotonic() - began, 1)


async def _health(port: int) -> dict[str, Any]:
    def get() -> dict[str, Any]:
        try:
            with _direct.open(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            found = json.load(error)
        return found

    return await asyncio.to_thread(get)


# -- the proof


def read(broker: Broker, topic: str, schema: str = "trade") -> Iterator[dict[str, Any]]:
    """All records of a topic, by a client that we did not write."""
    decode = load_schema(schema).decode
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": f"soak-{os.getpid()}",
                         "enable.auto.commit": False})
    try:
        known = consumer.list_topics(topic, 30).topics[topic].partitions
        for number in known:
            partition = TopicPartition(topic, number, OFFSET_BEGINNING)
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), 30)
            if high <= low:
                continue
            consumer.assign([partition])
            at = low
            while at < high:
                for message in consumer.consume(10_000, 0.3):
                    value, offset = message.value(), message.offset()
                    assert message.error() is None, message.error()
                    assert value is not None
                    assert offset is not None
                    at = offset + 1
                    yield decode(value[HEAD:])
    finally:
        consumer.close()


def compare(
    sent_frames: SentFrames, stream: str, plan: Plan, records: Iterator[dict[str, Any]], gaps: Iterator[dict[str, Any]]
) -> dict[str, Any]:
    """What left beside what is in Kafka, id by id."""
    found: dict[str, Counter[str]] = {}
    messages: set[bytes] = set()
    total = 0
    for record in records:
        total += 1
        messages.add(bytes.fromhex(record["message_id"].replace("-", "")))
        own = record["trade_id"].removeprefix(plan.exchange + "-")
        found.setdefault(record["symbol"], Counter())[own] += 1
    sure, doubt, absent = _sent(sent_frames, stream, plan)
    holes = [(gap["symbol"], gap["first_sequence"], gap["last_sequence"]) for gap in gaps]
    lost, twice, strange, unreported, arrived = [], [], [], [], 0
    for symbol in sorted(sure.keys() | found.keys()):
        here, ours, maybe = found.get(symbol, Counter()), sure.get(symbol, set()), doubt.get(symbol, set())
        lost += [f"{symbol} {own}" for own in ours - here.keys()]
        twice += [f"{symbol} {own}" for own, count in here.items() if count > 1]
        strange += [f"{symbol} {own}" for own in here.keys() - ours - maybe]
        arrived += len((maybe - ours) & here.keys())
        lacking = ((absent.get(symbol, set()) | maybe) - here.keys()) if here else set()
        unreported += [f"{symbol} {own}" for own in _unreported(lacking, here, symbol, holes)]
    return {
        "connections": len(sent_frames.client_sessions),
        "frames_with_data": sum(
            sent.key is not None for client_session in sent_frames.client_sessions for sent in client_session.frames
        ),
        "sent": sum(map(len, sure.values())),
        "in_doubt": sum(len(ids - sure.get(symbol, set())) for symbol, ids in doubt.items()),
        "in_doubt_and_arrived": arrived,
        "printed_while_disconnected": sum(map(len, absent.values())),
        "in_kafka": total,
        "message_ids": len(messages),
        "gap_records": len(holes),
        "wrong": {
            "lost": lost[:SHOWN],
            "twice": twice[:SHOWN],
            "never_sent": strange[:SHOWN],
            "missing_without_gap_record": unreported[:SHOWN],
            "message_ids_that_repeat": [total - len(messages)] if total != len(messages) else [],
        },
    }


Ids = dict[str, set[str]]


def _sent(sent_frames: SentFrames, stream: str, plan: Plan) -> tuple[Ids, Ids, Ids]:
    """Ids by symbol: read for certain, perhaps, and never sent."""
    sure: Ids = {}
    doubt: Ids = {}
    absent: Ids = {}
    for _, sent, certain in sent_frames.frames():
        if sent.key is not None and sent.key[0] == stream:
            (sure if certain else doubt).setdefault(_record(plan, sent.key[1]), set()).update(sent.ids)
    for (name, native), frames in sent_frames.missed.items():
        if name == stream:
            absent.setdefault(_record(plan, native), set()).update(own for one in frames for own in one.ids)
    return sure, doubt, absent


def _record(plan: Plan, native: str) -> str:
    symbol = plan.symbols.resolve(native)
    return symbol.record if symbol else native


def _unreported(lacking: set[str], here: Counter[str], symbol: str, holes: list[tuple[str, int, int]]) -> list[str]:
    """Of the ids that never came, those that no gap record tells of; only for ids that are numbers."""
    if not all(own.isdecimal() for own in lacking):
        return []
    low, high = min(map(int, here)), max(map(int, here))
    own = [(first, last) for name, first, last in holes if name == symbol and first is not None]
    return [one for one in sorted(lacking, key=int)
            if low < int(one) < high and not any(first <= int(one) <= last for first, last in own)]


if __name__ == "__main__":
    sys.exit(main())
