"""`python -m benchmarks [NAME...] [--quick]`: measures, prints, and writes benchmarks/results/NAME.json.

Without a name all are run in order, and docs/performance.md is made of the results (`report` does only that).
`python -m benchmarks hostile-soak` measures nothing: see `benchmarks.hostile.soak`.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import signal
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.figures import progress
from k2conn import __version__
from k2conn.native import Mapper

NAMES = (
    "startup", "stages", "connectors", "endtoend", "offered", "latency", "growth", "scaling", "memory", "postgres",
    "features", "lake", "consumer", "candles", "load", "api", "api_lake", "profiling",
)
SIZED = ("api", "api_lake", "lake", "load", "postgres")
"""Those whose number of rows can be said."""
KEPT = ("api_lake",)
"""Those whose table can be kept for another time."""
REPORT = "report"
SOAK = "hostile-soak"


def main() -> int:
    """Runs the named benchmarks, or all; 1 where one could not be measured."""
    if sys.argv[1:2] == [SOAK]:
        return int(import_module("benchmarks.hostile.soak").main(sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=f"of {', '.join((*NAMES, REPORT))}; all where none is named")
    parser.add_argument("--quick", action="store_true", help="short: to see that it works, not to be quoted or kept")
    parser.add_argument("--rows", type=int, metavar="COUNT",
                        help=f"of {', '.join(SIZED)}: rows in the table, or into it")
    parser.add_argument("--data", type=Path, metavar="FOLDER",
                        help=f"of {', '.join(KEPT)}: the table is kept there, and one that is there is asked again")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="results and page go there, quick ones too")
    given = parser.parse_args()
    names = given.names or [*NAMES, REPORT]
    for name in names:
        if name not in (*NAMES, REPORT):
            parser.error(f"there is no benchmark '{name}'; known: {', '.join((*NAMES, REPORT))}")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # as Ctrl-C: the children are ended
    more = {} if given.rows is None else {"rows": given.rows}
    data = {} if given.data is None else {"data": given.data}
    own = {name: (more if name in SIZED else {}) | (data if name in KEPT else {}) for name in names}
    failed = [name for name in names if not _one(name, given.quick, given.output, own[name])]
    if failed:
        progress(f"not measured: {', '.join(failed)}")
    return 1 if failed else 0


def _one(name: str, quick: bool, output: Path | None, more: dict[str, Any]) -> bool:
    """One benchmark, or the report; False where it failed, the others being none the worse."""
    if name == REPORT:
        if not quick or output:  # quick figures are not kept, so there is nothing new to report
            files = report.write(*((output, output) if output else ()))
            progress(f"wrote {files[0]} and {len(files) - 1} plots")
        return True
    try:
        found = _measured(name, quick, more)
    except Exception:  # whatever it is, it is shown, and the exit code tells
        traceback.print_exc()
        return False
    text = json.dumps(found, indent=1)
    print(text, flush=True)
    folder = output or (None if quick else report.RESULTS)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return True


def _measured(name: str, quick: bool, more: dict[str, Any]) -> dict[str, Any]:
    module = import_module(f"benchmarks.{name}")
    start, began, load = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.monotonic(), os.getloadavg()[0]
    found = module.run(quick, **more)
    return {
        "benchmark": name, "at": start, "took_s": round(time.monotonic() - began), "quick": quick,
        "cores": os.cpu_count(), "load": round(load, 2), "python": platform.python_version(), "version": __version__,
        "native": Mapper is not None, "machine": _machine(), "method": inspect.getdoc(module), "result": found,
    }


def _machine() -> dict[str, Any]:
    """What it was measured on."""
    processors, sizes = Path("/proc/cpuinfo"), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    models = [line.partition(":")[2].strip() for line in processors.read_text().splitlines()
              if line.startswith("model name")] if processors.exists() else []
    return {"cpu": models[0] if models else platform.processor() or platform.machine(), "cores": os.cpu_count(),
            "memory_gb": round(sizes / 2**30, 1), "system": f"{platform.system()} {platform.release()}"}


if __name__ == "__main__":
    sys.exit(main())
