"""The attack soak: two honest exchanges and seven hostile connectors in one process, every kind of attack at random,
in JSON and in four binary formats.

It shows that an enemy among the venues costs the others nothing. The process is `k2conn run` with the file sink, or
with Kafka; the hostile venue (`benchmarks.hostile.venue`) is another process; a third party holds connections to the
health port open.
At the end it must be true that

- the honest connectors' books are complete: what was sent was received, and what was published is in the files, each
  id once, without a dead letter or a reconnect;
- all books balance, nothing crashed, the exit code is 0;
- the process had less than 200 MB at every look (20 more for each hostile connector beyond two), and `/health` answered
  within 0.5 s each time, the time apart in which other processes of this machine had the processors (Linux tells;
  elsewhere nothing is left out);
- no key stands, in any spelling, in the log, `/health`, `/ready`, `/metrics`, `status`, dead letters, spool,
  state or summary.

    python -m benchmarks hostile-soak --minutes 10
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.hostile import binary
from benchmarks.hostile.asker import SAID, Look, look_of
from benchmarks.hostile.attacks import ATTACKS
from benchmarks.hostile.secrets import KEY, leaks
from benchmarks.hostile.venue import CALLER, CALLS, HANDSHAKES, NAMES, beside, connector, key_of
from benchmarks.hostile.written import Files, Kafka, Written
from benchmarks.processes import Process
from k2conn.cli.loading import find, load
from k2conn.plan import Plan
from k2conn.settings import prefix_of
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.server import MockServer
from tests.servers.process import free_port

HONEST = ("kraken", "coinbase")
MOST_MEMORY = 200_000_000
"""With up to two hostile connectors."""
FURTHER_MEMORY = 20_000_000
"""For each further one."""
SLOWEST_LOOK = 0.5
START_WITHIN = 60.0
STOP_WITHIN = 120.0
"""A stop takes 15 s at most; more where the machine has other work."""
FOREIGN = "never-4sked-for-7a2b"
"""A secret that no connector file names: nobody may ever see it, the hostile venue neither."""


@dataclass
class Course:
    """What was seen while it ran."""

    memory: list[int] = field(default_factory=list)
    """Bytes, several times a second."""
    looks: list[Look] = field(default_factory=list)
    """At `/health`, without the pages."""
    pages: set[bytes] = field(default_factory=set)
    """What was answered, and what `status` printed."""
    done: dict[str, int] = field(default_factory=dict)
    """The attacks that were played, by kind."""
    sent: int = 0
    """Data frames of the honest exchanges."""
    exit_code: int | None = None
    up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when `/health` answered for the first time: the time counts from there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the soak; 1 where it does not end as it must."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks hostile-soak", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=20.0, help="frames a second of each honest stream and symbol")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slowest", type=float, default=SLOWEST_LOOK, help="seconds that /health may take")
    parser.add_argument("--hostile", nargs="+", choices=NAMES, default=NAMES, metavar="NAME",
                        help=f"only these of the hostile connectors: {', '.join(NAMES)}")
    parser.add_argument("--only", metavar="KIND", help="this kind of attack instead of all")
    parser.add_argument("--plant", default="", metavar="FAULTS", help="must be found; see benchmarks.hostile.planted")
    parser.add_argument("--kafka", action="store_true", help="into a real Kafka behind a spool, frozen once")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="what the process wrote stays here")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the result goes there, too")
    given = parser.parse_args(arguments)
    known = {*ATTACKS, *binary.KINDS, *HANDSHAKES, *CALLS}
    if given.only is not None and given.only not in known:
        parser.error(f"there is no attack '{given.only}'; known: {', '.join(sorted(known))}")
    with tempfile.TemporaryDirectory(prefix="k2conn-attacked-") as name:
        folder = given.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        with Kafka(folder) if given.kafka else Files(folder) as written:
            course = soak(given, folder, written)
            found = judge(course, folder, written, given.slowest, given.hostile)
    setting = {"minutes": given.minutes, "seed": given.seed, "kafka": given.kafka, "cpus": os.cpu_count(),
               "load": round(os.getloadavg()[0], 1)}
    text = json.dumps({**setting, **found}, indent=1)
    print(text)
    if given.output is not None:
        given.output.write_text(text + "\n")
    return 0 if found["passed"] else 1


# -- the run


def soak(given: argparse.Namespace, folder: Path, written: Written) -> Course:
    """Venues, the process, the looks at it."""
    for name in given.hostile:
        (folder / f"{name}.yaml").write_text(connector(name))
        for file, data in beside(name).items():
            (folder / file).write_bytes(data)
    venue = Process(
        "hostile venue",
        [sys.executable, "-m", "benchmarks.hostile.venue", str(given.seed), given.only or ""],
        folder / "venue.log",
    )
    try:
        return asyncio.run(_run(given, folder, venue, int(venue.hear("port")), written))
    finally:
        venue.stop(5)


async def _run(given: argparse.Namespace, folder: Path, venue: Process, port: int, written: Written) -> Course:
    course, own_port = Course(), free_port()
    exchanges = [
        MockExchange(plan, rate=given.rate, symbols=plan.symbols.default, keep=False, seed=given.seed + n)
        for n, plan in enumerate(_honest())
    ]
    module = ["benchmarks.hostile.planted", given.plant] if given.plant else ["k2conn"]
    files = [str(folder / f"{name}.yaml") for name in given.hostile]
    async with MockServer(exchanges):
        process = Process(
            "k2conn",
            [
                sys.executable,
                "-m",
                *module,
                "run",
                *HONEST,
                *files,
                *written.arguments,
                "--daemon",
                "--port",
                str(own_port),
                "--summary",
                str(folder / "summary.json"),
            ],
            folder / "k2conn.log",
            _environment(exchanges, port, folder) | written.environment,
        )
        asker = Process(
            "asker",
            [sys.executable, "-m", "benchmarks.hostile.asker", str(process.pid), str(own_port)],
            folder / "asker.log",
        )
        watches = [
            asyncio.create_task(one)
            for one in (
                _weigh(process, course),
                _look(process, asker, course, written),
                _crowd(process, own_port),
                _ask_status(process, own_port, course),
                written.disturb(given.minutes * 60),
            )
        ]
        try:
            with suppress(TimeoutError):  # who never answers is judged for it
                await asyncio.wait_for(course.up.wait(), START_WITHIN)
            with suppress(TimeoutError):  # the time is over, which is how it should end
                async with asyncio.timeout(given.minutes * 60):
                    await asyncio.shield(watches[0])
            for exchange in exchanges:
                exchange.pause()
            await asyncio.sleep(2)
            course.sent = sum(exchange.counts.total() for exchange in exchanges)
            venue.tell("report")
            course.done = json.loads(await asyncio.to_thread(venue.hear, "done"))
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
            asker.stop(5)
            course.exit_code = await asyncio.to_thread(process.stop, STOP_WITHIN)
    return course


def _honest() -> list[Plan]:
    return [load(str(find(name))) for name in HONEST]


def _environment(exchanges: Sequence[MockExchange], port: int, folder: Path) -> dict[str, str]:
    found = {"K2_STATE_FOLDER": str(folder / "state"), "K2_BACKFILL": "false", "AWS_SECRET_ACCESS_KEY": FOREIGN}
    for exchange in exchanges:
        found[f"{prefix_of(exchange.plan.name)}WEBSOCKET_URL"] = exchange.url()
    for name in NAMES:
        prefix = prefix_of(name)
        found |= {key_of(name): KEY, f"{prefix}BREAKER_OPEN_SECONDS": "1", f"{prefix}RECONNECT_DELAY": "0.05"}
        if name == CALLER:
            found[f"{prefix}HTTP_URL"] = f"http://127.0.0.1:{port}"
        else:
            found[f"{prefix}WEBSOCKET_URL"] = f"ws://127.0.0.1:{port}/{name}/ws"
    return found


async def _weigh(process: Process, course: Course) -> None:
    while process.running:
        with suppress(OSError, StopIteration):  # it may end while it is looked at
            course.memory.append(process.resident)
        await asyncio.sleep(0.1)


async def _look(process: Process, asker: Process, course: Course, written: Written) -> None:
    while process.running:
        one = await _asked(asker, "health")
        if course.up.is_set() and process.running:  # while it starts there is nobody to answer
            course.looks.append(replace(one, body=b""))
            for path in ("ready", "metrics"):
                course.pages.add((await _asked(asker, path)).body)
        if one.body:
            course.up.set()
        course.pages.add(one.body)
        for where, data in await asyncio.to_thread(lambda: list(written.kept_now())):
            course.pages |= {line.encode() for line in _found(where, data)}
        if len(course.pages) > 200:  # nothing new is lost: what is dropped has been searched
            course.pages = {line.encode() for page in course.pages for line in _found("a page", page)}
        await asyncio.sleep(0.7)


async def _asked(asker: Process, path: str) -> Look:
    asker.tell(path)
    return look_of(await asyncio.to_thread(asker.hear, SAID))


async def _crowd(process: Process, port: int) -> None:
    """Half requests, noise and clients that do not read, some dozens at a time."""
    while process.running:
        writers = []
        for data in (b"GET /health HTTP/1.1\r\nX: ", b"\x16\x03\x01", b"GET /metrics HTTP/1.1\r\n\r\n") * 10:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
                writer.write(data)
                writers.append(writer)
        await asyncio.sleep(3)
        for writer in writers:
            writer.transport.abort()


async def _ask_status(process: Process, port: int, course: Course) -> None:
    while process.running:
        await asyncio.sleep(7)
        for more in ((), ("--format", "json")):
            command = [sys.executable, "-m", "k2conn", "status", "--port", str(port), *more]
            done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
            course.pages.add(done.stdout + done.stderr)


# -- the proof


def judge(
    course: Course, folder: Path, written: Written, slowest: float, hostile: Sequence[str] = NAMES
) -> dict[str, Any]:
    """The figures, and under ``wrong`` what is not as it must be."""
    summary = folder / "summary.json"
    books = json.loads(summary.read_bytes())["connectors"] if summary.exists() else {}
    honest = {name: books[name] for name in HONEST if name in books}
    heard = sum(one["frames"] - one["control"] for one in honest.values())
    most, own = max(course.memory, default=0), [round(one.own, 3) for one in course.looks]
    log = (folder / "k2conn.log").read_text(errors="replace")
    wrong: dict[str, list[Any]] = {
        "exit_code": [] if course.exit_code == 0 else [course.exit_code],
        "absent": sorted({*HONEST, *hostile} - books.keys()),
        "not_played": [] if course.done else ["no attack was played"],
        "tracebacks": [line[-400:] for line in log.splitlines() if "Traceback" in line][:5],
        "unbalanced": [name for name, one in books.items() if not one["balanced"] or one["lost"]],
        "crashed": [name for name, one in books.items() if one["crashes"]],
        "honest": [
            f"{name}: {one[what]} {what}"
            for name, one in honest.items()
            for what in ("dead_letters", "reconnects", "unrecognised", "malformed", "gaps")
            if one[what]
        ],
        "frames": [] if course.sent == heard else [f"{course.sent} sent, {heard} received"],
        "files": _not_written(honest, written) if honest else [],
        "memory": [most] if most >= MOST_MEMORY + FURTHER_MEMORY * max(0, len(hostile) - 2) else [],
        "looks": [one for one in own if one >= slowest] if own else ["/health never answered"],
        "unanswered": [one.status for one in course.looks if not one.answered],
        "secrets": _leaked(course, folder, written),
    }
    attacked = {name: books.get(name, {}) for name in hostile}
    figures = (
        "frames",
        "received",
        "published",
        "dead_letters",
        "malformed",
        "unrecognised",
        "reconnects",
        "venue_errors",
    )
    return {
        "passed": not any(wrong.values()),
        "attacks": course.done,
        "honest_frames": {"sent": course.sent, "received": heard},
        "honest_published": sum(one["published"] for one in honest.values()),
        "most_memory_mb": round(most / 1e6, 1),
        "looks": {
            "count": len(own),
            "slowest_s": max(own, default=None),
            "slowest_with_the_machine_s": max((round(one.seconds, 3) for one in course.looks), default=None),
            "answers": Counter(str(one.status) for one in course.looks),
        },
        "log_bytes": len(log),
        "attacked": {name: {figure: one.get(figure) for figure in figures} for name, one in attacked.items()},
        "wrong": {name: found for name, found in wrong.items() if found},
    }


def _not_written(honest: dict[str, Any], written: Written) -> list[str]:
    """Where the honest connectors' records and books do not agree, or an id is there twice."""
    streams = {(plan.name, one.name): one for plan in _honest() for one in plan.streams if one.default}
    topics = {key: {one.kafka_topic, *one.kafka_topics.values()} for key, one in streams.items()}
    ids = written.ids({topic: streams[key].record for key, names in topics.items() for topic in names})
    found = []
    for (name, stream), names in topics.items():
        counts = sum((ids[topic] for topic in names), Counter[str]())
        published = honest[name]["streams"][stream]["published"]
        if counts.total() != published or not published:
            found.append(f"{name} {stream}: {counts.total()} written, {published} published")
        if counts and max(counts.values()) > 1:
            found.append(f"{name} {stream}: one message_id {max(counts.values())} times")
    return found


def _found(where: str, data: bytes) -> list[str]:
    return list(leaks(where, data, {"key": KEY, "foreign": FOREIGN}))


def _leaked(course: Course, folder: Path, written: Written) -> list[str]:
    """Every place in which a secret stands; a venue's own files and what it was rightly sent are none."""
    found = [leak for page in course.pages for leak in _found("a page", page)]
    for path in sorted(folder.rglob("*")):
        own = (
            "servers" not in path.parts
            and path.suffix != ".yaml"
            and path.name != "venue.log"
            and path.is_file()
            and path.suffix != ".avro"
        )
        if own:
            found += _found(str(path.relative_to(folder)), path.read_bytes())
    found += [leak for where, data in written.others() for leak in _found(where, data)]
    return sorted(set(found))[:50]
