"""Drift while a connector runs: told in the log, at the port and as a metric; cheap; and no record changes for it."""

from __future__ import annotations

import asyncio
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection

from k2conn import exactjson
from k2conn.clock import monotonic, wall_us
from k2conn.monitoring.health import HealthServer
from k2conn.runner import Overrides, connector, drift_watch
from k2conn.runner.drift_watch import DriftWatch
from k2conn.runner.spare_time import SpareTime
from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, intake_of, plan_of, trade, trades
from tests.support.venues import Run, Venue


async def _changing(socket: ServerConnection) -> None:
    """Trades; from the 150th on with a member of another name and another word for a side."""
    for number in range(1, 301):
        item = trade(number)
        if number > 150:
            item["price"] = item.pop("p")
            item["d"] = "auction"
        await socket.send(trades(item))
        await asyncio.sleep(0)


def _get(port: int, path: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("wanted", [True, False])
def test_a_change_is_told_while_the_connector_runs(wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_watch, "PAUSE", 0)
    monkeypatch.setattr(connector, "SHARE", 10**6)

    async def main() -> tuple[Any, str, int, int]:
        async with Venue(_changing).open() as venue, Run(venue.plan(), overrides=Overrides(drift=wanted)) as run:
            server = HealthServer(run.runner, "127.0.0.1", 0)
            await server.start()
            await run.until(lambda: len(run.sink.taken) == 300)
            told = exactjson.decode(await asyncio.to_thread(_get, server.port, "/drift"))
            metrics = await asyncio.to_thread(_get, server.port, "/metrics")
            await server.stop()
            dead = sum(one.dead for one in run.sink.taken)
            return told, metrics, dead, len(run.sink.taken)

    with capture_logs() as logs:
        told, metrics, dead, count = asyncio.run(main())
    assert (dead, count) == (150, 300), "what is published does not depend on it"
    if not wanted:
        assert told == {}
        return
    found = {(one["change"], one["path"]): one for one in told["venue"]}
    assert set(found) == {("new-key", "data[].price"), ("gone-key", "data[].p"), ("new-word", "data[].d")}
    assert found["gone-key", "data[].p"]["fields"] == ["price"]
    assert found["new-word", "data[].d"]["fields"] == ["side"]
    labels = 'change="gone-key",connector="venue",exchange="VENUE",stream="trade"'
    assert f"k2conn_drift_findings_total{{{labels}}} 1.0" in metrics
    assert sum(one["event"] == "drift" for one in logs) == 3


def test_looking_takes_no_more_than_its_share() -> None:
    plan = plan_of()
    pipeline, watch = intake_of(plan), DriftWatch("venue", plan.streams, ("BTC-USD",))
    frame = trades(*(trade(number) for number in range(20)))
    began = monotonic()
    while monotonic() - began < 1:
        now = wall_us()
        if now >= watch.due_us:
            watch.look(pipeline, [frame], now)
    assert 2 <= watch.looks <= 1 / drift_watch.PAUSE + 2
    assert watch.spent < 0.02


def test_once_it_is_learnt_what_is_usual_it_is_looked_at_less_often() -> None:
    plan = plan_of()
    pipeline, watch = intake_of(plan), DriftWatch("venue", plan.streams, ("BTC-USD",), SpareTime(10**6))
    rests = []
    for number in range(drift_watch.LEARNING + 5):
        watch.look(pipeline, [trades(trade(number))], 0)
        rests.append(watch.due_us / 1_000_000)
    assert rests[: drift_watch.LEARNING - 1] == [drift_watch.PAUSE] * (drift_watch.LEARNING - 1)
    assert rests[drift_watch.LEARNING :] == [drift_watch.LATER] * 5


def test_connectors_share_the_time_for_looking() -> None:
    plan, spare = plan_of(), SpareTime(0.01)
    pipeline, watches = intake_of(plan), [DriftWatch(f"v{at}", plan.streams, (), spare) for at in range(40)]
    watches[0].look(pipeline, [trades(trade(1))], 0)
    rest = watches[0].due_us / 1_000_000
    assert rest >= drift_watch.PAUSE
    assert rest == pytest.approx(max(drift_watch.PAUSE, watches[0].spent / 0.01 * 40), abs=1e-5)


def test_a_bug_in_looking_ends_the_looking_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of()
    pipeline, watch = intake_of(plan), DriftWatch("venue", plan.streams, ())
    calls = []

    def broken(*given: object) -> None:
        calls.append(given)
        raise ZeroDivisionError

    monkeypatch.setattr(watch.detector, "see", broken)
    with capture_logs() as logs:
        for _ in range(3):
            watch.look(pipeline, [trades(trade(1))], 0)
    assert len(calls) == 1
    assert [one["event"] for one in logs] == ["drift is not looked for any more: a bug"]


def _recorded(folder: Path, name: str, numbers: range, **changed: Any) -> Path:
    path = folder / name
    frames = []
    for number in numbers:
        item = trade(number) | changed
        frames.append(trades({key: value for key, value in item.items() if value is not ...}))
    path.write_text("\n".join(frames) + "\n")
    return path


def _drift(*words: object) -> subprocess.CompletedProcess[str]:
    return warm_process.k2conn("drift", *words, env=environment())


def test_the_command_compares_recordings(tmp_path: Path) -> None:
    file = tmp_path / "venue.yaml"
    file.write_text(HEAD + SUBSCRIBE + STREAMS)
    friday = _recorded(tmp_path, "friday", range(40))
    monday = _recorded(tmp_path, "monday", range(40, 60), p=..., price="5")
    done = _drift(file, monday, "--against", friday, "--json")
    assert done.returncode == 1, done.stderr
    found = [exactjson.decode(line) for line in done.stdout.splitlines()]
    assert {(one["change"], one["path"]) for one in found} == {("gone-key", "data[].p"), ("new-key", "data[].price")}
    assert "venue: 60 frames, 60 messages, 2 changes" in done.stderr
    same = _drift(file, friday, "--against", friday)
    assert (same.returncode, same.stdout) == (0, ""), same.stderr
    none = _drift(file, tmp_path / "nosuch")
    assert none.returncode == 2
    assert "nosuch" in none.stderr
