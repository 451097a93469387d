"""Runs a target with hypothesis: no coverage guides it, but it is always there. Inputs are random bytes, and seeds and
kept inputs after some changes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.bounds import Bounds
from tests.fuzz.outcome import Outcome, findings_folder, shown
from tests.fuzz.target import Target, file_name

_ROUND = 1000
"""Inputs between two looks at the clock."""


@st.composite
def changed(draw: st.DrawFn, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """A seed after some changes."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        new = draw(st.one_of(st.sampled_from(words), st.binary(max_size=4)))
        data = data[:at] + new + data[at + draw(st.sampled_from((0, 0, 1, len(new), 8))) :]
    return data


def inputs(target: Target, most: int = 4096) -> st.SearchStrategy[bytes]:
    """What a target is tried with."""
    seeds = [*target.seeds(), *target.kept()]
    return st.one_of(changed([seed[:most] for seed in seeds], target.words()), st.binary(max_size=200))


def run(target: Target, bounds: Bounds, derandomize: bool = False) -> Outcome:
    """One run; it ends with the first finding, which is made as small as it can be."""
    function, started, count = target.function(), time.monotonic(), 0
    strategy, last = inputs(target, target.largest), b""
    bound = bounds.executions or (1 << 62)
    while count < bound and not (bounds.seconds and time.monotonic() - started >= bounds.seconds):

        @settings(
            max_examples=min(_ROUND, bound - count),
            deadline=None,
            database=None,
            derandomize=derandomize,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )
        @given(strategy)
        def round_(data: bytes) -> None:
            nonlocal count, last
            count, last = count + 1, data
            function(data)

        try:
            round_()
        except Exception:  # whatever it is, it is a finding: the last input is the smallest that shows it
            path = findings_folder(target.name) / f"crash-{file_name(last)}"
            path.write_bytes(last)
            return Outcome(target.name, "hypothesis", count, time.monotonic() - started, [shown(path)])
    return Outcome(target.name, "hypothesis", count, time.monotonic() - started, [])
