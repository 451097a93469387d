"""The child process that runs a target with mutations (see `mutated`): an exception, too much time or memory, or a
signal ends it, and then the input that it was at is a finding.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from itertools import count as numbers
from pathlib import Path
from typing import Any

sys.path[0] = os.environ["FUZZ_ROOT"]  # not this folder, whose files have common names

from tests.fuzz.bounds import Bounds  # noqa: E402 (only now it can be found)
from tests.fuzz.engines.current_input import CurrentInput  # noqa: E402
from tests.fuzz.engines.mutations import mutations  # noqa: E402
from tests.fuzz.target import Target  # noqa: E402

LOOKS = 64
"""Inputs between two looks at the clock."""


def main(order: dict[str, Any]) -> None:
    """Runs until the bounds are reached."""
    bounds, target = Bounds(*order["bounds"]), Target(order["target"], "python")
    resource.setrlimit(resource.RLIMIT_AS, (bounds.memory << 20,) * 2)
    function = target.function()
    function(b"")  # what is made once is not counted as an input's time
    grown = (path.read_bytes() for path in Path(order["corpus"]).glob("*"))
    inputs = sorted({data[: target.largest] for data in (b"\0", *target.seeds(), *target.kept(), *grown)})
    end = time.monotonic() + bounds.seconds if bounds.seconds else float("inf")
    made = mutations(inputs, target.words(), target.largest, order["seed"])
    with CurrentInput(Path(order["current"])) as current:
        for number in numbers(1) if not bounds.executions else range(1, bounds.executions + 1):
            data = next(made)
            current.write(number, data)
            signal.setitimer(signal.ITIMER_REAL, bounds.timeout)  # nobody hears it: it ends the process
            function(data)
            if number % LOOKS == 0 and time.monotonic() > end:
                break
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
