"""Anomalies while a connector runs: told in the log, at the port, as a metric and as records; cheap; and no record is
dropped or changed for them.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection

from k2conn import exactjson
from k2conn.anomalies.settings import AnomalyMode, AnomalySettings
from k2conn.clock import monotonic, wall_us
from k2conn.compiler.compiler import check_text
from k2conn.engine.connector_state import ConnectorState
from k2conn.monitoring.health import HealthServer
from k2conn.observe import Opening, SessionPlace
from k2conn.plan import Plan
from k2conn.recording.recorder import Recorder
from k2conn.runner import Overrides, anomaly_watch
from k2conn.runner.anomaly_watch import AnomalyWatch
from tests.integration.test_drift import _get
from tests.integration.test_run import environment
from tests.support import warm_process
from tests.support.anomalies import UNIT, record, usual
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE, plan_of, trade, trades
from tests.support.rest import Answer, rest
from tests.support.venues import CONNECTION, Run, Venue

LIST = """  list:
    http: GET https://example.com/products
    each: data
    symbol: id
    tick: tick
    lot: lot
    status: state
    trading: [live]
"""
ROWS = [
    {"id": "BTC-USD", "tick": "0.05", "lot": "0.01", "state": "live"},
    {"id": "ETH-USD", "tick": 0.5, "lot": "1E-2", "state": "halt"},
]


def spiked(number: int) -> dict[str, Any]:
    """The 151st trade of a symbol is large, and dear."""
    wild: dict[str, Any] = {"p": "96000.10", "q": "250"} if number == 150 else {}
    return trade(number, t=wall_us() // 1000) | wild


async def _spiking(socket: ServerConnection) -> None:
    for number in range(160):
        await socket.send(trades(spiked(number)))
        await asyncio.sleep(0)


@pytest.mark.parametrize("mode", AnomalyMode)
def test_a_spike_is_told_while_the_connector_runs(mode: AnomalyMode) -> None:
    async def main() -> tuple[Any, str, Any, list[Any], Any]:
        overrides = Overrides(anomalies=AnomalySettings(mode))
        async with Venue(_spiking).open() as venue, Run(venue.plan(), overrides=overrides) as run:
            server = HealthServer(run.runner, "127.0.0.1", 0)
            await server.start()
            connector = run.runner.connectors[0]
            watch = connector.anomalies
            await run.until(lambda: len(run.sink.taken) >= 160 and (watch is None or watch.marker.looked == 160))
            await run.until(lambda: run.ledger.totals()["in_flight"] == 0)
            told = exactjson.decode(await asyncio.to_thread(_get, server.port, "/anomalies"))
            health = exactjson.decode(await asyncio.to_thread(_get, server.port, "/health"))
            metrics = await asyncio.to_thread(_get, server.port, "/metrics")
            await server.stop()
            topics = run.sink.topics
            outcome = await run.end()
            assert outcome.exit_code == 0
            return told, metrics, health["connectors"]["venue"]["anomalies"], run.sink.records, topics

    with capture_logs() as logs:
        told, metrics, kinds, records, topics = asyncio.run(main())
    published = [one for one in records if "kind" in one]
    assert [one["price"] for one in records if "kind" not in one] == [
        str(spiked(number)["p"]).rstrip("0") for number in range(160)], "all are there, as they came"
    assert ("market.crypto.anomalies.venue" in topics) == (mode == AnomalyMode.PUBLISH)
    if mode == AnomalyMode.OFF:
        assert (told, kinds, published) == ({}, {}, [])
        return
    # back from the spike it is as far as there
    assert kinds == {"price-move": 2, "size-spike": 1}
    assert [(one["kind"], one["observed"], one["count"]) for one in told["venue"]] == [
        ("price-move", "0.49999922", 1), ("size-spike", "250", 1)]
    assert [one["price"] for one in told["venue"]] == ["96000.1", "96000.1"]
    own = 'connector="venue",exchange="VENUE",kind="price-move",stream="trade"'
    assert f"k2conn_anomalies_total{{{own}}} 2.0" in metrics
    assert 'k2conn_anomaly_records_total{connector="venue",exchange="VENUE",outcome="looked"} 160.0' in metrics
    lines = [one for one in logs if one["event"] == "anomaly"]
    assert [one["kind"] for one in lines] == ["price-move", "size-spike", "price-move"], "the last one at the end"
    if mode == AnomalyMode.WATCH:
        assert published == []
        return
    assert [(one["kind"], one["count"]) for one in published] == [
        ("price-move", 1), ("size-spike", 1), ("price-move", 1)]
    marked = {one["message_id"]: one for one in records if "kind" not in one}
    ids = [marked[one["record_message_id"]]["trade_id"] for one in published]
    assert ids == ["VENUE-150", "VENUE-150", "VENUE-151"]


def listed_plan(port: int) -> Plan:
    symbols = ('symbols: {default: [BTC-USD, ETH-USD], form: "{base}-{quote}", aliases: {XBT: BTC}}',
               'symbols:\n  default: [BTC-USD, ETH-USD]\n  form: "{base}-{quote}"\n' + LIST)
    plan, problems = check_text("venue.yaml", HEAD.replace(*symbols) + CONNECTION % port + STREAMS, Path())
    assert plan is not None, problems
    return plan


@pytest.mark.parametrize("there", [True, False])
def test_records_are_compared_with_the_venues_list(there: bool) -> None:
    """What it says is exact; without it nothing is compared, and nothing has waited for it."""

    async def act(socket: ServerConnection) -> None:
        await listed.wait()
        await socket.send(trades(
            trade(1, p="64000.10", q="0.25"), trade(2, p="64000.12", q="0.255"), trade(3, s="ETH-USD", p="2000.5"),
            trade(4, s="XRP-USD"),
        ))

    async def main(http_url: str) -> list[tuple[str, str, str | None, str | None]]:
        nonlocal listed
        listed = asyncio.Event()
        overrides = Overrides(http_url=http_url, allow_private_hosts=True)
        async with Venue(act).open() as venue, Run(listed_plan(venue.port), overrides=overrides) as run:
            connector = run.runner.connectors[0]
            await run.until(lambda: connector.state == "live")
            if there:
                await run.until(lambda: connector.connector_state.symbols.instruments)
            listed.set()
            watch = connector.anomalies
            assert watch is not None
            await run.until(lambda: watch.marker.looked == 4)
            return [(one["kind"], one["symbol"], one["bound"], one["detail"]) for one in watch.latest]

    listed = asyncio.Event()
    with rest(lambda asked: Answer({"data": ROWS} if there else {}, 200 if there else 503)) as server:
        found = asyncio.run(main(server.url))
    assert {asked.path for asked in server.asked} == {"/products"}
    assert found == ([
        ("off-tick", "BTCUSD", "0.05", None), ("off-lot", "BTCUSD", "0.01", None), ("halted", "ETHUSD", None, "halt"),
        ("not-listed", "XRPUSD", None, None),
    ] if there else [])


def one_watch(mode: AnomalyMode = AnomalyMode.PUBLISH) -> tuple[AnomalyWatch, ConnectorState]:
    plan = plan_of()
    return AnomalyWatch(plan, AnomalySettings(mode)), ConnectorState(plan)


def test_a_bug_in_looking_ends_the_looking_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, state = one_watch()
    calls = []

    def broken(*given: object) -> None:
        calls.append(given)
        raise ZeroDivisionError

    monkeypatch.setattr(watch.marker, "look", broken)
    with capture_logs() as logs:
        for _ in range(3):
            watch.take(usual("trade", 10))
            assert [found for found in watch.look(state, 0) if found] == []
    assert len(calls) == 1
    assert [one["event"] for one in logs] == ["anomalies are not looked for any more: a bug"]


def test_looking_takes_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of its own: what comes ten times too fast is looked at for a hundredth of the time."""
    watch, state = one_watch()
    times = {"now": 1000.0, "work": 0.0}
    monkeypatch.setattr(anomaly_watch, "monotonic", lambda: times["now"])
    monkeypatch.setattr(anomaly_watch, "thread_time", lambda: times["work"])
    monkeypatch.setattr(watch, "_looked", 1000.0)
    looked = 0

    def look(some: list[Any], *given: object) -> list[Any]:
        nonlocal looked
        looked += len(some)
        times["work"] += len(some) * 2e-6
        return []

    monkeypatch.setattr(watch.marker, "look", look)
    reads = usual("trade", 100)
    for _ in range(200):  # 100 seconds, 20,000 records each half of one
        for _ in range(200):
            watch.take(reads)
        for found in watch.look(state, 0):
            assert found == []
        times["now"] += 0.5
    assert looked + watch.passed_over == 200 * 20_000
    assert 0.009 * 100 < watch.spent < 0.0115 * 100 + anomaly_watch.SAVED


