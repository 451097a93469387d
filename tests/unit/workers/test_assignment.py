"""Who carries what: bundles, the deal, the figures of a crew. No process is started here; see test_workers.py."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from k2conn import exactjson
from k2conn.cli.loading import shipped
from k2conn.engine.planning.inseparable_symbols import bundles
from k2conn.errors import SettingsError
from k2conn.monitoring.metrics import exposition
from k2conn.monitoring.process_status import merge_processes, process_status
from k2conn.plan import Plan, Rate
from k2conn.runner import Job, Overrides
from k2conn.sinks.settings import SinkSettings, SpoolSettings
from k2conn.workers import handover
from k2conn.workers.assignment import Assignment, assign, limited, reassign
from k2conn.workers.channel import WorkerIdentity
from k2conn.workers.handover import distribute_state
from k2conn.workers.metrics_merge import merged, pool_metrics
from k2conn.workers.worker_pool import WorkerPool
from tests.support.plans import STREAMS, SUBSCRIBE, plan_of, trade, trades
from tests.support.shipped import load
from tests.support.sinks import trade as put_trade
from tests.support.spools import Spool, number_of
from tests.support.venues import Run, Venue, says

SIX = ("BTC-USD", "ETH-USD", "SOL-USD", "BTC-EUR", "ETH-EUR", "SOL-EUR")


def bundled(plan: Plan, names: Sequence[str] = SIX, streams: tuple[str, ...] = ("trade",)) -> list[list[str]]:
    return bundles(plan, [stream for stream in plan.streams if stream.name in streams], names)


def asking(send: str, url: str = "wss://venue.example/ws", more: str = "") -> Plan:
    """A venue that is asked with this frame."""
    return plan_of(f"connection:\n  url: {url}\n  steps:\n    - send: {send}\n      for: trade\n{more}")


# -- what must stay together


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_every_shipped_connector_can_be_divided_by_symbol(path: Path) -> None:
    plan = load(str(path))
    names = plan.symbols.default
    if not plan.reads_files:
        assert bundles(plan, plan.streams, names) == [[name] for name in names]


@pytest.mark.parametrize(
    ("send", "url", "groups"),
    [
        ("{op: sub, symbols: $symbols}", "wss://venue.example/ws", 6),
        ("{op: sub, symbol: $symbol}", "wss://venue.example/ws", 6),
        ("{op: sub, what: '{$symbol.base}-all'}", "wss://venue.example/ws", 3),
        ("{op: sub, what: '{$symbol.quote.lower}'}", "wss://venue.example/ws", 2),
        ("{op: sub, channel: all-trades, id: $uuid, at: $now_ms, n: $counter}", "wss://venue.example/ws", 1),
        ("{op: sub, channel: all-trades}", "'wss://venue.example/ws/{$symbols}'", 6),
        ("{op: sub, symbols: $symbols, key: $env.K2_VENUE_KEY}", "wss://venue.example/ws", 6),
        ("{op: sub, channel: all-trades, key: $env.K2_VENUE_KEY}", "wss://venue.example/ws", 1),
    ],
)
def test_symbols_that_are_asked_for_in_the_same_words_stay_together(send: str, url: str, groups: int) -> None:
    found = bundled(asking(send, url))
    assert len(found) == groups
    assert sorted(name for one in found for name in one) == sorted(SIX)


@pytest.mark.parametrize(
    ("send", "groups"),
    [("{symbols: $symbols, token: $state.token}", 6), ("{what: $symbol.base, token: $state.token}", 1),
     ("{channel: all-trades, token: $state.token}", 1)],
)
def test_a_frame_that_only_a_live_connection_can_build_is_judged_by_its_text(send: str, groups: int) -> None:
    more = "  capture: [{when: {ch: hello}, into: token, value: token}]\n"
    assert len(bundled(asking(send, more=more))) == groups


def test_a_stream_that_nobody_asks_for_comes_whole() -> None:
    plan = plan_of(SUBSCRIBE)  # it subscribes trades; quotes come by themselves
    assert len(bundled(plan)) == 6
    assert bundled(plan, streams=("trade", "quote")) == [list(SIX)]


def test_names_that_only_the_venues_list_explains_are_told_apart_by_themselves() -> None:
    odd = ("t01", "t02", "t03")
    assert len(bundled(asking("{op: sub, symbols: $symbols}"), odd)) == 3
    assert len(bundled(asking("{op: sub, what: $symbol.base}"), odd)) == 1, "their base is not known yet"


def test_symbols_of_one_record_key_stay_together() -> None:
    assert bundled(plan_of(SUBSCRIBE), ("XBT-USD", "ETH-USD", "BTC-USD")) == [["XBT-USD", "BTC-USD"], ["ETH-USD"]]


def test_topics_of_a_currency_are_not_taken_apart() -> None:
    streams = STREAMS.replace("    when: {ch: trade}", '    topic: "trades.{$symbol.base}"\n    when: {ch: trade}')
    plan = plan_of("connection:\n  url: wss://venue.example/ws\n  steps:\n    - send: {args: $topics}\n", streams)
    assert bundled(plan) == [["BTC-USD", "BTC-EUR"], ["ETH-USD", "ETH-EUR"], ["SOL-USD", "SOL-EUR"]]


# -- the deal


def job(name: str = "venue", symbols: tuple[str, ...] = SIX, connection: str = SUBSCRIBE, **more: Any) -> Job:
    return Job(plan_of(connection, name=name), symbols, ("trade",), **more)


def carried(assignments: Sequence[Assignment], name: str = "venue") -> list[tuple[str, ...]]:
    return [assignment.symbols.get(name, ()) for assignment in assignments]


ALL = "connection:\n  url: wss://venue.example/ws\n  steps:\n    - send: {op: sub, channel: all}\n      for: trade\n"


def test_symbols_go_round_the_table_beginning_elsewhere_for_each_connector() -> None:
    assignments = assign([job("one"), job("two", SIX[:2]), job("three", SIX[:1])], 2)
    assert carried(assignments, "one") == [("BTC-USD", "SOL-USD", "ETH-EUR"), ("ETH-USD", "BTC-EUR", "SOL-EUR")]
    assert carried(assignments, "two") == [("ETH-USD",), ("BTC-USD",)]
    assert carried(assignments, "three") == [("BTC-USD",), ()]
    assert assignments == assign([job("one"), job("two", SIX[:2]), job("three", SIX[:1])], 2)
    assert [
        Assignment.of(exactjson.decode(exactjson.encode(assignment.plain()))) for assignment in assignments
    ] == list(assignments)


def test_what_cannot_be_divided_runs_whole_and_the_others_make_up_for_it() -> None:
    assignments = assign([job("one"), job("whole", SIX, ALL)], 2)
    assert carried(assignments, "whole") == [(), SIX] or carried(assignments, "whole") == [SIX, ()]
    assert [len(one) for one in carried(assignments, "one")] in ([6, 0], [0, 6])


def test_no_more_workers_than_there_is_work_for() -> None:
    with pytest.raises(SettingsError, match="--workers 7: there is work for 6 only"):
        assign([job()], 7)
    with pytest.raises(SettingsError, match="there is work for 1 only"):
        assign([job(connection=ALL)], 2)
    with pytest.raises(SettingsError, match="no symbol rule reads nothing"):
        assign([job(symbols=("nothing",))], 2)


def test_no_more_workers_than_the_venue_allows_connections() -> None:
    connection = SUBSCRIBE + "  limits: {connections: 4}\n"
    assignments = assign([job("one", connection=connection), job("two")], 6)
    assert sum(map(bool, carried(assignments, "one"))) == 4
    assert all(carried(assign([job("one", connection=connection)], 2), "one"))
    with pytest.raises(SettingsError, match="work for 2 only"):
        assign([job("one", connection=connection, overrides=Overrides(replicas=2))], 3)


def test_what_a_venue_counts_by_ip_address_is_divided_among_all_workers() -> None:
    shared = job("one", connection=SUBSCRIBE + "  limits: {connect: 8 per 1s, connections: 1, per: ip}\n")
    assignments = assign([shared, job("two")], 4)
    assert [one.among for one in assignments if "one" in one.among] == [{"one": 4}]
    assert [one.among["two"] for one in assignments if "two" in one.among] == [3] * 3


def test_each_worker_keeps_to_its_part_of_the_limits() -> None:
    plan = plan_of(SUBSCRIBE + "  limits: {connect: 5 per 1s, connections: 7, send: 4 per 1s}\n")
    limits = [limited(plan, among).connections[0].limits for among in (1, 2, 10)]
    assert [one.connect for one in limits] == [Rate(5, 1.0), Rate(2, 1.0), Rate(1, 2.0)]
    assert [one.connections for one in limits] == [7, 3, 1]
    assert [one.send for one in limits] == [Rate(4, 1.0)] * 3, "that is for each connection"
    assignments = assign([Job(plan, SIX, ("trade",))], 2)
    (own,) = assignments[1].jobs([Job(plan, SIX, ("trade",))])
    assert own.symbols == ("ETH-USD", "BTC-EUR", "SOL-EUR")
    assert own.plan.connections[0].limits.connections == 3
    backfilled = load("kraken").stream("trade")
    whole, part = (limited(load("kraken"), among).stream(backfilled.name).backfill[0].limit for among in (1, 2))
    assert whole is not None
    assert part is not None
    assert part.count / part.seconds == pytest.approx(whole.count / whole.seconds / 2)


# -- a deal that follows another


def test_a_new_deal_leaves_everything_where_it_is() -> None:
    before = assign([job("one", SIX[:4])], 2)
    after = reassign([job("one", ("SOL-EUR", *SIX[1:4], "ETH-EUR"))], before)
    assert carried(before, "one") == [("BTC-USD", "SOL-USD"), ("ETH-USD", "BTC-EUR")]
    assert carried(after, "one") == [("SOL-EUR", "SOL-USD", "ETH-EUR"), ("ETH-USD", "BTC-EUR")] or \
        carried(after, "one") == [("SOL-EUR", "SOL-USD"), ("ETH-USD", "BTC-EUR", "ETH-EUR")]


def test_new_symbols_go_to_workers_that_run_their_connector() -> None:
    before = assign([job("one", SIX[:1]), job("two", SIX[:1])], 2)
    after = reassign([job("one", SIX), job("two", SIX[:1]), job("three")], before)
    assert carried(after, "one") == [SIX, ()]
    assert carried(after, "three") == [(), ()], "it needs a restart"


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (job("one", SIX, ALL), "now share a subscription"),
        (job("one", ("BTC-USD",)), "nothing would be left for worker 1"),
    ],
)
def test_a_new_deal_that_would_move_symbols_needs_a_restart(changed: Job, text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        reassign([changed], assign([job("one", SIX[:4])], 2))


# -- what was kept


def state(plan: Plan, numbers: dict[str, int], ids: list[str], holes: dict[str, list[list[int]]]) -> dict[str, Any]:
    said = {
        key: {"last": last, "event_us": 5, "holes": holes.get(key, [])} for key, last in numbers.items()
    }
    streams = {"trade": {"numbers": said, "times": dict.fromkeys(numbers, 7), "ids": ids}}
    return {"version": 1, "connector": plan.name, "exchange": plan.exchange, "streams": streams}


def numbers_in(path: Path) -> dict[str, int]:
    streams = exactjson.decode(path.read_bytes())["streams"]
    assert streams["trade"]["times"].keys() == streams["trade"]["numbers"].keys()
    return {key: one["last"] for key, one in streams["trade"]["numbers"].items()}


def kept(path: Path, state: Any, age: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(exactjson.encode(state))
    os.utime(path, ns=(10**18 - age, 10**18 - age))
    return path


def test_state_files_go_where_the_symbols_are_now(tmp_path: Path) -> None:
    one = job(symbols=SIX[:4])
    old = kept(tmp_path / "venue.json", state(one.plan, {"BTCUSD": 1, "ETHUSD": 10}, ["a"], {}), 20)
    gone = kept(tmp_path / "worker-2" / "venue.json",
                state(one.plan, {"BTCUSD": 5, "SOLUSD": 20, "XRPUSD": 9}, ["b", "a"],
                      {"SOLUSD": [[3, 4, 0, 0]], "XRPUSD": [[1, 2, 0, 0]]}), 10)
    distribute_state(tmp_path, [one], assign([one], 2))
    first, second = (tmp_path / f"worker-{index}" / "venue.json" for index in (0, 1))
    assert numbers_in(first) == {"BTCUSD": 5, "SOLUSD": 20, "XRPUSD": 9}, "the later word counts"
    assert numbers_in(second) == {"ETHUSD": 10, "XRPUSD": 9}
    streams = [exactjson.decode(path.read_bytes())["streams"]["trade"] for path in (first, second)]
    assert [len(one["numbers"]["XRPUSD"]["holes"]) for one in streams] == [1, 0], "nobody asks twice for a hole"
    assert streams[0]["numbers"]["SOLUSD"]["holes"] == [[3, 4, 0, 0]]
    assert [one["ids"] for one in streams] == [["a", "b"]] * 2
    assert not old.exists()
    assert not gone.parent.exists()

    distribute_state(tmp_path, [one], None)  # the next run has no workers
    assert numbers_in(old) == {"BTCUSD": 5, "SOLUSD": 20, "XRPUSD": 9, "ETHUSD": 10}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["venue.json"]
    before = old.stat().st_mtime_ns
    distribute_state(tmp_path, [one], None)
    assert old.stat().st_mtime_ns == before, "nothing to do"


def test_a_state_file_that_cannot_be_used_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = job(symbols=SIX[:4])
    kept(tmp_path / "venue.json", state(one.plan, {"BTCUSD": 1}, [], {}), 20)
    bad = kept(tmp_path / "worker-7" / "venue.json", {"version": 99}, 10)
    distribute_state(tmp_path, [one], assign([one], 2))
    assert numbers_in(tmp_path / "worker-0" / "venue.json") == {"BTCUSD": 1}
    assert bad.exists()
    assert "state file ignored" in "".join(capsys.readouterr())


# -- what was spooled


class Spooled:
    """Spools in a folder, and a sink that takes what is left in them: `k2conn.workers.handover` with no Kafka."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.base = base
        self.sent: list[int] = []
        self.up = True
        monkeypatch.setattr(handover, "Runner", self._runner)
        monkeypatch.setattr(handover, "GIVE_UP_AFTER", 0.5)

    def _runner(self, jobs: Sequence[Job], settings: SinkSettings) -> Any:
        spool = Spool(settings.spool.folder)
        spool.inner.up = self.up
        settle = spool.inner.settle

        def noted(batch: Any) -> None:
            self.sent += map(number_of, batch)
            settle(batch)

        spool.inner.settle = noted
        return SimpleNamespace(sink=spool.sink)

    async def leave(self, name: str, *numbers: int) -> None:
        """What a process with this folder could not send."""
        spool = Spool(self.base / name)
        await spool.sink.open()
        spool.inner.up = False
        for number in numbers:
            spool.sink.put(put_trade(number, "t"))
        await spool.sink.flush(0.1)
        await spool.sink.close()

    async def start(self, assignments: Sequence[Assignment] | None) -> list[int]:
        """What is sent before a run; then nothing but the note is there of it."""
        self.sent.clear()
        settings = SinkSettings(spool=SpoolSettings(folder=self.base))
        await handover.send_left_over([], settings, assignments, asyncio.Event())
        return sorted(self.sent)

    @property
    def left(self) -> list[str]:
        return sorted({path.relative_to(self.base).parts[0] for path in self.base.rglob("*.log")} |
                      {path.relative_to(self.base).parts[0] for path in self.base.rglob("lock")})


