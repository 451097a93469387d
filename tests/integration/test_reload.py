"""Reload: other symbols on the open connections, the new plan beside the old one, a bad edit that changes nothing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

import k2conn.runner.reload as timing
from k2conn import exactjson
from k2conn.avro.reading import read_container
from k2conn.cli.job_digests import digested
from k2conn.cli.loading import find, load
from k2conn.compiler.compiler import check_text
from k2conn.errors import SettingsError
from k2conn.runner import Connector, Job, Overrides
from k2conn.runner.reload import Reloader
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.faults import Faults
from tests.paths import ROOT
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS, trade, trades
from tests.support.rest import Answer, Asked, Rest, rest
from tests.support.venues import CONNECTION, MemorySink, Run, Venue, says

BOTH = "[BTC-USD, ETH-USD]"


def ids(sink: MemorySink) -> list[str]:
    return [record["trade_id"] for record in sink.records if "trade_id" in record]


def reloader(run: Run, *jobs: Job) -> Reloader:
    return Reloader(run.runner, lambda: jobs)


def test_the_new_plan_takes_over_and_the_ledger_continues() -> None:
    async def main() -> None:
        acts = says(trades(trade(1), trade(2))), says(trades(trade(2), trade(3)))
        async with Venue(*acts).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: len(run.sink.taken) == 2)
            old = run.runner.connectors[0]
            assert await reloader(run, Job(venue.plan(), ("BTC-USD",), ("trade",))).reload()
            new = run.runner.connectors[0]
            assert new is not old
            assert (old.state, new.state) == ("stopped", "live")
            await run.until(lambda: len(run.sink.taken) == 3)
            assert ids(run.sink) == ["VENUE-1", "VENUE-2", "VENUE-3"]
            assert [said.get("symbols") for said in venue.heard] == [["BTC-USD", "ETH-USD"], ["BTC-USD"],
                                                                     ["BTC-USD", "ETH-USD"]]
            assert run.ledger.totals()["duplicates"] == 1
            assert run.ledger.totals()["published"] == 3
            assert (await run.end()).exit_code == 0

    asyncio.run(main())


def test_what_has_not_changed_is_left_alone() -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.sink.taken)
            old = run.runner.connectors[0]
            old.job = replace(old.job, digest="x")
            assert await reloader(run, replace(old.job)).reload()
            assert await reloader(run, Job(venue.plan("another"))).reload(), "it needs a restart, which is said"
            assert run.runner.connectors == (old,)
            assert venue.connects == 1

    asyncio.run(main())


def test_a_bad_edit_leaves_the_old_plan_running() -> None:
    def broken() -> Sequence[Job]:
        raise SettingsError("no such thing")

    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.sink.taken)
            old = run.runner.connectors[0]
            assert not await Reloader(run.runner, broken).reload()
            assert not await reloader(run, Job(venue.plan(), ("NO/SUCH",), ("trade",))).reload()
            assert run.runner.connectors == (old,)
            assert old.state == "live"

    asyncio.run(main())


def test_a_plan_that_does_not_prove_itself_leaves_the_old_one_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PROVE_WITHIN", 0.4)

    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.sink.taken)
            assert not await reloader(run, Job(venue.plan(connection=CONNECTION % 1), streams=("trade",))).reload()
            assert [one.state for one in run.runner.connectors] == ["live"]
            assert venue.connects == 1
            assert (await run.end()).exit_code == 0

    asyncio.run(main())


def test_where_the_venue_allows_one_connection_the_old_one_goes_first() -> None:
    sockets: list[int] = []
    most: list[int] = []

    async def act(socket: ServerConnection) -> None:
        sockets.append(1)
        most.append(len(sockets))
        await socket.send(trades(trade(len(most))))
        await socket.wait_closed()
        sockets.pop()

    async def main() -> None:
        connection = CONNECTION + "  limits: {connections: 1}\n"
        async with Venue(act).open() as venue, Run(venue.plan(connection=connection)) as run:
            await run.until(lambda: run.sink.taken)
            assert await reloader(run, Job(venue.plan(connection=connection), streams=("trade",))).reload()
            await run.until(lambda: len(run.sink.taken) == 2)
            assert most == [1, 1]

    asyncio.run(main())


def test_stopping_amid_a_reload_stops_everything() -> None:
    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, Run(venue.plan()) as run:
            await run.until(lambda: run.sink.taken)
            job = Job(venue.plan(connection=CONNECTION % 1), streams=("trade",))
            reloading = asyncio.create_task(reloader(run, job).reload())
            await asyncio.sleep(0.2)
            assert (await run.end()).exit_code == 0
            assert not await reloading

    asyncio.run(main())


GAPPED = STREAMS.replace(
    "each: data",
    """each: data
    sequence: {from: i, rule: contiguous, per: symbol}
    backfill: {http: "GET https://v.example/t?from={$first}", page: {size: 3, by: first}}""",
)


def test_gaps_that_are_not_filled_yet_are_filled_by_the_new_connector() -> None:
    answering: list[bool] = []

    def answer(asked: Asked) -> Answer:
        first = int(asked.query["from"])
        return Answer([trade(n) for n in range(first, first + 3)]) if answering else Answer({}, 503)

    async def main(url: str) -> None:
        frames = trades(trade(1), trade(5)), trades(trade(9))
        async with Venue(says(*frames), says()).open() as venue:
            plan = venue.plan(streams=GAPPED)
            async with Run(plan, overrides=Overrides(http_url=url)) as run:
                old = run.runner.connectors[0]
                await run.until(lambda: old.backfill_worker.waiting == 2)
                assert await reloader(run, replace(old.job, digest="new")).reload()
                new = run.runner.connectors[0]
                assert new is not old
                assert (old.backfill_worker.waiting, new.backfill_worker.waiting) == (0, 2)
                answering.append(True)
                await run.until(
                    lambda: not new.backfill_worker.waiting and not run.ledger.totals()["in_flight"], within=20
                )
                gaps = [record for record in run.sink.records if "gap_id" in record]
                assert [(one["status"], one["backfill"]) for one in gaps] == [("OPEN", "pending")] * 2 + [
                    ("CLOSED", "done")] * 2
                assert sorted(set(ids(run.sink))) == [f"VENUE-{number}" for number in range(1, 10)]
                totals = run.ledger.totals()
                assert (totals["missing"], totals["backfilled"], totals["in_flight"]) == (0, 6, 0)
                assert (await run.end()).exit_code == 0

    with rest(answer) as api:
        asyncio.run(main(api.url))


# -- only the symbols change


def alike(job: Job, *symbols: str) -> Job:
    """The job with other symbols and nothing else."""
    return replace(job, symbols=symbols or None, digest=repr(symbols), likeness="same")


@asynccontextmanager
async def traded(venue: Venue, connection: str = CONNECTION) -> AsyncIterator[tuple[Run, Connector]]:
    """A run of a venue's connector that is subscribed and has had data."""
    async with Run(venue.plan(connection=connection)) as run:
        connector = run.runner.connectors[0]
        connector.job = alike(connector.job)
        await run.until(lambda: run.sink.taken)
        yield run, connector


