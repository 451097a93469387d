"""A start looks for garbage seldom, a run as Python does by itself: in a process of its own, whose they are."""

from __future__ import annotations

import subprocess
import sys

LOOKS = """
import gc, sys
usual = gc.get_threshold()
from k2conn.cli import event_loop, main
found = []

async def looking():
    found.append((gc.get_threshold() == usual, gc.get_freeze_count() > 10_000))

sys.argv = ["k2conn", "nosuch"]
try:
    main()
except SystemExit as ended:
    assert ended.code == 2
assert gc.get_threshold()[0] > usual[0]
event_loop.on_event_loop(looking())
assert found == [(True, True)], found
"""


def test_a_start_looks_seldom_and_a_run_as_usual() -> None:
    done = subprocess.run([sys.executable, "-c", LOOKS], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
