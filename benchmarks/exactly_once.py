"""The proof of exactly once on a cluster of its own: brokers and a registry start, `k2conn certify --exactly-once`
runs on them, and what it found is printed as JSON, with what each part took of the processor.

Example, what the proof is meant to hold for (20 minutes on a machine with nothing else to do):

    python -m benchmarks.exactly_once --members 5 --rate 10000 --duration 20m --faults 60
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.cluster import cluster


def proven(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One run."""
    report = folder / "report.json"
    with cluster(folder, arguments.brokers, arguments.heap) as servers:
        command = [
            sys.executable, "-m", "k2conn", "certify", "--exactly-once", "--kafka", servers.bootstrap, "--registry",
            servers.registry.url, "--folder", str(folder / "members"), "--report", str(report),
            "--members", str(arguments.members), "--instruments", str(arguments.symbols),
            "--rate", str(arguments.rate / arguments.symbols), "--slots", str(arguments.slots),
            "--duration", arguments.duration, "--times", str(arguments.faults), "--seed", str(arguments.seed),
        ]
        spent, began = servers.cpu(), time.monotonic()
        variables = {**servers.variables(), "K2_KAFKA_PARTITIONS": str(arguments.partitions),
                     "K2_KAFKA_COMMIT_MS": str(arguments.commit_ms)}
        ended = subprocess.run(command, env=variables, cwd=folder, check=False)
        seconds, spent = time.monotonic() - began, servers.cpu() - spent
    if not report.exists():
        return {"passed": False, "exit_code": ended.returncode}
    found: dict[str, Any] = json.loads(report.read_text())
    cpu = {**found["cpu_seconds"], "brokers": round(spent, 2)}
    del found["happened"]
    found["cores"] = {who: round(took / seconds, 3) for who, took in cpu.items()}
    found["cpu_seconds"] = cpu
    found["us_per_trade"] = {who: round(took / max(1, found["records"]) * 1e6, 1) for who, took in cpu.items()}
    return {"asked": {key: str(value) for key, value in vars(arguments).items() if key != "folder"}, **found}


def main() -> int:
    """Prints what was found; 1 where it is no proof."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", type=int, default=2)
    parser.add_argument("--heap", type=int, default=256, help="MiB of Java's memory for each broker")
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--symbols", type=int, default=40)
    parser.add_argument("--slots", type=int, default=20)
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--rate", type=float, default=1000.0, help="trades a second, of all symbols together")
    parser.add_argument("--commit-ms", type=int, default=500)
    parser.add_argument("--duration", default="3m")
    parser.add_argument("--faults", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keeps the members' logs there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        found = proven(arguments, folder.resolve())
    print(json.dumps(found))
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
