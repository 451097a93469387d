"""The process under measurement: `k2conn run` into a real broker, its venues played by feeders on this machine."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.processes import Ended, Feeding, Process
from tests.servers import Broker, Registry
from tests.servers.process import free_port
from tests.support.lists import shown_list

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Cluster(NamedTuple):
    """A broker and a registry with a folder for everything else."""

    folder: Path
    bootstrap: str
    registry: str


@contextmanager
def cluster(properties: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Both servers, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="k2conn-bench-") as name:
        folder = Path(name)
        with Broker(folder / "kafka", properties) as broker, Registry(folder / "registry") as registry:
            yield Cluster(folder, broker.bootstrap, registry.url)


class Engine(Process):
    """`k2conn run` of some connectors; ``streams`` for all of them, or by their K2_<X>_STREAMS in ``given``.

    ``before`` are the words that start it: another program that runs the same command line.
    """

    def __init__(
        self, at: Cluster, connectors: Sequence[str], given: Mapping[str, str], *, streams: str | None = None,
        linger_ms: int = 5, before: Sequence[str] = ("-m", "k2conn"),
    ) -> None:
        self.port = free_port()
        self.summary = at.folder / f"summary-{self.port}.json"
        chosen = ["--streams", streams] if streams else []
        command = [sys.executable, *before, "run", *connectors, *chosen, "--port", str(self.port),
                   "--summary", str(self.summary), "--log-level", "error"]
        environment = {
            "K2_KAFKA_BOOTSTRAP_SERVERS": at.bootstrap, "K2_KAFKA_SCHEMA_REGISTRY_URL": at.registry,
            "K2_KAFKA_CREATE_TOPICS": "true", "K2_KAFKA_LINGER_MS": str(linger_ms), "K2_BACKFILL": "false",
            "K2_SPOOL_FOLDER": str(at.folder / f"spool-{self.port}"), **given,
        }
        super().__init__("k2conn", command, at.folder / f"k2conn-{self.port}.log", environment)

    def health(self) -> dict[str, Any]:
        """The process's own account of itself; Ended where it does not answer."""
        try:
            with _direct.open(f"http://127.0.0.1:{self.port}/health", timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
        except OSError as error:
            raise Ended(self._why(f"did not answer on /health ({error})")) from None
        return found

    def published(self) -> int:
        """Records acknowledged so far, of all connectors."""
        return sum(int(one["published"]) for one in self.health()["connectors"].values())

    def until(self, records: int, within: float = 120.0) -> None:
        """Waits until so many are acknowledged. Asking costs the process CPU, so it is asked seldom."""
        end = time.monotonic() + within
        while self.published() < records:
            if time.monotonic() > end:
                state = self.health()
                books = {name: [one["ledger"], one["sockets"]] for name, one in state["connectors"].items()}
                found = f"{books}; {state['sink']}"
                raise Ended(self._why(f"lacks some of {records} records after {within:.0f} s: {found}"))
            time.sleep(0.2)

    def finish(self, records: int) -> dict[str, Any]:
        """Ends the process; the final summary, in which ``records`` are published and nothing else happened."""
        code = self.stop(60)
        if code:
            raise Ended(self._why(f"ended with {code}"))
        books: dict[str, Any] = json.loads(self.summary.read_bytes())
        wrong = {name: [one["published"], one["duplicates"], one["dead_letters"], one["lost"]]
                 for name, one in books["connectors"].items()
                 if one["duplicates"] or one["dead_letters"] or one["lost"] or not one["balanced"]}
        total = sum(one["published"] for one in books["connectors"].values())
        if wrong or total != records:
            raise Ended(f"the ledger is wrong: {total} published of {records} sent; {wrong}")
        return books


def addressed(name: str, feeder: Feeding, path: str) -> dict[str, str]:
    """The variables that send a connector to a feeder, and keep it from asking its venue for its instruments."""
    address = {f"K2_{name.upper()}_WEBSOCKET_URL": f"ws://127.0.0.1:{feeder.port}{path}"}
    return {**address, **shown_list(feeder.folder, name)}


def subscribed(engine: Engine, feeder: Feeding, connections: int, symbols: int) -> None:
    """Waits until so many connections have asked for all their symbols; Ended with the engine's own words if not."""
    try:
        while connections:
            connections -= int(feeder.hear("asked")) == symbols
    except Ended as error:
        state = "runs" if engine.running else "has ended"
        raise Ended(f"{error}\nThe engine {state}: {engine.log.read_text(errors='replace')[-3000:]}") from None
