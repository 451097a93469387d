"""The soak of everything at once: all shipped connectors and a hostile one in one process, and a broker that freezes.

It shows that nothing dies of one bad thing. A real broker and a real registry; a mock exchange for each shipped
connector, at a low rate; beside them a venue that does everything wrong (`benchmarks.hostile_venue`), which after 60 %
of the time lets nobody in any more; one process, `k2conn run`, of all of them. The broker is frozen (SIGSTOP) for 20 to
40 seconds again and again. At the end every topic is read back: the books of every connector must balance, nothing may
be lost, what is in Kafka must be what was published, each `message_id` once, and only the hostile connector may have
failed.

    python -m benchmarks.hostile_soak --minutes 20
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from benchmarks.hostile_venue import CONNECTOR, HostileVenue
from benchmarks.processes import Process
from k2conn.avro import load_schema
from k2conn.cli.loading import load, shipped
from k2conn.engine.accounting.ledger import NOWHERE
from k2conn.engine.gaps.gap_records import STREAM as GAPS
from k2conn.engine.gaps.gap_records import gap_topic
from k2conn.plan import Plan
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.server import MockServer
from k2conn.variables import prefix_of
from tests.servers import Broker, Registry
from tests.servers.process import free_port

RESULT = Path(__file__).parent / "results" / "soaks" / "hostile_soak.json"
"""In a folder of its own: the page about performance is made of those beside it."""
HOSTILE = "hostile"
HEAD = 5
"""Bytes before a record's Avro body in Kafka."""
FIGURES = (
    "frames", "received", "published", "duplicates", "dead_letters", "in_flight", "spooled", "lost", "filtered",
    "conflicts", "gaps", "reconnects", "crashes", "unrecognised", "malformed", "discarded", "refused", "venue_errors",
)
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Course:
    """What happened while it ran."""

    freezes: list[float] = field(default_factory=list)
    """Seconds each."""
    most_memory: int = 0
    most_waiting: int = 0
    """Envelopes with the sink at the worst moment."""
    cpu: float = 0.0
    looks: int = 0
    """How often `/health` answered."""
    slowest_look: float = 0.0
    failed: Counter[str] = field(default_factory=Counter)
    """Looks that found a connector failed."""
    not_live: Counter[str] = field(default_factory=Counter)
    """Looks, after the first minute, that found a connector anything but live."""
    failed_after: float | None = None
    """Seconds until the hostile connector had given up."""