class Answering(Venue):
    """A venue that answers subscriptions at any time, and sends two trades of each new symbol and of each gone one."""

    def __init__(self, *refused: str, silent: tuple[str, ...] = ()) -> None:
        super().__init__(says(trades(trade(1))))
        self.refused = refused
        self.silent = silent
        self.sent = 1

    async def _listen(self, socket: ServerConnection) -> None:
        async for frame in socket:
            said = exactjson.decode(frame)
            self.heard.append(said)
            if said["op"] == "sub":
                for name in said["symbols"]:
                    ok = name not in self.refused
                    await socket.send(exactjson.encode({"op": "sub", "ok": ok, "s": name, "why": "unknown"}).decode())
            for name in set(said["symbols"]) - {*self.refused, *self.silent}:
                await socket.send(trades(trade(self.sent + 1, s=name), trade(self.sent + 2, s=name)))
                self.sent += 2


def test_the_open_connection_goes_over_to_other_symbols() -> None:
    async def main() -> None:
        async with Answering("NO-SUCH").open() as venue, traded(venue) as (run, connector):
            connection = connector.supervisors[0].connection
            assert await reloader(run, alike(connector.job, "ETH-USD", "XRP-USD", "NO-SUCH")).reload()
            assert run.runner.connectors == (connector,)
            assert connector.supervisors[0].connection is connection
            assert venue.connects == run.ledger.connects == 1
            assert [(one["op"], one["symbols"]) for one in venue.heard] == [
                ("sub", ["BTC-USD", "ETH-USD"]), ("sub", ["XRP-USD", "NO-SUCH"]), ("unsub", ["BTC-USD"]),
            ]
            await run.until(lambda: len(run.sink.taken) == 5)
            assert [record["symbol"] for record in run.sink.records[1:]] == ["XRPUSD"] * 2 + ["BTCUSD"] * 2
            assert run.ledger.refused == 1
            status = connector.supervisors[0].status()
            assert (status["symbols"], status["confirmed"], status["refused"]) == (3, 2, 1)
            assert connector.connector_state.gaps.symbols.keys() == {"ETHUSD", "XRPUSD", "NOSUCH"}
            totals = run.ledger.totals()
            assert (totals["received"], totals["published"], totals["in_flight"]) == (5, 5, 0)
            assert await reloader(run, alike(connector.job, "ETH-USD", "XRP-USD", "NO-SUCH")).reload(), "no change"
            assert (await run.end()).exit_code == 0
            assert venue.heard[-1]["symbols"] == ["ETH-USD", "XRP-USD"]

    asyncio.run(main())


