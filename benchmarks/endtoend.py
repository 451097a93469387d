"""From a loopback WebSocket to an acknowledged batch in a real broker: CPU of the program's process alone, per trade.

k2conn, its own interpretive path, other programs and one in C that does nothing else get the same Binance aggTrade
frames, as fast as each takes them, into the same broker. Rounds take turns, so that what the machine does beside meets
all alike; ratios are taken within a round. Start-up is left out, topics stand beforehand. Every record is read back:
count, order of each symbol, price, quantity and side are the feeder's, or the program counts as failed.

Peers are built on first use (see `benchmarks.peers.builds`); one that cannot be is named, with the reason.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import at_least, below, progress
from benchmarks.peers.programs import NATIVE, SYMBOLS, Program, Round, programs
from benchmarks.peers.proof import prove
from benchmarks.peers.topics import Topics, Wrong
from benchmarks.processes import Ended, Feeding, Process
from tests.servers import Broker, Registry

ROUNDS = 5
OURS = "k2conn"
CPU_TARGET = 2.5
"""Microseconds a trade; k2conn is to need less."""

RATIO_TARGETS = {"cryptofeed": 70.0, "Redpanda Connect": 25.0, "k2conn, interpreted": 4.0}
"""How many times k2conn's CPU a trade costs the others, at least."""

NATIVE_TARGET = 2.5
"""How many times the native program's CPU a trade costs k2conn, at most."""

_SETTLE = 0.5
"""Seconds after the last record's arrival in the broker, for the acknowledgement to be worked off."""

Times = dict[str, float]


def run(quick: bool) -> dict[str, Any]:
    """Medians of ROUNDS rounds; quick: one short one."""
    found, absent = programs()
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Broker(folder / "kafka") as broker, Registry(folder / "registry") as registry:
            place = broker.bootstrap, registry.url
            numbers = range(1 if quick else ROUNDS)
            rounds = [_turns(folder / str(at), place, found, quick, failed) for at in numbers]
    return result(found, rounds, {**absent, **failed}, quick)


def result(
    found: Sequence[Program], rounds: Sequence[Mapping[str, Times]], missing: Mapping[str, str], quick: bool
) -> dict[str, Any]:
    """What was measured, program by program, and the targets."""
    rows = [_row(program, rounds, quick) for program in found if program.name not in missing]
    rows += [{"name": name, "outcome": f"not measured: {why}"} for name, why in missing.items()]
    ours = rows[0]
    return {
        "offered": "Binance aggTrade frames of 10 symbols on one loopback WebSocket, as fast as they are taken",
        "checked": "every record read back: count, order by symbol, price, quantity, side",
        "rounds": len(rounds),
        "cpu_us_per_trade": ours["cpu_us"],
        "trades_per_second": ours["rate"],
        "programs": rows,
        "targets": _targets({row["name"]: row for row in rows}),
    }


def _row(program: Program, rounds: Sequence[Mapping[str, Times]], quick: bool) -> dict[str, Any]:
    """One program's medians; ``ratio`` is its CPU by k2conn's of the same round."""
    own = [one[program.name] for one in rounds]
    ratios = [one[program.name]["cpu_us"] / one[OURS]["cpu_us"] for one in rounds]
    return {
        "name": program.name,
        "outcome": "measured",
        "version": program.version,
        "note": program.note,
        "rounds": [{key: round(value, 2) for key, value in one.items()} for one in own],
        "frames": _frames(program, quick),
        "cpu_us": round(statistics.median(one["cpu_us"] for one in own), 2),
        "rate": round(statistics.median(one["rate"] for one in own)),
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
    }


def _targets(rows: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was wanted; a program that was not measured has met nothing."""
    targets = [below("k2conn, CPU a trade", CPU_TARGET, rows[OURS]["cpu_us"], "us")]
    for name, want in RATIO_TARGETS.items():
        targets.append(at_least(f"{name}, CPU a trade beside k2conn's", want, rows[name].get("ratio"), "times"))
    native = rows[NATIVE].get("ratio")
    beside = round(1 / native, 2) if native else None
    return [*targets, below(f"k2conn, CPU a trade beside the {NATIVE}'s", NATIVE_TARGET, beside, "times")]


def _turns(
    folder: Path, place: tuple[str, str], found: Sequence[Program], quick: bool, failed: dict[str, str]
) -> dict[str, Times]:
    """One round: each program once. A peer that fails is out of this and later rounds; k2conn must not fail."""
    times: dict[str, Times] = {}
    for at, program in enumerate(found):
        if program.name in failed:
            continue
        own = folder / str(at)
        own.mkdir(parents=True)
        try:
            times[program.name] = _turn(own, place, program, _frames(program, quick))
        except (Ended, Wrong) as error:
            if program.name == OURS:
                raise
            failed[program.name] = str(error)
            progress(f"{program.name}: {error}")
    return times


def _turn(folder: Path, place: tuple[str, str], program: Program, frames: int) -> Times:
    bootstrap, registry = place
    topic = f"{folder.parent.name}.{folder.name}"
    topics = Topics(bootstrap, program.topics(topic))
    feeder = Feeding(folder, "binance", symbols=SYMBOLS, frames=frames)
    process = program.start(Round(folder, topic, f"ws://127.0.0.1:{feeder.port}", bootstrap, registry))
    try:
        connected(feeder, process, program.ready)
        process.quiet()
        before, start = process.cpu, time.perf_counter()
        feeder.tell(f"go full {frames}")
        end = topics.wait(frames, process)
        time.sleep(_SETTLE)
        spent = process.cpu - before
        if process.children:
            raise Wrong(f"{process.children} child processes, whose CPU is not counted")
    finally:
        process.stop()
        feeder.stop()
    try:
        prove(topics.values(), program.read, frames, SYMBOLS)
    finally:
        topics.close()
    times = {"cpu_us": spent / frames * 1e6, "rate": frames / (end - start)}
    progress(f"{program.name}: {times['cpu_us']:.1f} us of CPU a trade, {times['rate']:,.0f} trades/s")
    return times


def connected(feeder: Feeding, process: Process, ready: str) -> None:
    try:
        feeder.hear(ready)
    except Ended:
        raise Wrong(f"it did not connect; its log ends: {process.tail(1)!r}") from None


def _frames(program: Program, quick: bool) -> int:
    return program.quick_frames if quick else program.frames
