"""`k2conn run` with an observer of acknowledgements: `python -m benchmarks.observed FILE run ...`.

The engine is the one that ships; only the function that its sink tells of acknowledged batches is wrapped. FILE holds,
for each record: the moment of its acknowledgement in microseconds since 1970 (8 bytes, little-endian), the number of
bytes of its Avro body (4 bytes), the body. It is written at the end, from memory.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import k2conn.runner
from k2conn.envelope import Envelope
from k2conn.runner import Runner
from k2conn.sinks import Reject, Settle, Sink
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import make_spooled

_HEAD = struct.Struct("<qi")


class Observer:
    """Keeps each batch's moment and its records' bytes: nothing is decoded while time is taken."""

    def __init__(self) -> None:
        self._batches: list[tuple[int, int]] = []
        self._bodies: list[bytes] = []

    def sink(self, settings: SinkSettings, settle: Settle, reject: Reject) -> Sink:
        """The sink that `k2conn run` uses, observed."""

        def settled(envelopes: Sequence[Envelope]) -> None:
            settle(envelopes)
            self._batches.append((time.time_ns() // 1000, len(envelopes)))
            self._bodies += [envelope.value for envelope in envelopes]

        return make_spooled(settings, settled, reject)

    def write(self, file: Path) -> None:
        """What was seen."""
        bodies = iter(self._bodies)
        with file.open("wb") as output:
            for moment, count in self._batches:
                for _ in range(count):
                    body = next(bodies)
                    output.write(_HEAD.pack(moment, len(body)) + body)


def acknowledged(file: Path) -> Iterator[tuple[int, bytes]]:
    """The moment and the Avro body of each record, in the order of acknowledgement."""
    data, at = file.read_bytes(), 0
    while at < len(data):
        moment, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size + size
        yield moment, data[at - size : at]


def main() -> None:
    """Runs the command line in an observed runner."""
    file, observer = Path(sys.argv.pop(1)), Observer()

    class Observed(Runner):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options, open_sink=observer.sink)

    k2conn.runner.Runner = Observed  # type: ignore[misc]
    from k2conn.cli import main as command  # only now: it takes the runner from there

    try:
        command()
    finally:
        observer.write(file)


if __name__ == "__main__":
    main()
