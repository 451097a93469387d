"""`python -m benchmarks [NAME...] [--quick]`: measures, prints, and writes benchmarks/results/NAME.json."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib import import_module
from pathlib import Path

NAMES = ("startup", "stages", "endtoend")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Runs the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; all where none is named")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to see that it works, not to be quoted")
    given = parser.parse_args()
    for name in given.names or NAMES:
        if name not in NAMES:
            parser.error(f"there is no benchmark '{name}'; known: {', '.join(NAMES)}")
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        found = import_module(f"benchmarks.{name}").run(given.quick)
        result = {"benchmark": name, "at": start, "quick": given.quick, "cores": os.cpu_count(),
                  "load": os.getloadavg()[0], "python": platform.python_version(), "result": found}
        text = json.dumps(result, indent=1)
        print(text, flush=True)
        if not given.quick:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


main()
