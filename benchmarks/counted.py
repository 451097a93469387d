"""`k2conn run`, counting what it works in: `python -m benchmarks.counted FILE run ...`.

The engine is the one that ships; only the functions that take a read's frames and hear of an acknowledged batch are
wrapped, by one addition each. FILE holds both numbers, as JSON, at the end: reads of sockets that brought frames, and
batches that were acknowledged.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import k2conn.runner
from k2conn.envelope import Envelope
from k2conn.runner import Runner
from k2conn.sinks import Reject, Settle, Sink
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import make_spooled
from k2conn.transports import OnFrames
from k2conn.transports.websocket.reader import Reader

_counts: Counter[str] = Counter()


def main() -> None:
    """Runs the command line in a runner that is counted."""
    file = Path(sys.argv.pop(1))

    def open_sink(settings: SinkSettings, settle: Settle, reject: Reject) -> Sink:
        def settled(envelopes: Sequence[Envelope]) -> None:
            _counts["batches"] += 1
            settle(envelopes)

        return make_spooled(settings, settled, reject)

    class Counted(Runner):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options, open_sink=open_sink)

    begin = Reader.begin

    def counted(self: Reader, on_frames: OnFrames, relief: Callable[[], Awaitable[None]], limit: int) -> None:
        def taken(frames: Sequence[str | bytes]) -> bool:
            _counts["reads"] += 1
            return on_frames(frames)

        begin(self, taken, relief, limit)

    Reader.begin = counted  # type: ignore[method-assign]
    k2conn.runner.Runner = Counted  # type: ignore[misc]
    from k2conn.cli import main as command  # only now: it takes the runner from there

    try:
        command()
    finally:
        file.write_text(json.dumps(_counts), encoding="utf-8")


if __name__ == "__main__":
    main()
