"""What a record of default streams costs beside the reference, as a JSON list; a process of its own, see `main`."""

from __future__ import annotations

import json

from benchmarks.connectors import REFERENCE, cases_of, measured
from k2conn.cli.loading import load, shipped


def shares(frames: int) -> list[float]:
    """Of each stream that every second connector runs by default, as many frames as told: what makes all streams slow,
    or most, makes these slow. The reference is measured again for each connector, so that a machine with less time for
    this process has less for both.
    """
    reference = next(case for case in cases_of(load(REFERENCE[0])) if case.stream.name == REFERENCE[1])
    found = []
    for path in list(shipped())[::2]:
        plan = load(str(path))  # one at a time: before each stream is measured, all that is kept is looked through
        cases = [case for case in cases_of(plan) if case.stream.default] if not plan.reads_files else []
        base = measured(reference, frames, 0)
        assert base is not None
        found += [one.us / base.us for case in cases if (one := measured(case, frames, 1)) is not None]
    return found


def main(frames: int) -> None:
    """In a process with little in it: before each stream the garbage collector looks through all that there is, and
    what a run of the tests has collected takes it half a second each time.
    """
    print(json.dumps(shares(frames)))


if __name__ == "__main__":
    main(100)
