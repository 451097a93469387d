"""A guard against big regressions: ratios of ways through the same frames, taken in turns in one process.

Absolute times say nothing on a shared machine; the interpretive reference path is the measure. What is asked for here
is well below what is measured on a quiet machine (docs/performance.md), so that only a big change fails; and it is
the processor's time that is measured, so that others may run meanwhile.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from benchmarks.tapes import BinanceTape, KrakenTape, Tape
from k2conn import native
from k2conn.cli.loading import find
from k2conn.compiler.compiler import load_plan
from k2conn.compiler.expressions.expressions import reference
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.plan import Plan
from tests.paths import ROOT
from tests.support.plans import WORLD
from tests.support.tries import tried

ROUNDS = 9
TRADES = 1000
WALL = 1_700_000_000_000_000


def way(plan: Plan, tape: Tape, frames: list[str]) -> Callable[[], float]:
    """One round's seconds of CPU."""
    symbols = [found for name in tape.symbols if (found := plan.symbols.resolve(name))]

    def one() -> float:
        pipeline = FramePipeline(ConnectorState(plan, [tape.stream]), plan.connections[0], symbols, WORLD)
        pipeline.session.open(0.0, 0)
        start = time.process_time()
        found, _ = pipeline.receive(frames, 1.0, WALL)
        spent = time.process_time() - start
        assert len(found) == len(frames) * tape.trades
        return spent

    return one


def ratio(slow: Callable[[], float], quick: Callable[[], float]) -> float:
    """How much slower the one is: each one's best of several rounds in turns."""
    rounds = [(slow(), quick()) for _ in range(ROUNDS)]
    return min(one for one, _ in rounds) / min(one for _, one in rounds)


@pytest.mark.parametrize("kind", [BinanceTape, KrakenTape])
@pytest.mark.parametrize("in_c", [False, True], ids=["python", "c"])
def test_compiled_against_interpreted(monkeypatch: pytest.MonkeyPatch, kind: type[Tape], in_c: bool) -> None:
    if in_c and native.Mapper is None:
        pytest.skip("k2conn/native is not built here (no C compiler)")
    if not in_c:
        monkeypatch.setattr(native, "Mapper", None)
    tape = kind(10, WALL // 1000)
    frames = [tape.frame(number).decode() for number in range(TRADES // tape.trades)]
    path = find(tape.venue)
    with reference():
        slow = way(load_plan(path), tape, frames)
    quick, asked = way(load_plan(path), tape, frames), 2.0 if in_c else 1.3
    found = tried(lambda: ratio(slow, quick), lambda one: one > asked)
    assert found[-1] > asked, f"the compiled way is only {found} times as quick as the interpreted one"


@pytest.mark.deploy
def test_the_median_stream_takes_little_more_than_the_quickest() -> None:
    """Of half of the streams a record costs less than 1.5 times what a Binance trade does.

    Measured were 1.1 times. One stream that became slow does not show here, all that became slow do.
    """
    if native.Mapper is None:
        pytest.skip("k2conn/native is not built here (no C compiler)")

    def median() -> float:
        done = subprocess.run([sys.executable, "-m", "tests.support.stream_costs"], cwd=ROOT, check=True,
                              capture_output=True, text=True)
        shares = json.loads(done.stdout)
        assert len(shares) > 50
        return statistics.median(shares)

    found = tried(median, lambda one: one < 1.5)
    assert found[-1] < 1.5, f"the median stream costs {found} times what the reference does"