def test_the_watch_follows_and_a_new_symbol_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k2conn.runner.silence_monitor.LOOK_EVERY", 0.0)
    monkeypatch.setattr("k2conn.engine.resilience.silence_detection.FIRST_DATA", 1.0)

    async def main() -> None:
        async with Answering(silent=("XRP-USD",)).open() as venue, traded(venue) as (run, connector):
            await asyncio.sleep(1.1)
            assert await reloader(run, alike(connector.job, "BTC-USD", "XRP-USD")).reload()
            states = connector.silence.watch.states
            connector.silence.look(connector.supervisors)
            assert states == {("trade", "BTCUSD"): "live", ("trade", "XRPUSD"): "asked"}
            await asyncio.sleep(1.1)
            connector.silence.look(connector.supervisors)
            assert states[("trade", "XRPUSD")] == "no-data"

    asyncio.run(main())


def test_new_sockets_are_opened_and_empty_ones_closed() -> None:
    async def main() -> None:
        connection = CONNECTION + "  limits: {symbols: 2}\n"
        async with Answering().open() as venue, traded(venue, connection) as (run, connector):
            first = connector.supervisors[0].connection
            assert await reloader(run, alike(connector.job, "BTC-USD", "ETH-USD", "XRP-USD", "ADA-USD")).reload()
            assert [one.shard.name for one in connector.supervisors] == ["main-0", "main-1"]
            assert venue.connects == 2
            second = connector.supervisors[1]
            assert await reloader(run, alike(connector.job, "XRP-USD")).reload()
            assert connector.supervisors == (second,)
            assert first is not None
            assert first.ended is not None
            assert venue.connects == 2
            assert await reloader(run, alike(connector.job, "BTC-USD", "XRP-USD")).reload()
            assert venue.connects == 2
            assert (await run.end()).exit_code == 0

    asyncio.run(main())


def test_replacements_keep_to_the_venues_limit_with_the_sockets_that_there_are() -> None:
    async def main() -> None:
        connection = CONNECTION + "  limits: {symbols: 2, connections: 2}\n"
        async with Answering().open() as venue, traded(venue, connection) as (run, connector):
            site = connector.endpoint_groups["main"]
            assert site.overlaps
            assert await reloader(run, alike(connector.job, "BTC-USD", "ETH-USD", "XRP-USD")).reload()
            assert (site.overlaps, site.spare) == (False, 0)
            assert await reloader(run, alike(connector.job, "BTC-USD", "ETH-USD")).reload()
            assert (site.overlaps, site.spare) == (True, 1)

    asyncio.run(main())


