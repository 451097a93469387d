"""/metrics, /health, /ready and /live of a run, and a port that cannot be had."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from k2conn import exactjson
from k2conn.compiler.compiler import check_text
from k2conn.errors import SettingsError
from k2conn.monitoring import health
from k2conn.monitoring.health import CLIENTS, MOST_ANSWERS, SHARE, HealthServer
from k2conn.monitoring.requests import target_of
from tests.support.plans import HEAD, STREAMS, trade, trades
from tests.support.venues import CONNECTION, Run, Venue, says


async def ask(port: int, request: str) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode("latin-1"))
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n") if head else [""]
    status = int(first.split(" ")[1]) if first else 0
    return status, {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}, body


async def get(port: int, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    return await ask(port, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n")


def serving(check: Any, connection: str | None = None) -> None:
    """Runs a check against the server of a run that has published one trade and one dead letter."""

    async def main() -> None:
        async with Venue(says(trades(trade(1), trade(2, p="x")), "{")).open() as venue:
            plan = venue.plan(connection=connection or CONNECTION)
            async with Run(plan) as run:
                server = HealthServer(run.runner, "127.0.0.1", 0)
                await server.start()
                if connection is None:
                    await run.until(lambda: len(run.sink.taken) == 3)
                    await asyncio.sleep(0.05)
                await check(server.port, run)
                await server.stop()

    asyncio.run(main())


def test_a_run_in_good_order() -> None:
    async def check(port: int, run: Run) -> None:
        assert (await get(port, "/live"))[::2] == (200, b'{"status":"live"}')
        assert (await get(port, "/ready"))[::2] == (200, b'{"ready":true,"waiting_for":[],"silence":{}}')
        status, headers, body = await get(port, "/health?verbose=1")
        state = exactjson.decode(body)
        assert status == 200
        assert headers["content-type"] == "application/json"
        assert (state["status"], state["ready"]) == ("ok", True)
        venue = state["connectors"]["venue"]
        assert venue["state"] == "live"
        assert venue["ledger"].startswith("received 3 = published 1 ")
        assert venue["sockets"][0]["confirmed"] == 2

    serving(check)


def test_a_run_without_its_exchange_is_alive_but_not_ready() -> None:
    async def check(port: int, run: Run) -> None:
        assert (await get(port, "/live"))[0] == 200
        status, _, body = await get(port, "/ready")
        assert status == 503
        assert exactjson.decode(body) == {"ready": False, "waiting_for": ["venue/main-0"], "silence": {}}
        status, _, body = await get(port, "/health")
        assert (status, exactjson.decode(body)["status"]) == (200, "degraded")

    serving(check, CONNECTION % 1)


def test_the_metrics_are_what_the_ledger_says() -> None:
    async def check(port: int, run: Run) -> None:
        status, headers, body = await get(port, "/metrics")
        assert status == 200
        assert headers["content-type"].startswith("text/plain")
        found = {
            (sample.name, sample.labels.get("stream") or sample.labels.get("reason") or ""): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }
        assert found["k2conn_records_received_total", "trade"] == 2
        assert found["k2conn_records_published_total", "trade"] == 1
        assert found["k2conn_records_dead_letters_total", "trade"] == 1
        assert found["k2conn_records_dead_letters_total", "-"] == 1
        assert found["k2conn_dead_letter_reasons_total", "bad-number"] == 1
        assert found["k2conn_connection_live", ""] == 1
        assert found["k2conn_sink_reachable", ""] == 1
        assert found["k2conn_last_data_timestamp_seconds", "trade"] > 1.7e9
        assert any(name == "process_resident_memory_bytes" for name, _ in found)
        totals = run.ledger.totals()
        for name in ("received", "published", "duplicates", "dead_letters", "lost", "filtered"):
            own = [value for (metric, _), value in found.items() if metric == f"k2conn_records_{name}_total"]
            assert sum(own) == totals[name]
        named = [line for line in body.splitlines() if b"BTC" in line]
        label = 'connector="venue",exchange="VENUE",stream="trade",symbol="BTCUSD"'
        assert named == [b'k2conn_last_price{%s} 64000.1' % label.encode()]

    serving(check)


def test_other_paths_methods_and_noise() -> None:
    async def check(port: int, run: Run) -> None:
        assert (await get(port, "/favicon.ico"))[0] == 404
        assert (await get(port, "/live/"))[0] == 200
        assert (await get(port, "/live", "POST"))[0] == 405
        status, headers, body = await get(port, "/live", "HEAD")
        assert (status, headers["content-length"], body) == (200, "17", b"")
        for noise in ("\r\n\r\n", "hello\r\n\r\n", "\x16\x03\x01\r\n\r\n", "GET / HTTP/1.1\r\nX: " + "x" * 70_000):
            assert (await ask(port, noise))[0] in (400, 431)
        assert (await get(port, "/live"))[0] == 200

    serving(check)


def test_a_port_that_is_taken_is_named_with_the_way_out() -> None:
    async def main() -> None:
        async with Venue(says()).open() as venue, Run(venue.plan()) as run:
            with pytest.raises(SettingsError, match=rf"127\.0\.0\.1:{venue.port} .*--port"):
                await HealthServer(run.runner, "127.0.0.1", venue.port).start()

    asyncio.run(main())


def test_a_connector_that_waits_for_the_venue_s_list_is_not_ready() -> None:
    async def main() -> None:
        call = "{http: GET http://127.0.0.1:1/l, each: data, symbol: s, base: b, quote: q}"
        listed = f"aliases: {{XBT: BTC}}, list: {call}}}"
        head = HEAD.replace("aliases: {XBT: BTC}}", listed)
        plan, problems = check_text("venue.yaml", head + CONNECTION % 1 + STREAMS, Path())
        assert plan is not None, problems
        async with Run(plan) as run:
            server = HealthServer(run.runner, "127.0.0.1", 0)
            await server.start()
            await run.until(run.runner.opened.is_set)
            status, _, body = await get(server.port, "/ready")
            assert status == 503
            assert exactjson.decode(body)["waiting_for"] == ["venue: it has no connection yet"]
            await server.stop()

    asyncio.run(main())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9091", "[::1]:9091", "LOCALHOST:1", "10.0.0.7", "k2conn"])
def test_who_may_be_asked_for(host: str) -> None:
    async def check(port: int, run: Run) -> None:
        assert (await ask(port, f"GET /live HTTP/1.1\r\nHost: {host}\r\n\r\n"))[0] == 200

    serving(check)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9091", "127.0.0.1.evil.example", "evil.example.", "a b.c", "x\r\nHost: y"]
)
def test_a_page_whose_name_leads_here_is_told_nothing(host: str) -> None:
    async def check(port: int, run: Run) -> None:
        status, _, body = await ask(port, f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n")
        assert status in (400, 403)
        assert b"connectors" not in body

    serving(check)


def test_a_port_that_all_may_ask_takes_any_name() -> None:
    assert target_of(b"GET /live HTTP/1.1\r\nHost: k2.example", False) == ("GET", "/live")


@pytest.mark.parametrize("request_lines", ["GET /live HTTP/1.1\r\nX: ", ""])
def test_clients_that_do_not_ask_keep_nobody_out(request_lines: str) -> None:
    async def check(port: int, run: Run) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * CLIENTS)]
        for _, writer in held:
            writer.write(request_lines.encode())
        await asyncio.sleep(0.1)
        assert (await get(port, "/live"))[0] == 200
        gone = [reader for reader, _ in held if reader.at_eof() or reader.exception() is not None]
        assert len(gone) >= 2 * CLIENTS
        for _, writer in held:
            writer.transport.abort()

    serving(check)


def test_clients_that_come_all_at_once_are_no_more_than_there_may_be() -> None:
    """Several are taken in one turn of the event loop: for each of them another one must go."""
    async def check(port: int, run: Run) -> None:
        waiting = [socket.socket() for _ in range(CLIENTS + 30)]
        try:
            for one in waiting:  # before the server has a turn, and within its backlog
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
            await asyncio.sleep(0.5)
            assert (await get(port, "/live"))[0] == 200
            assert sum(map(stands, waiting)) <= CLIENTS
        finally:
            for one in waiting:
                one.close()

    serving(check)


def stands(client: socket.socket) -> bool:
    """Whether a connection was not cut off."""
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def all_of(client: socket.socket) -> bytes:
    """What came until the connection ended, in whatever way."""
    client.settimeout(5)
    found = bytearray()
    with suppress(ConnectionError):
        while part := client.recv(1 << 20):
            found += part
    return bytes(found)


def test_a_client_that_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "WITHIN", 0.5)

    async def check(port: int, run: Run) -> None:
        monkeypatch.setattr(health.metrics, "exposition", lambda runner: b"#" * 40_000_000)
        client = socket.create_connection(("127.0.0.1", port))
        with client:
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            await asyncio.sleep(1.0)
            assert len(await asyncio.to_thread(all_of, client)) < 40_000_000
        monkeypatch.undo()
        assert (await get(port, "/live"))[0] == 200

    serving(check)


def laborious(made: list[bytes]) -> Any:
    """Metrics that take 0.1 s of the processor, counted."""

    def exposition(runner: object) -> bytes:
        until = time.thread_time() + 0.1
        while time.thread_time() < until:
            pass
        made.append(b"# %d" % len(made))
        return made[-1]

    return exposition


def test_an_answer_that_is_much_work_is_made_once_for_all_who_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(port: int, run: Run) -> None:
        made: list[bytes] = []
        monkeypatch.setattr(health.metrics, "exposition", laborious(made))
        began = time.monotonic()
        answers = await asyncio.gather(*(get(port, "/metrics") for _ in range(20)), get(port, "/health"))
        assert [status for status, _, _ in answers] == [200] * 21
        assert len(made) <= 1 + SHARE * (time.monotonic() - began) / 0.1
        await asyncio.sleep(0.1 / SHARE)
        assert (await get(port, "/metrics"))[2] == made[-1] != answers[0][2]

    serving(check)


def test_answers_that_are_much_work_leave_time_for_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(port: int, run: Run) -> None:
        made: list[bytes] = []
        monkeypatch.setattr(health.metrics, "exposition", laborious(made))
        monkeypatch.setattr(health, "SHARE", 0.05)
        monkeypatch.setattr(health, "MOST_WORK", 0.3)
        server = HealthServer(run.runner, "127.0.0.1", 0)
        await server.start()
        began, statuses = time.monotonic(), []
        while time.monotonic() - began < 4 or (429 not in statuses and time.monotonic() - began < 60):
            server._latest.clear()  # as if each were of another path
            statuses.append((await get(server.port, "/metrics"))[0])
            await asyncio.sleep(0.05)
        assert set(statuses) == {200, 429}
        assert len(made) <= (0.3 + 0.05 * (time.monotonic() - began)) / 0.1 + 1
        assert (await get(server.port, "/live"))[0] == 200
        await server.stop()

    serving(check)


@pytest.mark.parametrize(("age", "status"), [(health.STALE - 5, 200), (health.STALE + 5, 429)])
def test_where_there_is_too_much_work_there_is_the_latest_answer(age: float, status: int) -> None:
    async def check(port: int, run: Run) -> None:
        server = HealthServer(run.runner, "127.0.0.1", 0)
        await server.start()
        first = await get(server.port, "/health")
        _, latest = server._latest["/health"]
        server._latest["/health"] = asyncio.get_running_loop().time() - age, latest
        server._credit = -100.0
        again = await get(server.port, "/health")
        assert (first[0], again[0]) == (200, status)
        assert (again[2] == first[2]) == (status == 200)
        await server.stop()

    serving(check)


def test_work_for_clients_is_bounded() -> None:
    async def check(port: int, run: Run) -> None:
        for _ in range(20):  # on a busy machine a second is over before all have asked
            found = await asyncio.gather(*(get(port, "/nothing") for _ in range(2 * MOST_ANSWERS)))
            if any(status == 429 for status, _, _ in found):
                break
        assert 429 in [status for status, _, _ in found]
        assert (await get(port, "/live"))[0] == 200
        await asyncio.sleep(1.1)
        assert (await get(port, "/health"))[0] == 200

    serving(check)
