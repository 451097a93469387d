"""The heap gives back what large frames took."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from pathlib import Path
from k2conn.cli.heap import give_back_large_pieces

if sys.argv[1] == "told":
    assert give_back_large_pieces()

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

large = bytes(20 << 20)
del large  # which glibc takes for a sign to keep such pieces
before, small = resident(), []
for _ in range(6):
    large = bytearray(b"x") * (8 << 20)
    small.append(bytes(3000))  # lies behind it
    later = bytearray(b"x") * (8 << 20)
    small.append(bytes(3000))
    del large, later
print(resident() - before)
"""


def kept(how: str) -> int:
    """Bytes that a process still has of 16 MiB that it freed."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_large_pieces_go_back_to_the_system() -> None:
    assert kept("told") < 1 << 20
    assert kept("not told") > 4 << 20, "glibc gives them back by itself: then the telling is of no use"
