"""A process ends at once, with its exit code and its last words, where a thread of it still waits for somebody."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

PROGRAM = """
import atexit, os, sys, threading, time

class Kept:
    def __del__(self, write=os.write):
        write(1, b"taken apart")

kept = Kept()
if {waiting}:
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
sys.argv = ["k2conn", {word!r}]
from k2conn import __main__ as entry

def command(run=entry.command):
    atexit.register(print, "last words")
    run()

entry.command = command
entry.main()
"""


@pytest.mark.parametrize(("word", "code", "said"), [("--version", 0, "k2conn 0."), ("--nonsense", 2, "")])
@pytest.mark.parametrize("waiting", [False, True])
def test_who_waits_is_not_waited_for(waiting: bool, word: str, code: int, said: str) -> None:
    began = time.monotonic()
    program = PROGRAM.format(waiting=waiting, word=word)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code
    assert said in done.stdout
    assert "last words" in done.stdout
    assert ("taken apart" in done.stdout) is not waiting
    assert time.monotonic() - began < 100
