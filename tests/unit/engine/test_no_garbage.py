"""Frames, good ones and bad ones, leave nothing that only the garbage collector finds: `k2conn.cli.garbage` has it look
seldom, and what waits for it would be as large as the frames are.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from benchmarks.stages import _intake
from benchmarks.tapes import BinanceTape
from k2conn.cli.loading import load
from k2conn.engine.frame_pipeline import FramePipeline

TAPE = BinanceTape(10, 1)
GOOD = TAPE.frame(1).decode()
FRAMES = {
    "a trade": GOOD,
    "no JSON": "x" * 100_000,
    "too deep": "[" * 10_000,
    "no price": GOOD.replace('"p":"', '"p":"x'),
    "no symbol": GOOD.replace("BTCUSDT", "").replace("ETHUSDT", ""),
    "too many digits": GOOD.replace('"a":3', '"a":3' + "9" * 5_000),
    "not text": GOOD.replace("aggTrade", "\\ud800"),
    "something else": '{"result": null, "id": 5}',
    "an error": '{"error": {"code": 2, "msg": "Invalid request"}, "id": 1}',
}


@pytest.fixture
def pipeline() -> Iterator[FramePipeline]:
    found = _intake(load("binance"), TAPE)
    found.receive([GOOD], 1.0, 1)
    gc.collect()
    gc.disable()
    yield found
    gc.enable()


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_leaves_no_garbage(kind: str, pipeline: FramePipeline) -> None:
    pipeline.receive([FRAMES[kind]], 1.0, 2)
    gc.collect()
    for number in range(10):
        pipeline.receive([FRAMES[kind]], 1.0, 3 + number)
    assert gc.collect() == 0


def test_it_would_be_seen(pipeline: FramePipeline) -> None:
    ring: list[object] = []
    ring.append(ring)
    del ring
    assert gc.collect() > 0
