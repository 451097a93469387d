"""`k2conn run` as a process while its broker is frozen or killed: at the stop, and past the delivery timeout, with a
spool and without. It never ends by a bug, and what it says of unsent records is true.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_run import environment
from tests.kafka.test_sink import read
from tests.servers import Broker, Registry
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS
from tests.support.small_venue import venue_process
from tests.support.venues import CONNECTION

pytestmark = pytest.mark.kafka

VENUE = """
import asyncio, itertools, sys
sys.path.insert(0, %r)
from tests.support.plans import trade, trades
from tests.support.venues import Venue

numbers = itertools.count(1)

async def act(socket):
    while True:
        await socket.send(trades(*(trade(next(numbers)) for _ in range(5))))
        await asyncio.sleep(0.02)

async def main():
    async with Venue(act).open() as venue:
        print(venue.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until the tests are over

asyncio.run(main())
"""
TIMEOUTS = {"K2_KAFKA_REQUEST_TIMEOUT_MS": "1000", "K2_KAFKA_DELIVERY_TIMEOUT_MS": "2000"}


@pytest.fixture(scope="module")
def venue() -> Iterator[int]:
    """The port of a venue that sends 250 trades a second, each with the next number."""
    with venue_process(VENUE) as port:
        yield port


class Process:
    """`k2conn run` with Kafka. ``said`` is its log."""

    def __init__(self, folder: Path, port: int, topic: str, broker: Broker, registry: Registry, spool: str) -> None:
        file = folder / "venue.yaml"
        file.write_text(HEAD + f'kafka_topic: "{topic}.{{data_type}}"\n' + CONNECTION % port + STREAMS)
        self.folder, self.said = folder, ""
        variables = {
            "K2_SPOOL": spool, "K2_SPOOL_FOLDER": str(folder / "spool"), "K2_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
            "K2_KAFKA_SCHEMA_REGISTRY_URL": registry.url, "K2_KAFKA_CREATE_TOPICS": "true", **TIMEOUTS,
        }
        self._process = warm_process.started(
            "run", file, "--streams", "trade", "--port", "-1", "--summary", folder / "summary.json", cwd=folder,
            env=environment(**variables), stderr=subprocess.PIPE, text=True,
        )
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said += line

    def told(self, text: str, within: float = 180) -> None:
        end = time.monotonic() + within
        while text not in self.said:
            assert self._process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.05)

    def stop(self) -> int:
        """Stops it; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        self._listening.join(5)
        return code

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listening.join(5)
        if self._process.stderr is not None:
            self._process.stderr.close()

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return found


KINDS = [("killed", "past the delivery timeout", "trouble")]
"""What happens most; all others take long."""
OTHERS = [
    ("frozen", "at the stop", "never"),
    ("frozen", "at the stop", "trouble"), ("frozen", "past the delivery timeout", "never"),
    ("frozen", "past the delivery timeout", "trouble"), ("killed", "at the stop", "never"),
    ("killed", "at the stop", "trouble"), ("killed", "past the delivery timeout", "never"),
]


@pytest.mark.parametrize(
    ("how", "when", "spool"), [*KINDS, *(pytest.param(*words, marks=pytest.mark.deploy) for words in OTHERS)]
)
def test_a_broker_that_is_away(
    own_broker: Broker, own_registry: Registry, venue: int, tmp_path: Path, kafka_topic: Callable[[str], str],
    how: str, when: str, spool: str,
) -> None:
    broker = own_broker
    run = Process(tmp_path, venue, kafka_topic("t"), broker, own_registry, spool)
    try:
        run.told("subscribed")
        time.sleep(1.0)
        (broker.pause if how == "frozen" else broker.kill)()
        try:
            if when == "past the delivery timeout":
                run.told("no acknowledgement for 2 s" if how == "frozen" else "kafka")
            time.sleep(3.0)  # a producer of our own is left, and the next one tries
            code = run.stop()
        finally:
            broker.resume() if how == "frozen" else broker.start()
    finally:
        run.close()
    assert "Traceback" not in run.said, run.said
    assert "KeyError" not in run.said
    summary = run.summary
    books = summary["connectors"]["venue"]
    assert books["crashes"] == 0
    assert books["published"] > 50
    assert books["in_flight"] > 0
    assert books["balanced"]
    if spool == "never":
        assert (code, summary["unsent"]) == (1, books["in_flight"]), run.said
    else:
        assert (code, summary["unsent"]) == (0, 0), run.said
        assert "the next start sends them" in run.said


@pytest.mark.deploy
def test_what_was_left_is_there_after_the_next_start(
    own_broker: Broker, own_registry: Registry, venue: int, tmp_path: Path, kafka_topic: Callable[[str], str]
) -> None:
    """Frozen past the delivery timeout, stopped, started again: each trade that was received is in Kafka."""
    broker, topic = own_broker, kafka_topic("t")
    first = Process(tmp_path, venue, topic, broker, own_registry, "trouble")
    try:
        first.told("subscribed")
        broker.pause()
        try:
            first.told("no acknowledgement for 2 s")
            assert first.stop() == 0, first.said
        finally:
            broker.resume()
    finally:
        first.close()
    received = first.summary["connectors"]["venue"]["received"]
    second = Process(tmp_path, venue, topic, broker, own_registry, "trouble")
    try:
        second.told("subscribed")
        time.sleep(2.0)
        assert second.stop() == 0, second.said
    finally:
        second.close()
    total = received + second.summary["connectors"]["venue"]["received"]
    assert "of an earlier run" in second.said
    found = {one.value() for one in read(broker, f"{topic}.trades", total)}
    assert len(found) == total
