"""A whole process whose key is in a file: the file changes, and what connects next has the new key."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS, trade

CONNECTION = """
connection:
  url: ws://127.0.0.1:%d/ws
  headers: {X-Key: $env.K2_VENUE_KEY}
  steps:
    - send: {op: sub, symbol: $symbol, key: $env.K2_VENUE_KEY}
      for: trade
      expect: {accepted: {op: ok}, refused: {op: bad}, symbol: s, reason: why}
  reconnect: {base: 50ms, cap: 100ms}
"""
KEYS = [f"secret-key-number-{number}" for number in range(4)]


class CheckingVenue:
    """Lets in whoever has the key of the day, and closes when told to."""

    def __init__(self) -> None:
        self.key = KEYS[0]
        self.served: list[str] = []
        """The key of each connection that was subscribed."""
        self.refused: list[str] = []
        self._trades = 0
        self._clients: list[ServerConnection] = []

    def talk(self, client: ServerConnection) -> None:
        assert client.request is not None
        said = {client.request.headers["X-Key"], json.loads(client.recv())["key"]}
        if said != {self.key}:
            self.refused += said
            client.close(1008, f"bad key {said}")
            return
        client.send(json.dumps({"op": "ok", "s": "BTC-USD"}))
        self._clients.append(client)
        self.served.append(self.key)
        try:
            while True:
                self._trades += 1
                client.send(json.dumps({"ch": "trade", "data": [trade(self._trades)]}))
                time.sleep(0.05)
        except ConnectionClosed:
            return

    def hang_up(self) -> None:
        self._clients[-1].close()


class Running:
    """k2conn, its venue and the file with its key."""

    def __init__(self, folder: Path) -> None:
        self.venue = CheckingVenue()
        self._server = serve(self.venue.talk, "127.0.0.1", 0)
        Thread(target=self._server.serve_forever, daemon=True).start()
        spec = folder / "venue.yaml"
        spec.write_text(HEAD + CONNECTION % self._server.socket.getsockname()[1] + STREAMS)
        self.file = folder / "key"
        self.file.write_text(KEYS[0] + "\n")
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = warm_process.started(
                "run", str(spec), "--daemon", "--port", "0", "--folder",
                str(folder / "data"), "--symbols", "BTC-USD", "--log-level", "debug",
                cwd=folder, env=environment(K2_VENUE_KEY_FILE=str(self.file)), stdout=log, stderr=log,
            )

    def rotate(self, number: int) -> None:
        self.venue.key = KEYS[number]
        self.file.write_text(KEYS[number] + "\n")

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(60)
        self._server.shutdown()
        return code


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path)
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait()


def until(look: Callable[[], object], within: float = 60) -> None:
    end = time.monotonic() + within
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_key_is_changed_without_a_restart(running: Running) -> None:
    venue = running.venue
    until(lambda: venue.served == KEYS[:1])
    running.rotate(1)
    venue.hang_up()
    until(lambda: venue.served == KEYS[:2])
    # A reload connects with the new key before it lets go of the connection that stands.
    running.rotate(2)
    running.process.send_signal(signal.SIGHUP)
    until(lambda: venue.served == KEYS[:3])
    until(lambda: "reloaded: the new plan runs" in running.log.read_text())
    # A file that is away for a moment is no reason to stop.
    running.file.unlink()
    venue.hang_up()
    until(lambda: venue.served == [*KEYS[:3], KEYS[2]])
    assert running.stop() == 0
    assert venue.refused == []
    said = running.log.read_text()
    assert "a secret's file cannot be read, the latest value goes on" in said
    assert not [key for key in KEYS if key in said]


def test_what_is_wrong_with_the_file_is_said_at_start(tmp_path: Path) -> None:
    spec = tmp_path / "venue.yaml"
    spec.write_text(HEAD + CONNECTION % 1 + STREAMS)
    for variables, said in (
        ({"K2_VENUE_KEY_FILE": str(tmp_path / "none")}, f"K2_VENUE_KEY_FILE {tmp_path / 'none'}: No such file"),
        ({"K2_VENUE_KEY_FILE": str(spec), "K2_VENUE_KEY": "x"}, "K2_VENUE_KEY and K2_VENUE_KEY_FILE are both set"),
    ):
        done = warm_process.k2conn("run", spec, "--sink", "console", "--port", "-1", cwd=tmp_path,
                                   env=environment(**variables))
        assert done.returncode == 2
        assert said in " ".join(done.stderr.split())
        assert done.stderr.count("K2_VENUE_KEY_FILE") == 1