def test_spooled_records_go_out_before_their_symbols_are_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two, three = assign([job()], 2), assign([job()], 3)

    async def main() -> None:
        spooled = Spooled(tmp_path, monkeypatch)
        await spooled.leave(".", 1, 2)
        assert await spooled.start(None) == [], "a run without workers takes that up by itself"
        assert await spooled.start(two) == [1, 2]
        assert spooled.left == []

        await spooled.leave("worker-0", 3, 4)
        await spooled.leave("worker-2", 5)
        assert await spooled.start(two) == [5], "the first worker takes up what is its own"
        assert spooled.left == ["worker-0"]
        assert await spooled.start(three) == [3, 4], "its symbols are another's now"

        await spooled.leave("worker-1", 6)
        assert await spooled.start(None) == [6]
        assert os.listdir(tmp_path) == []
        await spooled.leave("worker-1", 7)
        assert await spooled.start(three) == [7], "a run without workers came in between"

    asyncio.run(main())


def test_spooled_records_that_nobody_takes_stay_and_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        spooled = Spooled(tmp_path, monkeypatch)
        await spooled.leave("worker-0", 1, 2)
        spooled.up = False
        assert await spooled.start(None) == []
        assert spooled.left == ["worker-0"]
        spooled.up = True
        assert await spooled.start(None) == [1, 2]

    asyncio.run(main())
    assert "spooled records are left for another start" in "".join(capsys.readouterr())


