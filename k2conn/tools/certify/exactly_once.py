"""The proof of exactly once: a group of processes, a venue that goes on while nobody listens, random faults, and a
reader of committed records.

Each id once; of each symbol in the order of its numbers, but for what was fetched later; and of the numbers between the
first and the last every one there, or named by a record of a gap.
"""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from k2conn.child_python import child_command
from k2conn.clock import monotonic
from k2conn.sinks.kafka.producer import client_options
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.tools.certify.committed_books import CommittedBooks, HandOver
from k2conn.tools.certify.group_faults import KINDS, GroupFaults, Happened
from k2conn.tools.certify.group_member import TestedMember
from k2conn.tools.mock.tape import connector_file

GROUP = "certify"
SETTLE = 12.0
"""Seconds between the last fault and the end, for holes to be found and filled."""
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
    kinds: Sequence[str] = KINDS
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

    def holes(self) -> dict[str, list[int]]:
        """Milliseconds in which nobody committed anything of a slot that went to another process, by what had happened
        since the last commit: a fault, or the end of one, or several of them; else it moved as planned.
        """
        found: dict[str, list[int]] = {}
        for one in self.handovers:
            since = one.at_ms - one.hole_ms - COMMIT_SLACK_MS
            kinds = [each.kind for each in self.happened if since <= each.at_ms <= one.at_ms]
            kinds += ["after a fault" for each in self.happened if since <= each.at_ms + each.lasted_ms <= one.at_ms]
            kind = "planned" if not kinds else kinds[0] if len(kinds) == 1 else "several"
            found.setdefault(kind, []).append(one.hole_ms)
        return {kind: sorted(holes) for kind, holes in sorted(found.items())}


COMMIT_SLACK_MS = 1000


def percentile(values: Sequence[int], share: float) -> int:
    """Of sorted values."""
    return values[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


async def prove(given: ProofSettings) -> ExactlyOnceProof:
    """Runs it all."""
    began, proof = monotonic(), ExactlyOnceProof()
    async with venue(given) as port:
        books = CommittedBooks(given.kafka, TRADES, GAPS, STATE)
        read_all = asyncio.Event()
        reading = asyncio.create_task(books.read(read_all))
        members = await tested_members(given, port)
        keeping: list[asyncio.Task[None]] = []
        try:
            await asyncio.gather(*(one.start() for one in members))
            keeping = [asyncio.create_task(one.keep()) for one in members]
            await _until(lambda: len(books.symbols) == given.symbols, reading)
            faults = GroupFaults(members, given.faults, given.seconds, given.seed, given.kinds)
            await faults.run()
            await _at_rest(books, reading)
            await asyncio.sleep(SETTLE)
            proof.happened = sorted(faults.happened, key=lambda one: one.at_ms)
            for task in keeping:
                task.cancel()
            proof.problems += [f"{one.instance} ended by itself: see {one.log}" for one in members if not one.running]
            await asyncio.gather(*(one.stop() for one in members if one.running))
            proof.problems += [
                f"{one.instance} ended with {code}: see {one.log}" for one in members for code in one.codes
                if code not in (0, -signal.SIGTERM)  # that was before it had begun anything
            ]
            read_all.set()
            await reading
        finally:
            for task in (reading, *keeping):
                task.cancel()
            await asyncio.gather(reading, *keeping, *(one.close() for one in members), return_exceptions=True)
    judge(books, given, proof)
    proof.seconds = monotonic() - began
    return proof


def judge(books: CommittedBooks, given: ProofSettings, proof: ExactlyOnceProof) -> None:
    """Notes in the proof what the reader found, and all that contradicts it."""
    proof.handovers, proof.gaps = books.handovers, len(books.gap_ids)
    if books.gaps_twice:
        proof.problems.append(f"{books.gaps_twice} records of gaps are there more than once")
    for symbol, book in sorted(books.symbols.items()):
        proof.records += book.count
        proof.fetched += book.fetched
        missing, named = set(book.missing()), books.named.get(symbol, set())
        proof.missing += len(missing)
        for what, numbers in (
            ("more than once", book.twice), ("out of order", book.out_of_order),
            ("missing and named by no gap", sorted(missing - named)),
        ):
            if numbers:
                proof.problems.append(f"{symbol}: {len(numbers)} numbers {what}: {numbers[:SHOWN]}")
    if len(books.symbols) < given.symbols:
        proof.problems.append(f"trades of {len(books.symbols)} symbols only, of {given.symbols}")


@asynccontextmanager
async def venue(given: ProofSettings) -> AsyncIterator[int]:
    """The venue of a proof, a process of its own; its port."""
    process = await asyncio.create_subprocess_exec(
        *child_command(["-c", VENUE, str(given.rate / given.symbols)]), stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline())
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


async def _at_rest(books: CommittedBooks, reading: asyncio.Task[None]) -> None:
    """Until every symbol has gone on from where the furthest was at the last fault's end: all are counted alike."""
    furthest = max(book.last for book in books.symbols.values())
    await _until(lambda: min(book.last for book in books.symbols.values()) > furthest, reading, "to go on")


async def _until(condition: Callable[[], bool], reading: asyncio.Task[None], what: str = "to publish") -> None:
    end = monotonic() + START_WITHIN
    while not condition():
        if reading.done():
            reading.result()
        if monotonic() > end:
            raise TimeoutError(f"the group did not begin {what} in {START_WITHIN:.0f} s")
        await asyncio.sleep(0.2)
