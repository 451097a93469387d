"""The console of a run, as the port serves it: files, pages for as long as somebody looks, and who may not."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from k2conn.cli.tap_conditions import compiled_condition
from k2conn.monitoring.console import bundle, feed
from k2conn.monitoring.console.web_console import NO_TAP, WebConsole
from k2conn.monitoring.health import HealthServer, RunnerView
from k2conn.monitoring.tap.listening import Taps
from k2conn.monitoring.tap.passing import Tap
from tests.integration.test_health import ask
from tests.integration.test_workers import running_workers
from tests.support.plans import STREAMS, trade, trades
from tests.support.recordings import mock
from tests.support.venues import Run, Venue, says

TOKEN = "open-sesame-open-sesame"
STATIC = Path(bundle.__file__).parent / "static"
GOOD = [trades(trade(1), trade(2, p="x"), trade(5)), "{"]


@asynccontextmanager
async def served(
    *frames: str, token: str = "", taps: bool = True, hosts: tuple[str, ...] = (), streams: str = STREAMS
) -> AsyncIterator[tuple[int, Run, WebConsole]]:
    async with Venue(says(*(frames or GOOD))).open() as venue, Run(venue.plan(streams=streams)) as run:
        view = RunnerView(run.runner)
        here = Taps(lambda wanted: Tap(wanted, run.runner.observers, run.runner.captured), compiled_condition)
        own = here if taps else None
        console = WebConsole(view, own, token, True, hosts)
        server = HealthServer(view, "127.0.0.1", 0, own, console)
        await server.start()
        await run.until(lambda: run.ledger.totals()["published"] >= 1 and not run.sink.waiting)
        try:
            yield server.port, run, console
        finally:
            await server.stop()


async def get(port: int, path: str, *lines: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    return await ask(port, "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", "")))


class Events:
    """A client of a page."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.state: dict[str, Any] = {}

    async def next(self) -> str:
        """The name of the next event; its data is in the state."""
        async with asyncio.timeout(60):
            while not (line := await self.reader.readline()).startswith(b"event: "):
                assert line, "the end"
            name = line[7:].strip().decode()
            data = await self.reader.readline()
        assert data.startswith(b"data: ")
        self.state[name] = json.loads(data[6:])
        return name

    async def until(self, *names: str) -> dict[str, Any]:
        while not self.state.keys() >= set(names):
            await self.next()
        return self.state


@asynccontextmanager
async def looking(port: int, query: str, *lines: str) -> AsyncIterator[Events]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    request = ("GET /console/events?" + query + " HTTP/1.1", "Host: localhost", *lines, "", "")
    writer.write("\r\n".join(request).encode())
    try:
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        yield Events(reader, writer)
    finally:
        writer.transport.abort()


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("href", "src")]
        self.bad += [name for name, _ in attrs if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in dict(attrs)):
            self.bad.append(tag)


def test_the_files_and_what_a_browser_may_do_with_them() -> None:
    async def main() -> None:
        async with served() as (port, _, _):
            for path in ("/", "/console", "/console/"):
                status, headers, body = await get(port, path)
                assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
                assert body == (STATIC / "index.html").read_bytes()
            for name in ("console.css", "main.js", "icon.svg"):
                status, headers, body = await get(port, f"/console/{name}")
                assert (status, body) == (200, (STATIC / name).read_bytes())
                assert headers["x-content-type-options"] == "nosniff"
                policy = headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert not re.search(r"unsafe|https?:|\*|data:", policy)
                assert (await get(port, f"/console/{name}", f"If-None-Match: {headers['etag']}"))[::2] == (304, b"")
            status, headers, body = await get(port, "/", method="HEAD")
            assert (status, body) == (200, b"")
            for name in ("nothing.js", "../access.py", "%2e%2e/access.py", "static/main.js", "//x"):
                assert (await get(port, f"/console/{name}"))[0] == 404
            assert (await get(port, "/console/events", method="HEAD"))[0] == 405
            assert (await get(port, "/", method="POST"))[0] == 405

    asyncio.run(main())


def test_the_files_ask_nobody_else_and_make_no_markup_of_texts() -> None:
    page = Links()
    page.feed((STATIC / "index.html").read_text())
    assert not page.bad
    assert all(one.startswith(("/console/", "#")) for one in page.found)
    scripts = {path.name: path.read_text() for path in STATIC.glob("*.js")}
    assert len(scripts) > 5
    for name, text in scripts.items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|"
                             r"DOMParser|createContextualFragment|setHTML", text), name
        assert set(re.findall(r"https?://[^\"'` ]+", text)) <= {"http://www.w3.org/2000/svg"}, name
        assert all(one.startswith("./") for one in re.findall(r"from \"([^\"]+)\"", text)), name
    assert "http" not in re.sub(r"/\*.*?\*/", "", (STATIC / "console.css").read_text(), flags=re.DOTALL)


