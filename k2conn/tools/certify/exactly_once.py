"""The proof of exactly once: a group of processes, a venue that goes on while nobody listens, random faults, and a
reader of committed records.

Each id once; of each symbol in the order of its numbers, but for what was fetched later; and of the numbers between the
first and the last every one there, or named by a record of a gap.
"""

from __future__ import annotations

import asyncio
import math
import random
import resource
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from k2conn import exactjson
from k2conn.child_python import child_command
from k2conn.clock import monotonic
from k2conn.ending_tasks import end_tasks
from k2conn.errors import SettingsError
from k2conn.sinks.kafka.producer import client_options
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.tools.certify.committed_books import CommittedBooks, HandOver, SymbolBook
from k2conn.tools.certify.group_faults import KINDS, OF_MEMBERS, OF_THE_CLUSTER, GroupFaults, Happened
from k2conn.tools.certify.group_member import TestedMember
from k2conn.tools.certify.leader_moves import LeaderMoves
from k2conn.tools.mock.tape import connector_file

GROUP = "certify"
SETTLE = 12.0
"""Seconds between the last fault and the end, for holes to be found."""
FILLED_WITHIN = 180.0
"""Seconds for them to be filled."""
LONGEST_LINE = 16 * 1024 * 1024
LOOK_EVERY = 0.5
START_WITHIN = 120.0
VENUE = "from k2conn.tools.mock.tape import main; main()"
TRADES, GAPS, STATE = "market.crypto.trades.tape", "market.crypto.gaps.tape", f"k2conn.state.{GROUP}"
SHOWN = 20
"""Numbers that are named of each kind of failure."""


@dataclass(frozen=True, slots=True)
class ProofSettings:
    """``rate``: trades a second in all. ``program``: what each member's Python runs, with what follows `k2conn`."""

    kafka: KafkaSettings
    variables: Mapping[str, str]
    program: str
    folder: Path
    members: int = 3
    symbols: int = 24
    rate: float = 500.0
    slots: int = 12
    session: float = 6.0
    seconds: float = 120.0
    faults: int = 12
    seed: int = 0
    kinds: Sequence[str] | None = None
    """None: all that the cluster allows."""
    history: bool = True


@dataclass(slots=True)
class ExactlyOnceProof:
    """What was found. ``problems``: why it is none; empty where it holds."""

    records: int = 0
    fetched: int = 0
    missing: int = 0
    """Numbers that are not there, all of them named."""
    gaps: int = 0
    happened: list[Happened] = field(default_factory=list)
    handovers: list[HandOver] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    sent: int = 0
    """Numbers that the venue sent while any member was connected, from the first that was found to the last."""
    sent_missing: int = 0
    """Those of them that are not there."""
    twice: int = 0
    cpu: dict[str, float] = field(default_factory=dict)
    """Seconds of the processor that the members, the venue and the reader took."""

    def holes(self) -> dict[str, list[int]]:
        """Milliseconds in which nobody committed anything of a slot that went to another process, by what had happened
        since the last commit: a fault, or the end of one, or several of them (with a kill among them, or without);
        else it moved as planned.
        """
        found: dict[str, list[int]] = {}
        for one in self.handovers:
            since = one.at_ms - one.hole_ms - COMMIT_SLACK_MS
            kinds = [each.kind for each in self.happened if since <= each.at_ms <= one.at_ms]
            kinds += ["after a fault" for each in self.happened if since <= each.at_ms + each.lasted_ms <= one.at_ms]
            several = "kill among others" if "kill" in kinds else "several"
            kind = "planned" if not kinds else kinds[0] if len(kinds) == 1 else several
            found.setdefault(kind, []).append(one.hole_ms)
        return {kind: sorted(holes) for kind, holes in sorted(found.items())}


COMMIT_SLACK_MS = 1000