def test_looking_takes_a_hundredth_of_the_time() -> None:
    """By the true clock, fed with a million records a second."""
    watch, state = one_watch()
    watch._credit = 0.0
    reads = usual("trade", 100)
    began = monotonic()
    while monotonic() - began < 1:
        for _ in range(200):
            watch.take(reads)
        for _ in watch.look(state, 0):
            pass
        time.sleep(0.02)
    assert watch.marker.looked > 500
    assert watch.passed_over > watch.marker.looked
    assert watch.spent < 0.02


def test_what_waits_is_bounded() -> None:
    watch, state = one_watch()
    reads = usual("trade", 100)
    for _ in range(500):
        watch.take(reads)
    assert watch.passed_over == 50_000 - anomaly_watch.MOST_WAITING
    for _ in watch.look(state, 0):
        pass
    before, long = watch.passed_over, record("trade", 1, vendor_data={"x": "y" * 1024 * 1024})
    for _ in range(20):
        watch.take([long])
    assert watch.passed_over - before == 20 - 7


def test_what_is_published_is_in_the_books() -> None:
    watch, state = one_watch()
    watch.take([record("quote", 1, bid_price=2 * UNIT, ask_price=UNIT)])
    (found,) = [one for some in watch.look(state, 0) for one in some]
    assert found.account is state.ledger.account("anomalies", "BTCUSD")
    assert state.ledger.account("anomalies", "BTCUSD").received == 1