def test_pages_say_what_there_is() -> None:
    async def main() -> None:
        async with served() as (port, run, _):
            async with looking(port, "page=overview") as one:
                state = await one.until("overview", "history")
                (row,) = state["overview"]["rows"]
                assert (row["connector"], row["dead_letters"], row["published"]) == ("venue", 2, 2)
                assert state["overview"]["totals"]["received"] == run.ledger.totals()["received"]
                assert len(state["overview"]["errors"]) == 2
            async with looking(port, "page=connector&connector=venue&sort=rate&limit=2") as one:
                state = await one.until("connector", "examples", "drift", "odd")
                assert state["odd"] == {"found": 0, "records": []}
                assert state["connector"]["connector"]["ledger"].startswith("received 4 = published 2")
                assert state["connector"]["symbols"]["limit"] == 2
                way = state["examples"]["way"]
                assert way["connections"] == [{"connection": "main", "streams": ["trade"], "replicas": 1}]
                assert way["streams"][0]["topics"] == ["market.crypto.trades.venue"]
                bad, malformed = sorted(state["examples"]["letters"], key=lambda one: one["reason"])
                assert (bad["reason"], bad["field"], bad["marked"]) == ("bad-number", "price", '"x"')
                assert bad["before"] + bad["marked"] + bad["after"] == GOOD[0]
                assert (malformed["reason"], malformed["before"]) == ("malformed-frame", "{")
            async with looking(port, "page=symbol&connector=venue&symbol=BTCUSD") as one:
                state = await one.until("symbol", "examples")
                assert {row["symbol"] for row in state["symbol"]["rows"]} == {"BTCUSD"}
                assert [one["symbol"] for one in state["examples"]["letters"]] == ["BTCUSD"]
            async with looking(port, "page=connector&connector=nobody") as one:
                assert await one.next() == "missing"

    asyncio.run(main())


def test_gaps_are_told_with_what_became_of_them() -> None:
    rule = "    sequence: {from: i, rule: contiguous, per: symbol}\n"
    streams = STREAMS.replace("    each: data\n", f"    each: data\n{rule}")

    async def main() -> None:
        async with served(trades(trade(1), trade(4), trade(9)), streams=streams) as (port, run, _):
            await run.until(lambda: run.ledger.totals()["gaps"] == 2)
            async with looking(port, "page=connector&connector=venue") as one:
                found = (await one.until("examples"))["examples"]["gaps"]
            assert sorted(gap["missing"] for gap in found) == [2, 4]
            assert {(gap["status"], gap["backfill"], gap["symbol"]) for gap in found} == {("OPEN", "none", "BTCUSD")}
            assert all(gap["told_us"] >= gap["since_us"] > 1.7e15 for gap in found)

    asyncio.run(main())


@pytest.mark.parametrize(
    "query", ["page=other", "page=connector", "page=symbol&connector=venue", "page=connector&connector=venue&sort=x",
              "page=connector&connector=venue&limit=0", "page=symbol&connector=venue&symbol=" + "x" * 300],
)
def test_what_no_page_is(query: str) -> None:
    async def main() -> None:
        async with served() as (port, _, _):
            status, _, body = await get(port, f"/console/events?{query}")
            assert status == 400
            assert json.loads(body)["error"]

    asyncio.run(main())


def test_data_needs_the_token_and_the_files_need_none() -> None:
    async def main() -> None:
        async with served(token=TOKEN) as (port, _, _):
            assert (await get(port, "/"))[0] == 200
            for name in ("events?page=overview", "session", "tap"):
                assert (await get(port, f"/console/{name}"))[0] == 401
                assert (await get(port, f"/console/{name}", f"Authorization: Bearer {TOKEN[:-1]}"))[0] == 401
                assert (await get(port, f"/console/{name}?token={TOKEN}"))[0] == 401  # an address ends in logs
            status, headers, body = await get(port, "/console/login", f"Authorization: Bearer {TOKEN}")
            assert (status, body) == (204, b"")
            cookie = headers["set-cookie"].split(";")[0]
            assert headers["set-cookie"].endswith("HttpOnly; SameSite=Strict")
            status, _, body = await get(port, "/console/session", f"Cookie: {cookie}")
            assert (status, json.loads(body)) == (200, {"asks": True, "tap": ""})
            async with looking(port, "page=overview", f"Cookie: {cookie}") as one:
                await one.until("overview")
            assert (await get(port, "/console/logout"))[1]["set-cookie"].startswith(f"k2conn_{port}=; ")
            assert (await get(port, "/console/login", "Authorization: Bearer no"))[0] == 401

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/", "/console/main.js", "/console/session", "/console/events?page=overview"])
def test_a_foreign_name_and_a_foreign_page_get_nothing(path: str) -> None:
    async def main() -> None:
        async with served(hosts=("k2.example",)) as (port, _, _):
            for host, expected in (("evil.example", 403), ("localhost.evil.example", 403)):
                assert (await ask(port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))[0] == expected
            assert (await ask(port, f"GET {path} HTTP/1.1\r\n\r\n"))[0] == 403
            assert (await ask(port, "GET /console/session HTTP/1.1\r\nHost: K2.example:1\r\n\r\n"))[0] == 200
            if path.startswith(("/console/session", "/console/events")):
                assert (await get(port, path, "Sec-Fetch-Site: cross-site"))[0] == 403

    asyncio.run(main())