def percentile(values: Sequence[int], share: float) -> int:
    """Of sorted values."""
    return values[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


async def prove(given: ProofSettings) -> ExactlyOnceProof:
    """Runs it all."""
    began, proof, sent = monotonic(), ExactlyOnceProof(), dict[str, list[tuple[int, int]]]()
    spent, own = _cpu(resource.RUSAGE_CHILDREN), _cpu(resource.RUSAGE_SELF)
    async with venue(given) as place:
        books = CommittedBooks(given.kafka, TRADES, GAPS, STATE)
        moves = LeaderMoves(
            given.kafka, [given.kafka.topic_prefix + one for one in (TRADES, GAPS, STATE)], random.Random(given.seed)
        )
        kinds = await _possible(given, moves)
        read_all = asyncio.Event()
        reading = asyncio.create_task(books.read(read_all))
        members = await tested_members(given, place.port)
        keeping: list[asyncio.Task[None]] = []
        try:
            await asyncio.gather(*(one.start() for one in members))
            keeping = [asyncio.create_task(one.keep()) for one in members]
            await _until(lambda: len(books.symbols) == given.symbols, reading)
            faults = GroupFaults(members, moves, given.faults, given.seconds, given.seed, kinds)
            await faults.run()
            proof.problems += await at_rest(books, reading, FILLED_WITHIN)
            await asyncio.sleep(SETTLE)
            await _filled(books, given)
            proof.happened = sorted(faults.happened, key=lambda one: one.at_ms)
            for task in keeping:
                task.cancel()
            proof.problems += [f"{one.instance} ended by itself: see {one.log}" for one in members if not one.running]
            await asyncio.gather(*(one.stop() for one in members if one.running))
            proof.cpu["members"] = _cpu(resource.RUSAGE_CHILDREN) - spent
            sent = await place.sent()
            proof.problems += [
                f"{one.instance} ended with {code}: see {one.log}" for one in members for code in one.codes
                if code not in (0, -signal.SIGTERM)  # that was before it had begun anything
            ]
            read_all.set()
            await reading
        finally:
            await end_tasks(reading, *keeping)
            await asyncio.gather(*(one.close() for one in members), return_exceptions=True)
    proof.cpu["venue"] = _cpu(resource.RUSAGE_CHILDREN) - spent - proof.cpu["members"]
    proof.cpu["reader"] = _cpu(resource.RUSAGE_SELF) - own
    judge(books, given, proof, sent)
    proof.seconds = monotonic() - began
    return proof


def judge(
    books: CommittedBooks, given: ProofSettings, proof: ExactlyOnceProof, sent: Mapping[str, list[tuple[int, int]]]
) -> None:
    """Notes in the proof what the reader found, and all that contradicts it. ``sent``: by the venue's symbol, the
    ranges of numbers that it sent.
    """
    proof.handovers, proof.gaps = books.handovers, len(books.gap_ids)
    if books.gaps_twice:
        proof.problems.append(f"{books.gaps_twice} records of gaps are there more than once")
    for symbol, book in sorted(books.symbols.items()):
        proof.records += book.count
        proof.fetched += book.fetched
        missing, named = set(book.missing()), books.named.get(symbol, set())
        proof.missing += len(missing)
        proof.twice += len(book.twice)
        for what, numbers in (
            ("more than once", book.twice), ("out of order", book.out_of_order),
            ("missing and named by no gap", sorted(missing - named)),
            ("named by a gap and not filled, though the venue has them",
             sorted(missing & named) if given.history else ()),
        ):
            if numbers:
                proof.problems.append(f"{symbol}: {len(numbers)} numbers {what}: {numbers[:SHOWN]}")
    for symbol, ranges in sent.items():
        count, lacking = books.symbols.get(symbol.replace("-", ""), SymbolBook()).among(ranges)
        proof.sent += count
        proof.sent_missing += lacking
    if len(books.symbols) < given.symbols:
        proof.problems.append(f"trades of {len(books.symbols)} symbols only, of {given.symbols}")


@dataclass(frozen=True, slots=True)
class ProofVenue:
    """The venue, and where it listens."""

    process: asyncio.subprocess.Process
    port: int

    async def sent(self) -> dict[str, list[tuple[int, int]]]:
        """By symbol the ranges of numbers that it has sent while anybody was connected."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        answer = exactjson.decode(await self.process.stdout.readline())
        return {symbol: [(first, last) for first, last in ranges] for symbol, ranges in answer.items()}


@asynccontextmanager
async def venue(given: ProofSettings) -> AsyncIterator[ProofVenue]:
    """The venue of a proof, a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *child_command(["-c", VENUE, str(given.rate / given.symbols)]), stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, limit=LONGEST_LINE,
    )
    try:
        assert process.stdout is not None
        yield ProofVenue(process, int(await process.stdout.readline()))
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def tested_members(given: ProofSettings, port: int) -> list[TestedMember]:
    """Its members, none of them started yet."""
    file = connector_file(given.folder, port, given.history)
    brokers = await _brokers(given.kafka)
    variables = {
        **given.variables, "K2_TAPE_SYMBOLS": ",".join(f"S{number}-USD" for number in range(given.symbols)),
        "K2_KAFKA_DELIVERY": "exactly-once", "K2_GROUP_SLOTS": str(given.slots),
        "K2_GROUP_SESSION": f"{given.session:g}s", "K2_KAFKA_CREATE_TOPICS": "true",
    }
    arguments = ["run", str(file), "--sink", "kafka", "--group", GROUP, "--port", "-1", "--daemon"]
    return [TestedMember(f"m{number}", given.program, arguments, variables, given.folder, brokers)
            for number in range(given.members)]