# -- the figures


def test_metrics_of_workers_are_one_valid_text() -> None:
    async def main() -> tuple[str, str]:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.ledger.totals()["published"] == 1)
            one = exposition(run.runner).decode()
        return one, merged({0: one, 1: one})

    one, text = asyncio.run(main())
    assert merged({}) == ""
    families = list(text_string_to_metric_families(pool_metrics([(0, True, 0), (1, False, 3)]) + text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert {family.name: family.type for family in text_string_to_metric_families(one)}.items() <= {
        family.name: family.type for family in families
    }.items()
    samples = {(sample.name, sample.labels["worker"]): sample.value for family in families for sample in family.samples
               if sample.labels.get("stream", "trade") == "trade"}
    assert samples["k2conn_records_published_total", "0"] == samples["k2conn_records_published_total", "1"] == 1
    assert samples["k2conn_worker_up", "1"] == 0
    assert samples["k2conn_worker_restarts_total", "1"] == 3
    count = sum(len(family.samples) for family in text_string_to_metric_families(one))
    assert sum(len(family.samples) for family in families) == 2 * count + 4
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert len(heads) == len(set(heads)) == 2 * len(list(text_string_to_metric_families(one)))
    assert "\n\n" not in text


def test_the_health_of_all_workers_is_the_sum_of_its_workers() -> None:
    async def main() -> Any:
        async with Venue(says(trades(trade(1), trade(2)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.ledger.totals()["published"] == 2)
            return exactjson.decode(exactjson.encode(process_status(run.runner)))

    said = asyncio.run(main())
    whole = merge_processes({0: said, 1: said}, [])
    assert (whole["status"], whole["ready"]) == ("ok", True)
    venue = whole["connectors"]["venue"]
    assert venue["ledger"].startswith("received 4 = published 4 ")
    assert venue["streams"]["trade"]["published"] == 4
    assert [one["socket"] for one in venue["sockets"]] == ["0/main-0", "1/main-0"]
    assert venue["endpoints"]["main"] == [{"host": "127.0.0.1", "breaker": "closed", "opened": 0}]

    one_waits = {**said, "status": "degraded", "waiting_for": ["sink kafka"], "ready": False}
    one_waits["connectors"] = {"venue": {**said["connectors"]["venue"], "state": "waiting"}}
    whole = merge_processes({0: said, 1: one_waits, 2: None}, [])
    assert (whole["status"], whole["ready"]) == ("degraded", False)
    assert whole["waiting_for"] == ["worker 2", "worker 1: sink kafka"]
    assert whole["connectors"]["venue"]["state"] == "waiting"
    failed = {**said, "status": "failed"}
    assert merge_processes({0: failed, 1: failed}, [])["status"] == "failed"
    assert merge_processes({0: failed, 1: None}, [])["status"] == "degraded"
    assert merge_processes({0: None}, [])["connectors"] == {}


def test_a_made_up_seat_is_refused() -> None:
    for said in ("1", "0/2/x", "0/2/987654"):
        with pytest.raises(SettingsError, match="K2_WORKER is k2conn's own"):
            WorkerIdentity.from_environment({"K2_WORKER": said})
    assert WorkerIdentity.from_environment({}) is None


def test_workers_that_have_not_started_says_so() -> None:
    async def main() -> tuple[Any, bytes, Any]:
        crew = WorkerPool(assign([job()], 2), ["false"], {}, list)
        return await crew.health(), await crew.metrics(), await crew.silence()

    state, metrics, silence = asyncio.run(main())
    assert state["waiting_for"] == ["worker 0", "worker 1"]
    assert b'k2conn_worker_up{worker="1"} 0' in metrics
    assert silence == {}
