"""The child process that runs a target with mutations (see `mutated`): an exception, too much time or memory, or a
signal ends it, and then the input that it was at is a finding.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from itertools import count as numbers
from pathlib import Path
from typing import Any

sys.path[0] = os.environ["FUZZ_ROOT"]  # not this folder, whose files have common names

from tests.fuzz.bounds import Bounds  # noqa: E402 (only now it can be found)
from tests.fuzz.engines.current_input import CurrentInput  # noqa: E402
from tests.fuzz.engines.mutations import mutations  # noqa: E402

LOOKS = 64
"""Inputs between two looks at the clock."""

PATIENCE = 5
"""How many times the time that an input may take of the processor may pass on the clock: others may keep it waiting,
but one that itself waits for something that never comes is a finding, too."""


def main(order: dict[str, Any]) -> None:
    """Runs until the bounds are reached."""
    bounds, most = Bounds(*order["bounds"]), order["largest"]
    resource.setrlimit(resource.RLIMIT_AS, (bounds.memory << 20,) * 2)
    module = importlib.import_module(order["module"])
    function: Callable[[bytes], None] = module.target
    function(b"")  # what is made once is not counted as an input's time
    inputs = sorted({path.read_bytes()[:most] for path in Path(order["corpus"]).iterdir()})
    end = time.monotonic() + bounds.seconds if bounds.seconds else float("inf")
    made = mutations(inputs, module.WORDS, most, order["seed"])
    with CurrentInput(Path(order["current"])) as current:
        for number in numbers(1) if not bounds.executions else range(1, bounds.executions + 1):
            data = next(made)
            current.write(number, data)
            _allow(bounds.timeout)
            function(data)
            if number % LOOKS == 0 and time.monotonic() > end:
                break
        _allow(0)


def _allow(seconds: int) -> None:
    """Let the next input take so long; nobody hears the signal after it, which therefore ends the process."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds * PATIENCE)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