async def _brokers(kafka: KafkaSettings) -> list[tuple[str, int]]:
    """The addresses that brokers say of themselves, and those by which they were named."""
    admin: Any = AIOKafkaAdminClient(**client_options(kafka))
    try:
        await admin.start()
        said = (await admin.describe_cluster())["brokers"]
    finally:
        await admin.close()
    named = [address.strip().rpartition(":") for address in kafka.bootstrap.split(",")]
    return sorted({*((one["host"], one["port"]) for one in said), *((host, int(port)) for host, _, port in named)})


async def _possible(given: ProofSettings, moves: LeaderMoves) -> Sequence[str]:
    """The kinds of faults; where none are named, those that need another broker only with one. SettingsError where one
    is named that cannot be.
    """
    kinds = KINDS if given.kinds is None else given.kinds
    if await moves.possible():
        return kinds
    if given.kinds is not None and (named := [kind for kind in kinds if kind in OF_THE_CLUSTER]):
        raise SettingsError(f"--faults {','.join(named)}: needs a cluster of two brokers or more")
    return OF_MEMBERS


async def _filled(books: CommittedBooks, given: ProofSettings) -> None:
    """Until nothing is missing that history has, or for as long as that may take."""
    for _ in range(int(FILLED_WITHIN / LOOK_EVERY) if given.history else 0):
        if all(book.whole for book in books.symbols.values()):
            return
        await asyncio.sleep(LOOK_EVERY)


def _cpu(whose: int) -> float:
    """Seconds of the processor: of this process, or of all its children that have ended."""
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


async def at_rest(books: CommittedBooks, reading: asyncio.Task[None], within: float) -> list[str]:
    """Waits until every symbol has gone on from where the furthest was at the last fault's end: all are counted alike.
    Why that did not come about within so many seconds; nothing where it did.
    """
    furthest = max(book.last for book in books.symbols.values())

    def behind() -> list[str]:
        return sorted(symbol for symbol, book in books.symbols.items() if book.last <= furthest)

    try:
        await _until(lambda: not behind(), reading, "to go on", within)
    except TimeoutError as error:
        return [f"{error}: nothing new of {', '.join(behind())}"]
    return []


async def _until(
    condition: Callable[[], bool], reading: asyncio.Task[None], what: str = "to publish", within: float = START_WITHIN
) -> None:
    end = monotonic() + within
    while not condition():
        if reading.done():
            reading.result()
        if monotonic() > end:
            raise TimeoutError(f"the group did not begin {what} in {within:.0f} s")
        await asyncio.sleep(0.2)