def test_what_was_missed_while_a_symbol_was_away_is_not_the_connections_fault() -> None:
    async def main() -> None:
        async with Answering().open() as venue:
            plan = venue.plan(streams=GAPPED)
            async with Run(plan, overrides=Overrides(backfill=False)) as run:
                connector = run.runner.connectors[0]
                connector.job = alike(connector.job)
                await run.until(lambda: run.sink.taken)
                assert await reloader(run, alike(connector.job, "ETH-USD")).reload()
                await run.until(lambda: len(run.sink.taken) == 3)
                venue.sent = 10
                assert await reloader(run, alike(connector.job, "BTC-USD", "ETH-USD")).reload()
                await run.until(lambda: [one for one in run.sink.records if "gap_id" in one])
                (gap,) = [one for one in run.sink.records if "gap_id" in one]
                assert (gap["first_sequence"], gap["last_sequence"], gap["cause"]) == (4, 10, "reconnect")
                assert venue.connects == 1

    asyncio.run(main())


def test_a_connection_that_is_lost_comes_back_with_the_new_symbols() -> None:
    async def main() -> None:
        async with Answering().open() as venue, traded(venue) as (run, connector):
            assert await reloader(run, alike(connector.job, "ETH-USD", "XRP-USD")).reload()
            connection = connector.supervisors[0].connection
            assert connection is not None
            assert connection._transport is not None
            await connection._transport.close("test")
            await run.until(lambda: venue.connects == 2 and connector.state == "live")
            assert subscribes(venue)[-1] == ["ETH-USD", "XRP-USD"]

    asyncio.run(main())


def test_a_connection_that_waits_to_be_made_is_made_with_the_new_symbols() -> None:
    async def main() -> None:
        connection = CONNECTION + "  limits: {connect: 1 per 1s}\n"
        async with Answering().open() as venue, traded(venue, connection) as (run, connector):
            connection = connector.supervisors[0].connection
            assert connection is not None
            assert connection._transport is not None
            await connection._transport.close("test")
            await run.until(lambda: connector.supervisors[0].connection is not connection)
            assert venue.connects == 1
            assert await reloader(run, alike(connector.job, "XRP-USD")).reload()
            assert subscribes(venue) == [["BTC-USD", "ETH-USD"], ["XRP-USD"]]

    asyncio.run(main())


LISTED = HEAD.replace(
    "aliases: {XBT: BTC}}", 'list: {http: "GET https://v.example/all", each: "@", symbol: id, base: b, quote: q}}'
)


def test_a_symbol_that_has_just_been_listed_is_found() -> None:
    rows = [{"id": name, "b": name[:3], "q": "USD"} for name in ("BTC-USD", "ETH-USD")]

    async def main(api: Rest) -> None:
        async with Answering().open() as venue:
            plan, problems = check_text("venue.yaml", LISTED + CONNECTION % venue.port + STREAMS, Path())
            assert plan is not None, problems
            async with Run(plan, overrides=Overrides(http_url=api.url)) as run:
                connector = run.runner.connectors[0]
                connector.job = alike(connector.job)
                await run.until(lambda: run.sink.taken)
                assert not await reloader(run, alike(connector.job, "BTC-USD", "NEWUSD")).reload()
                rows.append({"id": "NEWUSD", "b": "NEW", "q": "USD"})
                assert await reloader(run, alike(connector.job, "BTC-USD", "NEWUSD")).reload()
                assert (len(api.asked), venue.connects) == (3, 1)
                assert await reloader(run, alike(connector.job, "NEWUSD")).reload()
                assert len(api.asked) == 3, "nothing is new"
                assert "NEWUSD" in {record["symbol"] for record in run.sink.records}
                assert (await run.end()).exit_code == 0

    with rest(lambda asked: Answer(rows)) as api:
        asyncio.run(main(api))


def test_symbols_that_no_rule_reads_change_nothing() -> None:
    async def main() -> None:
        async with Answering().open() as venue, traded(venue) as (run, connector):
            before = connector.job
            assert not await reloader(run, alike(before, "NO/SUCH")).reload()
            assert connector.job is before
            assert venue.connects == len(venue.heard) == 1

    asyncio.run(main())