def test_the_tap_of_the_console() -> None:
    async def main() -> None:
        async with served() as (port, run, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /console/tap?kind=record&rate=50 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            await run.until(lambda: len(run.runner.observers.watching) > 0)
            writer.transport.abort()
            await run.until(lambda: not run.runner.observers.watching)
            assert (await get(port, "/console/tap?kind=nothing"))[0] == 400
        async with served(taps=False) as (port, _, _):
            assert json.loads((await get(port, "/console/session"))[2])["tap"] == NO_TAP
            assert (await get(port, "/console/tap"))[0] == 404

    asyncio.run(main())


def test_clients_are_few_and_one_that_stalls_is_sent_away_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "STALLED", 0.3)
    monkeypatch.setattr(feed, "EVERY", 0.001)
    monkeypatch.setattr(feed, "SHARE", 10.0)
    monkeypatch.setattr(feed, "MOST_LOOKING", 2)

    async def main() -> None:
        async with served() as (port, run, console):
            stalled = socket.socket()
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(stalled, ("127.0.0.1", port))
            await loop.sock_sendall(stalled, b"GET /console/events?page=overview HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with looking(port, "page=overview") as one:
                await one.until("overview")
                assert (await get(port, "/console/events?page=overview"))[0] == 429
                for _ in range(2000):  # the one that reads goes on
                    await one.next()
                    if console.feed.dropped:
                        break
                else:
                    raise AssertionError("the one that stalls is still there")
                await one.next()
            stalled.close()
            async with looking(port, "page=overview") as one:
                await one.until("overview")
            metrics = (await get(port, "/metrics"))[2].decode()
            assert "k2conn_console_dropped_clients_total 1\n" in metrics
            assert run.ledger.balanced()

    asyncio.run(main())


def test_nothing_is_done_while_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with served() as (port, _, _):
            asked: list[object] = []
            view_board = RunnerView.board
            monkeypatch.setattr(RunnerView, "board", lambda *given: asked.append(given) or view_board(*given))
            async with looking(port, "page=overview") as one:
                await one.until("overview", "history")
            await asyncio.sleep(0.1)
            count = len(asked)
            assert count
            await asyncio.sleep(1.5)
            assert len(asked) == count

    asyncio.run(main())


async def tapped_workers(port: int) -> set[int]:
    """The workers whose records the console's tap shows."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /console/tap?kind=record&count=40 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(60):
        assert b" 200 " in await reader.readline()
        lines = (await reader.read()).partition(b"\r\n\r\n")[2].splitlines()
    writer.close()
    return {json.loads(line)["worker"] for line in lines if b'"record"' in line}


def test_several_processes_are_shown_as_one(tmp_path: Path) -> None:
    async def main() -> None:
        with mock(tmp_path, "kraken", "--rate", 20, "--garbage-every", 20) as venue:
            async with running_workers(
                tmp_path, "kraken", "--sink", "none", "--workers", 2, **venue
            ) as pool:
                await pool.until(lambda state: "kraken" in state["connectors"]
                                 and state["connectors"]["kraken"]["published"] > 20)
                async with looking(pool.port, "page=connector&connector=kraken") as one:
                    state = await one.until("connector", "examples", "drift")
                    while not state["examples"]["letters"]:
                        await one.next()
                sockets = {socket["worker"] for socket in state["connector"]["connector"]["sockets"]}
                assert sockets == {0, 1}
                assert state["examples"]["way"]["connections"][0]["connection"] == "main"
                assert state["connector"]["board"]["workers"]
                assert json.loads((await get(pool.port, "/console/session"))[2])["tap"] == ""
                assert await tapped_workers(pool.port) == {0, 1}

    asyncio.run(main())