# -- recordings


def recorded(folder: Path, change: Callable[[int], dict[str, Any]]) -> Path:
    """A recording of 160 trades, two a second, 50 ms after their time."""
    place = SessionPlace("venue", "main-0", 1)
    recorder = Recorder(folder / "recording")
    recorder.start()
    plan = plan_of()
    symbols = tuple(found for one in plan.symbols.default if (found := plan.symbols.resolve(one)))
    recorder.begun("venue", ("trade",), False, 1)
    recorder.opened(place, Opening("main", 0, None, symbols, "seed"), 0.0, 1)
    for number in range(160):
        wall = 1_767_323_045_000_000 + number * 500_000
        frame = trades(trade(number, t=wall // 1000 - 50) | change(number))
        recorder.received(place, [frame], number / 2, wall)
    recorder.close()
    return folder / "recording"


def _anomalies(folder: Path, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "venue.yaml").write_text(HEAD + SUBSCRIBE + STREAMS)
    return warm_process.k2conn("anomalies", "venue.yaml", *words, cwd=folder, env=environment(**variables))


def test_the_command_tells_what_a_recording_has(tmp_path: Path) -> None:
    wild = recorded(tmp_path, lambda number: {"p": "96000.10", "q": "250"} if number == 150 else {})
    done = _anomalies(tmp_path, wild, "--json")
    assert done.returncode == 1, done.stderr
    found = [exactjson.decode(text) for text in done.stdout.splitlines()]
    assert [(one["kind"], one["count"]) for one in found] == [("price-move", 1), ("size-spike", 1), ("price-move", 1)]
    assert "venue: 160 frames, 160 records, 3 odd, told 3 times" in done.stderr
    text = _anomalies(tmp_path, wild, K2_ANOMALY_THRESHOLDS="price-move=off")
    assert text.stdout.startswith("trade BTCUSD: size-spike 250 beyond 12.81643901 (quantity), 1 of it; record ")
    assert len(text.stdout.splitlines()) == 1


def test_the_command_tells_nothing_of_a_calm_one(tmp_path: Path) -> None:
    done = _anomalies(tmp_path, recorded(tmp_path, lambda number: {}))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    none = _anomalies(tmp_path, tmp_path / "venue.yaml")
    assert none.returncode == 2
    assert "no recording of `k2conn record`" in none.stderr