def test_symbols_that_are_not_subscribed_in_time_stay_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PROVE_WITHIN", 0.3)

    async def main() -> None:
        async with Venue(says(trades(trade(1)))).open() as venue, traded(venue) as (run, connector):
            assert not await reloader(run, alike(connector.job, "BTC-USD", "XRP-USD")).reload()
            assert connector.supervisors[0].changing
            assert venue.heard[-1]["symbols"] == ["XRP-USD"]
            assert (await run.end()).exit_code == 0

    asyncio.run(main())


def test_without_an_undo_the_connector_is_replaced_as_a_whole() -> None:
    async def main() -> None:
        connection = CONNECTION.replace("undo: {op: unsub, symbols: $symbols}", "")
        async with Answering().open() as venue, traded(venue, connection) as (run, connector):
            assert await reloader(run, alike(connector.job, "ETH-USD")).reload()
            assert run.runner.connectors[0] is not connector
            assert venue.connects == 2
            assert subscribes(venue) == [["BTC-USD", "ETH-USD"], ["ETH-USD"]]

    asyncio.run(main())


def test_a_whole_replacement_after_a_change_has_the_new_symbols(tmp_path: Path) -> None:
    async def main() -> None:
        async with Answering().open() as venue, traded(venue) as (run, connector):
            assert await reloader(run, alike(connector.job, "ETH-USD", "XRP-USD")).reload()
            other = replace(alike(connector.job, "XRP-USD"), likeness="another")
            assert await reloader(run, other).reload()
            assert run.runner.connectors[0] is not connector
            assert subscribes(venue)[-1] == ["XRP-USD"]
            assert (await run.end()).exit_code == 0

    asyncio.run(main())


def test_which_edits_are_of_symbols_only(tmp_path: Path) -> None:
    file = tmp_path / "venue.yaml"

    def job(text: str) -> Job:
        file.write_text(text)
        return digested(Job(load(str(file))), {})

    text = HEAD + CONNECTION % 1 + STREAMS
    base = job(text)
    other = job(text.replace("BTC-USD, ETH-USD", "BTC-USD"))
    assert (other.likeness, other.digest) != ("", base.digest)
    assert other.likeness == base.likeness
    assert job("# a remark\n" + text).likeness == base.likeness
    assert job(text.replace("XBT: BTC", "XBT: BTX")).likeness != base.likeness
    assert job(text.replace("cap: 100ms", "cap: 90ms")).likeness != base.likeness
    assert digested(replace(job(text), streams=("trade",)), {}).likeness != base.likeness
    assert digested(replace(job(text), symbols=("ADA-USD",)), {}).likeness == base.likeness


def test_a_process_with_one_symbol_more_and_one_less(tmp_path: Path) -> None:
    """A shipped connector, its venue played on this machine: the connection stays, and of every symbol all that was
    sent is on disk once.
    """
    file = tmp_path / "kraken.yaml"
    text = find("kraken").read_text()
    file.write_text(text)
    plan = load(str(file))

    async def main() -> dict[str, Any]:
        exchange = MockExchange(plan, rate=40, faults=Faults(refuse=frozenset({"NO/SUCH"})))
        async with exchange:
            process = await started(file, tmp_path, K2_KRAKEN_WEBSOCKET_URL=exchange.url(), K2_BACKFILL="false")
            try:
                port = await told(process, r"127\.0\.0\.1:(\d+)/metrics")
                await exchange.wait_for(lambda: len(exchange.sent.get(("trade", "BTC/USD"), ())) > 20)
                file.write_text(text.replace("[BTC/USD, ETH/USD]", "[ETH/USD, SOL/USD, NO/SUCH]"))
                process.send_signal(signal.SIGHUP)
                await told(process, "(refused).*NO/SUCH")
                await told(process, r"(the symbols changed).*BTC/USD")
                assert exchange.subscriptions == {("trade", "ETH/USD"), ("trade", "SOL/USD")}
                before = len(exchange.sent["trade", "BTC/USD"])
                await exchange.wait_for(lambda: len(exchange.sent.get(("trade", "SOL/USD"), ())) > 20)
                assert len(exchange.sent["trade", "BTC/USD"]) == before
                assert exchange.connects == 1
                found = await status(port)
                while sum(found["connectors"]["kraken"]["streams"]["trade"]["states"].values()) < 3:
                    found = await status(port)  # the watch looks once a second
                exchange.pause()
                await asyncio.sleep(0.5)
            finally:
                process.send_signal(signal.SIGTERM)
                said = (await asyncio.wait_for(process.communicate(), 10))[1].decode()
            assert process.returncode == 0
            sent.update({symbol: ids for (_, symbol), ids in exchange.sent.items()})
            said_last.append(said)
            return found["connectors"]["kraken"]

    sent: dict[str, list[str]] = {}
    said_last: list[str] = []
    found = asyncio.run(main())
    equation = r"received (\d+) = published \1 \+ duplicates 0 \+ dead letters 0 \+ in flight 0 \+ lost 0"
    assert re.search(equation, said_last[0]), said_last
    on_disk = [one for path in tmp_path.glob("data/*/*.avro") for one in read_container(path)]
    for name in ("BTC/USD", "ETH/USD", "SOL/USD"):
        got = [one["trade_id"] for one in on_disk if one["symbol"] == name.replace("/", "")]
        assert sorted(got) == sorted(f"KRAKEN-{number}" for number in sent[name])
    (socket,) = found["sockets"]
    assert (socket["symbols"], socket["confirmed"], socket["refused"]) == (3, 2, 1)
    assert found["streams"]["trade"]["states"] == {"live": 2, "refused": 1}


