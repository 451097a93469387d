"""All symbols of a venue, by its list or by its own word for them; and what its list does not have."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection, serve

from k2conn import exactjson
from k2conn.compiler.compiler import check_text
from k2conn.errors import SettingsError
from k2conn.plan import Plan
from k2conn.runner.connector import Job
from k2conn.workers.assignment import assign
from tests.integration.test_byte_mocks import DIALOGUE, ROW, STREAM, k2conn
from tests.integration.test_connection_words import mock
from tests.integration.test_workers import running_workers
from tests.support.plans import HEAD, STREAMS, plan_of, trade, trades
from tests.support.venues import Run

CONNECTION = """
connection:
  url: ws://127.0.0.1:%d/ws
  steps:
    - send: {op: sub, symbols: $symbols}
      for: trade
      expect: {accepted: {op: sub, ok: true}, symbol: s, within: 5s}
      undo: {op: unsub, symbols: $symbols}
  ignore: {op: unsub}
"""
LIST = """symbols:
  default: [BTC-USD, ETH-USD]
  form: "{base}-{quote}"
  unlisted: %s
  list:
    http: GET http://127.0.0.1:%d/list
    each: data
    symbol: id
    status: state
    trading: [live]
    refresh: 200ms
"""


class ListedVenue:
    """A venue with a list; it acknowledges every symbol, and sends a trade of each."""

    def __init__(self, *listed: str) -> None:
        self.listed = list(listed)
        self.halted: set[str] = set()
        self.heard: list[list[str]] = []
        self.connects = 0

    async def _serve(self, client: ServerConnection) -> None:
        self.connects += 1
        async for frame in client:
            said = exactjson.decode(frame)
            if said["op"] != "sub":
                continue
            self.heard.append(said["symbols"])
            await client.send(exactjson.encode({"op": "sub", "ok": True, "s": said["symbols"]}).decode())
            for name in said["symbols"]:
                await client.send(trades(trade(len(self.heard), s=name)))

    async def _list(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # a process that asks may be killed
            await reader.readuntil(b"\r\n\r\n")
        rows = [{"id": name, "state": "halted" if name in self.halted else "live"} for name in self.listed]
        body = exactjson.encode({"data": rows})
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def open(self, unlisted: str = "try") -> AsyncIterator[Plan]:
        async with self.written(unlisted) as text:
            yield whole_plan(text)

    @asynccontextmanager
    async def written(self, unlisted: str = "try") -> AsyncIterator[str]:
        """Its connector file, while it serves."""
        async with (
            serve(self._serve, "127.0.0.1", 0) as server,
            await asyncio.start_server(self._list, "127.0.0.1", 0) as listing,
        ):
            ports = [next(iter(one.sockets)).getsockname()[1] for one in (server, listing)]
            head = HEAD[: HEAD.index("symbols:")] + LIST % (unlisted, ports[1])
            yield head + CONNECTION % ports[0] + STREAMS

    @property
    def subscribed(self) -> set[str]:
        return {name for names in self.heard for name in names}


def whole_plan(text: str) -> Plan:


    plan, problems = check_text("venue.yaml", text, Path())
    assert plan is not None, problems
    return plan


def played(
    venue: ListedVenue, symbols: tuple[str, ...] | None, unlisted: str, then: Callable[[Run], Any]
) -> list[dict[str, Any]]:
    """Runs a connector; what it logged."""

    async def main() -> None:
        async with venue.open(unlisted) as plan, Run(plan, symbols=symbols) as run:
            await then(run)

    with capture_logs() as logs:
        asyncio.run(main())
    return [dict(one) for one in logs]


def test_all_that_the_list_says_and_what_it_says_later_on_the_open_connection() -> None:
    venue = ListedVenue("BTC-USD", "ETH-USD", "SOL-USD", "OLD-USD", "no symbol")
    venue.halted = {"OLD-USD"}

    async def then(run: Run) -> None:
        await run.until(lambda: len(run.sink.taken) == 3)
        assert venue.subscribed == {"BTC-USD", "ETH-USD", "SOL-USD"}
        venue.listed = ["NEW-USD", "BTC-USD", "SOL-USD"]
        await run.until(lambda: "NEW-USD" in venue.subscribed)
        await run.until(lambda: len(run.sink.taken) == 4)
        await run.until(lambda: not run.runner.connectors[0].changing_symbols.locked())
        assert venue.connects == 1
        assert venue.heard[1:] == [["NEW-USD"]]

    logs = played(venue, ("all",), "try", then)
    (line,) = [one for one in logs if one["event"] == "the venue lists new symbols"]
    assert (line["added"], line["subscribed"], line["sockets_opened"]) == (["NEW-USD"], True, 0)


def test_what_is_asked_for_and_not_listed_is_refused_and_said_until_it_is_listed() -> None:
    venue = ListedVenue("BTC-USD")

    async def then(run: Run) -> None:
        await run.until(lambda: run.sink.taken)
        assert venue.heard == [["BTC-USD"]]
        assert run.ledger.refused == 1
        venue.listed.append("ETH-USD")
        await run.until(lambda: venue.heard == [["BTC-USD"], ["ETH-USD"]])
        await run.until(lambda: len(run.sink.taken) == 2)

    logs = played(venue, None, "refuse", then)
    assert [one["symbol"] for one in logs if one["event"] == "refused"] == ["ETH-USD"]
    assert any(one.get("reason") == "the venue's list does not have it" for one in logs)


def test_where_none_is_listed_the_connector_cannot_go_on() -> None:
    venue = ListedVenue("SOL-USD")

    async def then(run: Run) -> None:
        with pytest.raises(SettingsError, match="the venue's list does not have BTC-USD, ETH-USD"):
            await run.until(lambda: False)

    played(venue, None, "refuse", then)
    assert venue.heard == []


def test_without_a_word_about_it_what_is_not_listed_is_tried() -> None:
    venue = ListedVenue("SOL-USD")

    async def then(run: Run) -> None:
        await run.until(lambda: len(run.sink.taken) == 2)

    played(venue, None, "try", then)
    assert venue.heard == [["BTC-USD", "ETH-USD"]]


def test_all_symbols_need_no_more_connections_than_the_venue_allows() -> None:
    venue = ListedVenue("BTC-USD", "ETH-USD", "SOL-USD")

    async def main() -> None:
        async with venue.open() as plan:
            limits = replace(plan.connections[0].limits, symbols=1, connections=2)
            plan = replace(plan, connections=(replace(plan.connections[0], limits=limits),))
            async with Run(plan, symbols=("all",)) as run:
                await run.until(lambda: False)

    with pytest.raises(SettingsError, match="all symbols need 3 connections main, and the venue allows 2"):
        asyncio.run(main())


def test_all_of_a_venue_without_a_list_is_nothing() -> None:
    async def main() -> None:
        async with Run(plan_of(CONNECTION % 9, STREAMS), symbols=("all",)) as run:
            await run.until(lambda: False)

    with pytest.raises(SettingsError, match="which symbols are `all` nobody knows"):
        asyncio.run(main())


# -- several processes


def test_all_that_the_list_says_is_dealt_out_to_workers_and_what_it_says_later(tmp_path: Path) -> None:
    venue = ListedVenue("BTC-USD", "ETH-USD", "SOL-USD", "OLD-USD", "XRP-USD")
    venue.halted = {"OLD-USD"}

    async def main() -> None:
        async with venue.written() as text:
            (tmp_path / "venue.yaml").write_text(text)
            arguments = ("venue.yaml", "--symbols", "all", "--streams", "trade", "--workers", "2")
            async with running_workers(tmp_path, *arguments) as run:
                await run.until(lambda now: published(now) == 4)
                assert sorted(map(sorted, venue.heard)) == [["BTC-USD", "SOL-USD"], ["ETH-USD", "XRP-USD"]]
                venue.listed = ["NEW-USD", "BTC-USD"]
                await run.until(lambda now: published(now) == 5 and dealt(now) == [2, 3])
                assert (venue.connects, venue.heard[2:]) == (2, [["NEW-USD"]])
                worker = next(one for one in (await run.state())["workers"] if one["symbols"]["venue"] == 3)
                os.kill(worker["pid"], signal.SIGKILL)
                # what is not listed any more is not asked for again by a process that begins, and is no reason to end
                await run.until(lambda now: [one["restarts"] for one in now["workers"]].count(1) and now["ready"])
                await run.until(lambda _: len(venue.heard) == 4)
                assert {"NEW-USD"} <= set(venue.heard[3]) <= {"BTC-USD", "NEW-USD"}
                run.process.send_signal(signal.SIGTERM)
                assert await run.ended() == 0, run.text

    asyncio.run(main())


def published(state: dict[str, Any]) -> int:
    """0 while no worker answers."""
    found: int = state["connectors"].get("venue", {"published": 0})["published"]
    return found


def dealt(state: dict[str, Any]) -> list[int]:
    return sorted(one["symbols"]["venue"] for one in state["workers"])


def test_a_list_that_cannot_be_had_is_nothing_to_deal_out(tmp_path: Path) -> None:
    async def main() -> None:
        head = HEAD[: HEAD.index("symbols:")] + LIST % ("try", 9)
        (tmp_path / "venue.yaml").write_text(head + CONNECTION % 9 + STREAMS)
        arguments = ("venue.yaml", "--symbols", "all", "--streams", "trade", "--workers", "2")
        async with running_workers(tmp_path, *arguments) as run:
            assert await run.ended() == 69, run.text
        assert "venue: which symbols are `all` its list says, and that could not be read in 3 tries" in run.text
        assert "Traceback" not in run.text

    asyncio.run(main())


def test_all_of_a_venue_without_a_list_is_nothing_for_workers_either() -> None:
    with pytest.raises(SettingsError, match="which symbols are `all` nobody knows"):
        assign([Job(plan_of(CONNECTION % 9, STREAMS), ("all",), ("trade",))], 2)


def test_what_the_venue_has_one_word_for_is_for_one_of_the_workers() -> None:
    plan = plan_of(EVERY, STREAMS)
    whole = Job(replace(plan, symbols=replace(plan.symbols, all="*")), ("all",), ("trade",))
    other = Job(replace(plan, name="other"), None, ("trade",))
    found = [one.jobs([whole, other]) for one in assign([whole, other], 2)]
    assert [[(job.plan.name, job.symbols, job.share) for job in jobs] for jobs in found] == [
        [("venue", ("all",), None), ("other", ("ETH-USD",), None)], [("other", ("BTC-USD",), None)],
    ]
    with pytest.raises(SettingsError, match="--workers 2: there is work for 1 only"):
        assign([whole], 2)


EVERY = """
connection:
  url: wss://venue.example/ws
  steps:
    - send: {op: sub, symbols: $symbols}
      for: trade
      expect: {accepted: {op: sub, ok: true}, symbol: s, within: 5s}
"""


def test_the_venues_own_word_for_all_as_a_user_runs_it(tmp_path: Path) -> None:
    file = tmp_path / "venue.yaml"
    head = HEAD.replace("symbols: {", 'symbols: {all: "*", ')
    file.write_text(head + EVERY + STREAM % "s" + DIALOGUE % ROW)
    shown = k2conn(file, "plan", file.name, "--symbols", "all", "--frames")
    assert '{"op":"sub","symbols":["*"]}' in shown.stdout, shown.stderr
    assert "all symbols    *" in k2conn(file, "explain", file.name).stdout
    with mock(file) as venue:
        done = k2conn(
            file, "run", file.name, "--symbols", "all", "--sink", "console", "--port", "-1", "--max-records", "8",
            "--duration", "60s", **venue.variables,
        )
    assert done.returncode == 0, done.stderr
    assert {json.loads(line)["record"]["symbol"] for line in done.stdout.splitlines()} == {"BTCUSD", "ETHUSD"}
    assert "confirmed=1" in done.stderr
    assert "0 frames not understood" in venue.said
