"""The JSON of /health, --summary and the metrics, member by member as it was before its parts had types.

What other programs read is kept in `data/status_documents.json`; ages and times, which no two runs share, are left out.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from k2conn import __version__, exactjson
from k2conn.engine.resilience.silence_detection import SilenceState
from k2conn.monitoring.metrics import exposition
from k2conn.monitoring.process_status import merge_processes, process_status, silent_symbols
from k2conn.runner import Overrides
from k2conn.runner.status import merge_reports
from tests.support.plans import trade, trades
from tests.support.sinks import trade as put_trade
from tests.support.spools import Spool
from tests.support.venues import MemorySink, Run, Venue, says

KNOWN: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "status_documents.json").read_text())
AGES = {
    "gap_check_last", "memory_mb", "seconds", "seconds_connected", "seconds_since_frame", "seconds_since_data", "time",
    "timestamp", "uptime_seconds",
}


class SpooledMemorySink(MemorySink):
    """Says what a sink behind a spool says."""

    def status(self) -> dict[str, object]:
        spool = {
            "mode": "trouble", "state": "direct", "folder": "spool/0", "bytes": 16, "max_bytes": 4096, "full": False,
            "records": 3, "behind": 1, "segments": 2, "parked": ["market.a"], "synced": 4, "recovered": 5,
            "recovered_published": 6, "recovered_lost": 7, "damaged": 8, "errors": 9, "last_error": None,
        }
        own = {"waiting": 0.4, "trouble": {"market.a": "no such topic"}, "bootstrap": "one:9092", "registry": None}
        return {**super().status(), **own, "spool": spool}


def without_ages(value: Any) -> Any:
    """The same without what no two runs share; that it is a number, or none, is kept."""
    if isinstance(value, Mapping):
        return {
            key: ("a number" if one is not None else None) if key in AGES else without_ages(one)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [without_ages(one) for one in value]
    return "VERSION" if value == __version__ else value


def as_read(value: Any) -> Any:
    """What another program reads of it."""
    return without_ages(json.loads(exactjson.encode(value)))


def samples(text: str) -> list[str]:
    """The lines of the metrics, without this process's own and without times."""
    chance = ("k2conn_drift_frames_total{", "k2conn_anomaly_records_total{")  # how many were looked at is that
    left_out = ("process_", "_created", *chance)
    own = [line for line in text.splitlines() if not any(part in line for part in left_out)]
    return [re.sub(r"^(k2conn_(?:last|lag|uptime|exchange|receipt)\w*_seconds\S*) .*", r"\1 N", line) for line in own]


def one_process() -> dict[str, Any]:
    """What one process says of itself: two replicas, a record, two dead letters, a refused symbol, a silent one."""

    async def main() -> dict[str, Any]:
        act = says(trades(trade(1), trade(2, p="x")), "{", trades(trade(3, s="ETH-USD")))
        async with (
            Venue(act).open() as venue,
            Run(venue.plan(), overrides=Overrides(replicas=2), sink=SpooledMemorySink) as run,
        ):
            connector = run.runner.connectors[0]
            await run.until(lambda: connector.state == "live" and len(run.sink.taken) == 6)
            await run.until(lambda: run.ledger.totals()["in_flight"] == 0 and run.ledger.totals()["duplicates"] == 2)
            watch = connector.silence.watch
            watch.states = {("trade", "BTCUSD"): SilenceState.QUIET, ("trade", "ETHUSD"): SilenceState.REFUSED}
            run.ledger.reconnects["closed"] += 2
            for socket in connector.supervisors:
                socket.replica.tally.first, socket.replica.tally.late = 2, 1  # who is first is chance
            return {
                "health": as_read(process_status(run.runner)),
                "silence": as_read(silent_symbols(run.runner)),
                "report": as_read(run.runner.report()),
                "metrics": samples(exposition(run.runner).decode()),
            }

    return asyncio.run(main())


def of_workers() -> dict[str, Any]:
    """What the parent makes of what two workers say, one of which does badly."""
    well = copy.deepcopy(KNOWN["one process"])
    badly = copy.deepcopy(well)
    for one in (well, badly):
        for socket in one["health"]["connectors"]["venue"]["sockets"]:
            socket.update(seconds_connected=1.5, seconds_since_frame=0.25, seconds_since_data=None)
        one["report"]["seconds"] = 2.5
        one["health"].update(uptime_seconds=9.5, memory_mb=80.5, timestamp="2026-01-02T00:00:00+00:00")
        one["health"]["details"]["gap_check_last"] = "2026-01-02T00:00:00+00:00"
    badly["report"]["seconds"] = 3.5
    state = badly["health"]
    state.update(status="degraded", ready=False, waiting_for=["sink memory"])
    state.update(candles_processed=5, candles_in_db=4, last_candle_time="2026-01-02T00:01:00+00:00",
                 database_connected=False, websocket_connected=False)
    state["sink"].update(reachable=False, last_error="no broker", bootstrap="two:9092")
    state["sink"]["spool"].update(state="spooling", full=True, folder="spool/1", parked=["market.b"])
    venue = state["connectors"]["venue"]
    venue.update(state="waiting", reconnect_causes={"closed": 1, "http-503": 2})
    venue["endpoints"]["main"][0].update(breaker="half-open", opened=1)
    venue["streams"]["quote"] = venue["streams"]["trade"]
    badly["report"]["connectors"]["venue"]["balanced"] = False
    workers = [{"worker": 0, "up": True}, {"worker": 1, "up": True}, {"worker": 2, "up": False}]
    return {
        "health": as_read(merge_processes({0: well["health"], 1: badly["health"], 2: None}, workers)),
        "none": as_read(merge_processes({0: None}, [])),
        "failed": as_read(merge_processes({0: {**state, "status": "failed"}}, [])),
        "report": as_read(merge_reports([well["report"], badly["report"]])),
        "no report": as_read(merge_reports([])),
    }


def spooling(folder: Path) -> Any:
    """What a spool says of itself that holds records its sink does not take."""

    async def main() -> Any:
        spool = Spool(folder, mode="always")
        await spool.sink.open()
        spool.inner.up = False
        for number in range(3):
            spool.sink.put(put_trade(number, topic="market.a"))
        said = as_read(spool.sink.status())
        said["spool"]["folder"] = Path(said["spool"]["folder"]).name
        spool.inner.back()
        await spool.sink.flush(5)
        await spool.sink.close()
        return said

    return asyncio.run(main())


def test_what_one_process_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k2conn.runner.connector.LOOK_EVERY", 3600)  # what is said before the first look
    said, known = one_process(), KNOWN["one process"]
    assert set(said.pop("metrics")) ^ set(known["metrics"]) == set()
    assert said == {name: one for name, one in known.items() if name != "metrics"}


def test_what_several_workers_say_together() -> None:
    assert of_workers() == KNOWN["workers"]


def test_what_a_spool_says(tmp_path: Path) -> None:
    assert spooling(tmp_path) == KNOWN["spool"]