@pytest.mark.parametrize("way", ["signal", "watch"])
def test_a_running_process_reads_its_file_again(tmp_path: Path, way: str) -> None:
    async def act(socket: ServerConnection) -> None:
        await socket.send(trades(trade(1)))

    async def main() -> None:
        async with Venue(act).open() as venue:
            file = tmp_path / "venue.yaml"
            text = HEAD + CONNECTION % venue.port + STREAMS
            file.write_text(text)
            process = await started(file, tmp_path, *(["--watch"] if way == "watch" else []))
            try:
                await heard(venue, 1)
                port = await told(process, r"127\.0\.0\.1:(\d+)/metrics")
                rewrite(process, file, text.replace("each: data", "eahc: data"), way)
                await told(process, "(the old plan goes on)")
                assert len(subscribes(venue)) == 1
                rewrite(process, file, text.replace("cap: 100ms", "cap: 200ms").replace(BOTH, "[ETH-USD]"), way)
                await told(process, "(replaced as a whole.*more than its symbols has changed)")
                await told(process, "(the new plan runs)")
                assert subscribes(venue)[-1] == ["ETH-USD"]
                assert venue.connects == 2
                state = await status(port)
                assert state["status"] == "ok"
                assert state["connectors"]["venue"]["sockets"][0]["symbols"] == 1
            finally:
                process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(process.wait(), 10) == 0

    asyncio.run(main())


async def status(port: str) -> Any:
    """What `k2conn status` says of a process."""
    found = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "k2conn", "status", "--port", port, "--format", "json"],
        capture_output=True, check=False,
    )
    return exactjson.decode(found.stdout)


async def started(file: Path, folder: Path, *flags: str, **variables: str) -> Any:
    return await warm_process.executed(
        "run", str(file), "--sink", "file", "--folder", str(folder / "data"),
        "--streams", "trade", "--port", "0", *flags, stderr=asyncio.subprocess.PIPE, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **variables},
    )


def rewrite(process: Any, file: Path, text: str, way: str) -> None:
    file.write_text(text)
    if way == "signal":
        process.send_signal(signal.SIGHUP)


async def told(process: Any, pattern: str) -> str:
    """Reads what the process says until it says this."""
    async with asyncio.timeout(60):
        while line := (await process.stderr.readline()).decode():
            if found := re.search(pattern, line):
                return found.group(1)
    raise AssertionError(f"it never said {pattern}")


def subscribes(venue: Venue) -> list[Any]:
    return [said["symbols"] for said in venue.heard if said["op"] == "sub"]


async def heard(venue: Venue, count: int) -> None:
    async with asyncio.timeout(60):
        while len(subscribes(venue)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
