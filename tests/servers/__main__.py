"""`make servers`: a Kafka broker and a schema registry on this machine, until Ctrl-C.

Example:

    python -m tests.servers            # starts both and prints their addresses
    python -m tests.servers --fetch    # only downloads what they need, and makes them quick to start
    python -m tests.servers --check    # only says what is missing on this machine
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from . import Broker, Failed, Missing, Registry
from .broker import keep_broker_classes
from .downloads import cache_folder, downloaded
from .prerequisites import java, mvn, postgres
from .registry import keep_registry_classes


def main() -> int:
    """Run the command; exit code 69 (unavailable) where something is missing or a server is gone."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.servers", description="Kafka and a schema registry."
    )
    parser.add_argument("--fetch", action="store_true", help="only download the servers, then end")
    parser.add_argument("--check", action="store_true", help="only look for Java and Maven, then end")
    parser.add_argument("--check-postgres", action="store_true", help="only look for PostgreSQL, then end")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell's background job is born ignoring it
        signal.signal(number, _interrupt)
    try:
        if arguments.check:
            return check()
        if arguments.check_postgres:
            postgres()
            return 0
        if arguments.fetch:
            return fetch()
        with tempfile.TemporaryDirectory(prefix="k2conn-servers-") as folder:
            return serve(Path(folder))
    except (Missing, Failed) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 69
    except KeyboardInterrupt:
        print("\nstopped", flush=True)
        return 0


def check() -> int:
    """Name what is missing; Maven is not where the download is there already."""
    java()
    if not downloaded():
        mvn()
    return 0


def fetch() -> int:
    """Download both servers, and make them quick to start."""
    check()
    keep_broker_classes()
    keep_registry_classes()
    print(f"the servers are in {cache_folder()}")
    return 0


def serve(folder: Path) -> int:
    """Start both, say where they are, and stay."""
    with Broker(folder / "kafka") as broker, Registry(folder / "registry") as registry:
        print(f"Kafka            {broker.bootstrap}")
        print(f"schema registry  {registry.url}\n")
        print(f"export K2_KAFKA_BOOTSTRAP_SERVERS={broker.bootstrap}")
        print(f"export K2_KAFKA_SCHEMA_REGISTRY_URL={registry.url}\n")
        print(f"logs and data below {folder}, removed at the end; Ctrl-C stops both", flush=True)
        while broker.running and registry.running:
            time.sleep(0.5)
        gone = broker if registry.running else registry
        raise Failed(f"{gone.name} ended by itself. The end of {gone.log}:\n{gone.tail()}")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