def main() -> int:
    """Runs the soak; 1 where it does not end as it must."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile_soak", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=0.5, help="frames a second for each stream and symbol")
    parser.add_argument("--freezes", type=int, help="of the broker; else one in four minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--log", type=Path, default=Path(tempfile.gettempdir()) / f"k2conn-hostile-{os.getpid()}.log")
    parser.add_argument("--judge", type=Path, help="run nothing: judge what an earlier run has left beside its log")
    given = parser.parse_args()
    if given.freezes is None:
        given.freezes = max(1, int(given.minutes / 4))
    with tempfile.TemporaryDirectory(prefix="k2conn-hostile-") as name:
        folder = Path(name)
        (folder / "hostile.yaml").write_text(CONNECTOR)
        plans = [load(str(path)) for path in (*shipped(), folder / "hostile.yaml")]
        evidence = json.loads(given.judge.read_bytes()) if given.judge else _kept(given, plans, folder)
    found = judge(evidence, plans)
    text = json.dumps(found, indent=1)
    print(text)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(text + "\n")
    return 0 if found["passed"] else 1


def _kept(given: argparse.Namespace, plans: Sequence[Plan], folder: Path) -> dict[str, Any]:
    """Runs the soak; its log and its evidence outlive the folder of the run."""
    try:
        evidence = soak(given, plans, folder)
    finally:
        if (log := folder / "engine.log").exists():
            shutil.copyfile(log, given.log)
            print(f"the process's log: {given.log}", file=sys.stderr)
    given.log.with_suffix(".evidence.json").write_text(json.dumps(evidence))
    return evidence


def soak(given: argparse.Namespace, plans: Sequence[Plan], folder: Path) -> dict[str, Any]:
    """Servers, venues, the process, the freezes, and the reading back: all that is to be judged."""
    exchanges = [
        MockExchange(plan, rate=given.rate, symbols=plan.symbols.default, keep=False, seed=given.seed + number)
        for number, plan in enumerate(plans) if plan.name != HOSTILE
    ]
    course, venue, summary = Course(), HostileVenue(given.seed), folder / "summary.json"
    with Broker(folder / "kafka") as broker, Registry(folder / "registry") as registry:
        code = asyncio.run(_run(given, exchanges, venue, broker, registry, folder, course))
        began = time.monotonic()
        in_kafka = read_back(broker, plans)
        read_in = round(time.monotonic() - began, 1)
    log = (folder / "engine.log").read_text(errors="replace")
    return {
        "settings": {"minutes": given.minutes, "rate": given.rate, "freezes": given.freezes, "seed": given.seed,
                     "connectors": len(exchanges), "hostile": 1, "cpus": os.cpu_count()},
        "exit_code": code,
        "course": vars(course),
        "data_frames_sent_by_healthy": sum(exchange.counts.total() for exchange in exchanges),
        "cannot_be_mocked": {one.plan.name: one.warnings for one in exchanges if one.warnings},
        "hostile_did": dict(sorted(venue.done.items())),
        "log_bytes": len(log),
        "tracebacks": log.count("Traceback"),
        "spool_files_left": sum(path.is_file() for path in (folder / "spool").rglob("*")),
        "read_back_seconds": read_in,
        "books": json.loads(summary.read_bytes()) if summary.exists() else {"connectors": {}},
        "in_kafka": in_kafka,
    }


# -- the run


async def _run(
    given: argparse.Namespace, exchanges: Sequence[MockExchange], venue: HostileVenue, broker: Broker,
    registry: Registry, folder: Path, course: Course,
) -> int:
    seconds, port = given.minutes * 60, free_port()
    names = [exchange.plan.name for exchange in exchanges]
    async with MockServer(exchanges) as server, venue:
        process = Process(
            "k2conn",
            [sys.executable, "-m", "k2conn", "run", *names, str(folder / "hostile.yaml"), "--daemon", "--port",
             str(port), "--summary", str(folder / "summary.json")],
            folder / "engine.log", _environment(exchanges, server, venue, broker, registry, folder),
        )
        began = time.monotonic()
        watch = asyncio.create_task(_watch(port, process, began, course))
        freeze = asyncio.create_task(_freeze(given, broker, seconds, course))
        try:
            while (passed := time.monotonic() - began) < seconds and process.running:
                if passed > seconds * 0.6 and not venue.refusing:
                    venue.refuse()
                await asyncio.sleep(0.5)
            await freeze
            for exchange in exchanges:
                exchange.pause()
            await asyncio.sleep(5)
            with suppress(OSError):
                course.cpu = round(process.cpu, 1)
        finally:
            watch.cancel()
            broker.resume()
            code = await asyncio.to_thread(process.stop, 60)
    return code


def _environment(
    exchanges: Iterable[MockExchange], server: MockServer, venue: HostileVenue, broker: Broker, registry: Registry,
    folder: Path,
) -> dict[str, str]:
    """As in production, but that everything is on this machine; nobody has a history to be asked for."""
    found = {
        "K2_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
        "K2_KAFKA_SCHEMA_REGISTRY_URL": registry.url,
        "K2_KAFKA_CREATE_TOPICS": "true",
        "K2_KAFKA_PARTITIONS": "1",
        "K2_SPOOL_FOLDER": str(folder / "spool"),
        "K2_STATE_FOLDER": str(folder / "state"),
        "K2_BACKFILL": "false",
        "K2_WOO_X_V1_APPLICATION_ID": "harmless",
        "K2_WOO_X_V1_FUTURES_APPLICATION_ID": "harmless",
        "K2_HOSTILE_WEBSOCKET_URL": venue.url,
        "K2_HOSTILE_HTTP_URL": f"http://127.0.0.1:{venue.port}",
        "K2_HOSTILE_BREAKER_OPEN_SECONDS": "2",
    }
    for exchange in exchanges:
        prefix = prefix_of(exchange.plan.name)
        found[f"{prefix}WEBSOCKET_URL"] = exchange.url()
        found[f"{prefix}HTTP_URL"] = f"http://127.0.0.1:{server.http_port or server.port}/{exchange.plan.name}"
    return found


async def _freeze(given: argparse.Namespace, broker: Broker, seconds: float, course: Course) -> None:
    """Freezes the broker at even intervals, for 20 to 40 seconds."""
    chance = random.Random(given.seed)
    began = time.monotonic()
    for number in range(1, given.freezes + 1):
        await asyncio.sleep(max(0.0, began + number * seconds / (given.freezes + 1) - time.monotonic()))
        length = chance.uniform(20, 40)
        broker.pause()
        try:
            await asyncio.sleep(length)
        finally:
            broker.resume()
        course.freezes.append(round(length, 1))


async def _watch(port: int, process: Process, began: float, course: Course) -> None:
    """Keeps the worst figures, and who was not well."""
    while process.running:
        await asyncio.sleep(1)
        with suppress(OSError, StopIteration):  # it may end while it is looked at
            course.most_memory = max(course.most_memory, process.resident)
        asked = time.monotonic()
        with suppress(OSError, ValueError):
            connectors = (await asyncio.to_thread(_health, port))["connectors"]
            course.looks += 1
            course.slowest_look = max(course.slowest_look, round(time.monotonic() - asked, 2))
            course.most_waiting = max(course.most_waiting, sum(one["in_flight"] for one in connectors.values()))
            for name, one in connectors.items():
                course.failed[name] += one["state"] == "failed"
                course.not_live[name] += one["state"] != "live" and asked - began > 60
            if course.failed[HOSTILE] and course.failed_after is None:
                course.failed_after = round(asked - began, 1)


def _health(port: int) -> dict[str, Any]:
    try:
        with _direct.open(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        found = json.load(error)
    return found


# -- the proof


def judge(evidence: dict[str, Any], plans: Sequence[Plan]) -> dict[str, Any]:
    """The figures, and under ``wrong`` what is not as it must be."""
    books, in_kafka, course = (evidence.pop(name) for name in ("books", "in_kafka", "course"))
    connectors: dict[str, dict[str, Any]] = books["connectors"]
    healthy = {name: one for name, one in connectors.items() if name != HOSTILE}
    heard = sum(one["frames"] - one["control"] for one in healthy.values())
    sent = evidence.get("data_frames_sent_by_healthy", heard)
    failed, not_live = (Counter({name: looks for name, looks in course.pop(which).items() if looks})
                        for which in ("failed", "not_live"))
    wrong = {
        "exit_code": [] if evidence["exit_code"] == 69 else [f"{evidence['exit_code']}, not 69"],
        "tracebacks": [evidence["tracebacks"]] if evidence["tracebacks"] else [],
        "absent": sorted({plan.name for plan in plans} - connectors.keys()),
        "without_records": [name for name, one in connectors.items() if not one["published"]],
        "unbalanced": [name for name, one in connectors.items() if not _balanced(one)],
        "crashed": [name for name, one in connectors.items() if one["crashes"]],
        "reconnected": [name for name, one in healthy.items() if one["reconnects"]],
        "dead_letters_of_healthy": [name for name, one in healthy.items() if one["dead_letters"]],
        "failed": sorted(failed.keys() - {HOSTILE}),
        "hostile_did_not_fail": [] if failed[HOSTILE] else [HOSTILE],
        "frames_missing": [f"{sent} sent, {heard} received"] if sent != heard else [],
        "unsent": [books["unsent"]] if books.get("unsent") else [],
        "kafka": _differences(connectors, in_kafka, plans),
    }
    return {
        "passed": not any(wrong.values()),
        **evidence, "data_frames_received_by_healthy": heard, **course,
        "looks_that_found_failed": dict(failed), "looks_that_found_not_live": dict(not_live),
        "healthy": {name: sum(one[name] for one in healthy.values()) for name in FIGURES},
        "hostile": {name: connectors.get(HOSTILE, {}).get(name)
                    for name in (*FIGURES, "reconnect_causes", "dead_letter_reasons")},
        "kafka": {"topics": len(in_kafka), "messages": sum(one["messages"] for one in in_kafka.values()),
                  "dead_letters": sum(one["messages"] for name, one in in_kafka.items() if name.endswith(".dlq")),
                  "gap_records": sum(one["messages"] for name, one in in_kafka.items() if "gaps" in name)},
        "wrong": wrong,
    }


def _balanced(one: dict[str, Any]) -> bool:
    """The equation of the books, with nothing under way and nothing lost."""
    accounted = one["published"] + one["duplicates"] + one["dead_letters"]
    return bool(one["balanced"] and one["received"] == accounted and not one["in_flight"] and not one["lost"])


def _differences(
    connectors: dict[str, dict[str, Any]], in_kafka: dict[str, dict[str, Any]], plans: Sequence[Plan]
) -> list[str]:
    """Where Kafka and the books do not agree. Connectors of one exchange share topics: their books are added up, and
    each may have a record under one and the same id.
    """
    published, dead, buried, sharing = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    topics: dict[str, set[str]] = {}
    for plan in plans:
        for name, stream in connectors.get(plan.name, {}).get("streams", {}).items():
            dead[plan.exchange] += stream["dead_letters"]
            if name == NOWHERE:  # frames that no stream could be made out of
                continue
            own = {gap_topic(plan)} if name == GAPS else _topics(plan, name)
            of = f"{plan.exchange} {GAPS if name == GAPS else plan.stream(name).record}"
            published[of] += stream["published"]
            topics.setdefault(of, set()).update(own)
            sharing.update(own)
    found = []
    for of, names in topics.items():
        messages = sum(in_kafka.get(name, {}).get("messages", 0) for name in names)
        buried[of.split()[0]] += sum(in_kafka.get(f"{name}.dlq", {}).get("messages", 0) for name in names)
        if messages != published[of]:
            found.append(f"{of}: {messages} in Kafka, {published[of]} published")
    found += [f"{exchange}: {buried[exchange]} dead letters in Kafka, {count} in the books"
              for exchange, count in dead.items() if buried[exchange] != count]
    for name, connectors_of_it in sharing.items():
        most = in_kafka.get(name, {}).get("most_with_one_id", 0)
        if most > connectors_of_it:
            found.append(f"{name}: one message_id {most} times")
    return found


def _topics(plan: Plan, stream: str) -> set[str]:
    of = plan.stream(stream)
    return {of.kafka_topic, *of.kafka_topics.values()}


def read_back(broker: Broker, plans: Sequence[Plan]) -> dict[str, dict[str, Any]]:
    """By topic, how many messages there are, and how many of them at most have the same message_id."""
    records = {
        topic: stream.record for plan in plans for stream in plan.streams for topic in _topics(plan, stream.name)
    }
    decoders = {record: load_schema(record).decode for record in records.values()}
    found: dict[str, dict[str, Any]] = {}
    ids: dict[str, Counter[str]] = {}
    for topic, value in messages(broker):
        one = found.setdefault(topic, {"messages": 0, "most_with_one_id": 0})
        one["messages"] += 1
        if topic in records:
            ids.setdefault(topic, Counter())[decoders[records[topic]](value[HEAD:])["message_id"]] += 1
    for topic, counted in ids.items():
        found[topic]["most_with_one_id"] = max(counted.values())
    return found


def messages(broker: Broker) -> Iterator[tuple[str, bytes]]:
    """All that is in the broker, of all topics at once, by a client that we did not write."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": f"hostile-soak-{os.getpid()}",
                         "enable.auto.commit": False, "fetch.wait.max.ms": 100})
    try:
        open_until: dict[tuple[str, int], int] = {}
        for name, topic in consumer.list_topics(timeout=30).topics.items():
            for number in topic.partitions if not name.startswith("__") else ():
                begin, end = consumer.get_watermark_offsets(TopicPartition(name, number), 30)
                if begin < end:
                    open_until[name, number] = end
        consumer.assign([TopicPartition(name, number, OFFSET_BEGINNING) for name, number in open_until])
        while open_until:
            for message in consumer.consume(5_000, 0.5):
                assert message.error() is None, message.error()
                place, offset, value = (message.topic(), message.partition()), message.offset(), message.value()
                assert value is not None
                yield place[0], value
                if offset + 1 >= open_until.get(place, 0):
                    open_until.pop(place, None)
    finally:
        consumer.close()


if __name__ == "__main__":
    sys.exit(main())
