"""The venue whose trades go on while nobody listens, as tests start it."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from k2conn.tools.mock.tape import connector_file
from tests.support.small_venue import venue_process

SYMBOLS = ("BTC-USD", "ETH-USD")
PROGRAM = """
import sys
sys.path.insert(0, %r)
from k2conn.tools.mock.tape import main

main()
"""


@contextmanager
def tape_venue(rate: float) -> Iterator[int]:
    """The port of a venue in a process of its own."""
    with venue_process(PROGRAM, str(rate)) as port:
        yield port


def latest(port: int) -> int:
    """The number of each symbol's latest trade, now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/last", timeout=10) as answer:
        return int(answer.read())


__all__ = ["SYMBOLS", "connector_file", "latest", "tape_venue"]
