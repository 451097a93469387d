"""A start looks for garbage seldom, a run somewhat more often: in a process of its own, whose they are."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOOKS = """
import gc, sys
usual = gc.get_threshold()[0]
from k2conn.cli import event_loop, main
found = []

async def looking():
    found.extend((gc.get_threshold()[0], gc.get_freeze_count() > 10_000))

sys.argv = ["k2conn", "nosuch"]
try:
    main()
except SystemExit as ended:
    assert ended.code == 2
start = gc.get_threshold()[0]
own = int("OWN")
if own:
    gc.set_threshold(own, 20, 20)
event_loop.on_event_loop(looking)
assert found[1], found
assert found[0] == own or (not own and usual < found[0] < start), (usual, start, found)
"""


@pytest.mark.parametrize("own", [0, 200_000], ids=["a run", "a command that has said how often"])
def test_a_start_looks_seldom_and_a_run_more_often(own: int) -> None:
    text = LOOKS.replace("OWN", str(own))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
