"""`k2conn run --workers`: real processes against mock exchanges, killed, stopped, reloaded."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import fastavro
import pytest
from prometheus_client.parser import text_string_to_metric_families

from k2conn.cli.run import run as start
from k2conn.cli.run_options import RunOptions
from k2conn.cli.status import run as status
from k2conn.compiler.compiler import load_plan
from k2conn.errors import SettingsError
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.server import MockServer
from k2conn.workers.assignment import Assignment
from k2conn.workers.worker_pool import WorkerPool as Led
from tests.integration.test_health import get
from tests.integration.test_run import environment
from tests.kafka.test_end_to_end import NameTopic, own_topics, readable
from tests.kafka.test_sink import read
from tests.servers import SharedBroker, SharedRegistry
from tests.servers.process import free_port
from tests.support import warm_process
from tests.support.plans import HEAD, STREAMS
from tests.support.sinks import trade as put_trade
from tests.support.spools import Spool
from tests.support.venues import CONNECTION

NAMES = ("binance", "kraken")


class WorkerPool:
    """A process that leads workers, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port
        self.said: list[str] = []

    async def listen(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.said.append(line.decode().rstrip("\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.said if line.startswith("{")]

    async def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((await get(self.port, "/health"))[2])
        return found

    async def until(self, condition: Callable[[dict[str, Any]], object], within: float = 60) -> dict[str, Any]:
        """The state as soon as it is so."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            with suppress(OSError, ValueError):
                state = await self.state()
                if condition(state):
                    return state
            assert self.process.returncode is None, self.text
            await asyncio.sleep(0.05)
        raise AssertionError(f"it never came true: {self.text}")

    async def told(self, word: str, within: float = 60) -> None:
        end = time.monotonic() + within
        while word not in self.text:
            assert time.monotonic() < end, f"it never said {word}: {self.text}"
            await asyncio.sleep(0.05)

    async def ended(self, within: float = 60) -> int:
        async with asyncio.timeout(within):
            return await self.process.wait()


@asynccontextmanager
async def running_workers(
    folder: Path, *arguments: object, program: Sequence[str] = (), **variables: str
) -> AsyncIterator[WorkerPool]:
    """`k2conn run ...`; killed at the end where it still runs."""
    port = free_port()
    words = ["run", "--folder", "out", *map(str, arguments), "--port", str(port), "--daemon", "--summary", "sum.json"]
    how: dict[str, Any] = {"cwd": folder, "env": environment(**variables), "stderr": asyncio.subprocess.PIPE,
                           "start_new_session": True}
    process = await (asyncio.create_subprocess_exec(sys.executable, *program, *words, **how) if program
                     else warm_process.executed(*words, **how))
    found = WorkerPool(process, port)
    listening = asyncio.create_task(found.listen())
    try:
        yield found
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await asyncio.wait({listening}, timeout=5)
        listening.cancel()


@asynccontextmanager
async def mocks(folder: Path, prefix: str, **how: Any) -> AsyncIterator[tuple[list[MockExchange], dict[str, str]]]:
    """Mocks of two exchanges, and the variables by which a process finds them."""
    plans = [load_plan(own_topics(name, folder, prefix)) for name in NAMES]
    exchanges = [MockExchange(plan, **how) for plan in plans]
    async with MockServer(exchanges):
        yield exchanges, {
            f"K2_{one.plan.name.upper()}_WEBSOCKET_URL": one.url() for one in exchanges
        } | {
            f"K2_{one.plan.name.upper()}_HTTP_URL": one.http_url for one in exchanges if one.http_url is not None
        } | {"K2_BACKFILL": "false"}


def timed(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    def run(*arguments: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*arguments), 600))

    return run


def files(folder: Path, topic: str) -> list[dict[str, Any]]:
    """All records of a topic's files, those of each file in order."""
    found: list[dict[str, Any]] = []
    for path in sorted((folder / "out" / topic).glob("*.avro")):
        # Cut short, where its process was killed while it wrote.
        with path.open("rb") as file, suppress(EOFError, ValueError):
            records: Any = fastavro.reader(file)
            found += records
    return found


def native_ids(records: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """The venue's own ids by its own symbols, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for record in records:
        found[record["vendor_data"]["native_symbol"]].append(record["trade_id"].partition("-")[2])
    return dict(found)


def published(state: dict[str, Any], connector: str) -> int:
    return int(state["connectors"].get(connector, {}).get("published", 0))


def balanced(state: dict[str, Any]) -> bool:
    return all(" = " in one["ledger"] and "!=" not in one["ledger"] for one in state["connectors"].values())


async def gone(pid: int, within: float = 60) -> None:
    """Until there is no such process."""
    end = time.monotonic() + within
    while "Z" not in stat(pid):
        assert time.monotonic() < end, f"process {pid} is still there"
        await asyncio.sleep(0.05)


def stat(pid: int) -> str:
    """What the system says of a process; Z where it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    return "Z"


# -- the whole of it, into files


def test_two_workers_share_the_symbols(tmp_path: Path) -> None:
    @timed
    async def main() -> None:
        async with mocks(tmp_path, "w", rate=40) as (exchanges, variables):
            arguments = [*(tmp_path / f"{name}.yaml" for name in NAMES), "--workers", 2]
            async with running_workers(tmp_path, *arguments, **variables) as run:
                state = await run.until(
                    lambda now: now["ready"] and min(published(now, name) for name in NAMES) > 100
                )
                assert state["status"] == "ok"
                assert balanced(state)
                assert [one["symbols"] for one in state["workers"]] == [{"binance": 1, "kraken": 1}] * 2
                assert len({one["pid"] for one in state["workers"]} | {run.process.pid}) == 3
                assert [one["symbols"] for one in state["connectors"]["kraken"]["sockets"]] == [1, 1]
                await check_pages(run)
                await check_board(run)
                assert await asyncio.to_thread(status, "127.0.0.1", run.port, "text") == 0
                run.process.send_signal(signal.SIGTERM)
                assert await run.ended() == 0, run.text
        check_events(run)
        summary = json.loads((tmp_path / "sum.json").read_text())
        assert (summary["exit_code"], summary["unsent"], summary["workers"], summary["without_books"]) == (0, 0, 2, [])
        for exchange in exchanges:
            assert sorted(one.connects for one in exchanges) == [2, 2]
            books = summary["connectors"][exchange.plan.name]
            assert books["balanced"] is True
            records = files(tmp_path, f"w.trades.{exchange.plan.name}")
            assert len(records) == books["streams"]["trade"]["published"]
            got = native_ids(records)
            assert got.keys() == set(exchange.plan.symbols.default)
            for symbol, ids in got.items():
                sent = exchange.sent["trade", symbol]
                assert ids == sent[: len(ids)], "in order, none missing, none twice"
                assert len(ids) > 0.8 * len(sent)
            start = f"{exchange.plan.name}: received {books['received']} = published"
            (final,) = [line for line in run.events if line["event"].startswith(start)]
            assert (final["connector"], final["received"]) == (exchange.plan.name, books["received"])

    main()


async def check_pages(run: WorkerPool) -> None:
    """What is served is what one process would serve, with the workers told apart in the metrics."""
    assert [(await get(run.port, path))[0] for path in ("/live", "/ready", "/health", "/metrics", "/x")] == [
        200, 200, 200, 200, 404,
    ]
    assert json.loads((await get(run.port, "/ready"))[2]) == {"ready": True, "waiting_for": [], "silence": {}}
    families = list(text_string_to_metric_families((await get(run.port, "/metrics"))[2].decode()))
    assert len({family.name for family in families}) == len(families)
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for family in families:
        for sample in family.samples:
            if sample.name.startswith("k2conn_console_"):
                continue  # the leading process's own
            assert sample.labels["worker"] in ("0", "1"), sample
            sums[sample.name, sample.labels.get("stream", "")] += sample.value
    right = sum(sums[f"k2conn_records_{name}", "trade"] for name in
                ("published_total", "duplicates_total", "dead_letters_total", "in_flight", "lost_total"))
    assert sums["k2conn_records_received_total", "trade"] == right > 0
    assert sums["k2conn_worker_up", ""] == 2
    assert sums["process_cpu_seconds_total", ""] > 0


async def check_board(run: WorkerPool) -> None:
    """The board is one: the symbols of all workers in one order, rates and latencies as of one process."""
    assert (await get(run.port, "/board"))[0] == 200
    end = time.monotonic() + 60
    while True:  # until two looks of it are far enough apart for rates
        found = json.loads((await get(run.port, "/board?sort=published&limit=3"))[2])
        if (found["per_second"] or 0) > 10 and all((stream["per_second"] or 0) > 0 for stream in found["streams"]):
            break
        assert time.monotonic() < end, found
        await asyncio.sleep(0.2)
    assert [one["connector"] for one in found["connectors"]] == list(NAMES)
    assert all(one["balanced"] and one["connections"] == 2 for one in found["connectors"])
    rows = found["symbols"]["rows"]
    assert (found["symbols"]["found"], len(rows)) == (8, 3), "two symbols of two streams of two connectors"
    assert [one["published"] for one in rows] == sorted((one["published"] for one in rows), reverse=True)
    assert len(found["workers"]) == 2
    assert found["sink"]["name"] == "file"
    for stream in found["streams"]:
        assert (stream["record"], stream["symbols"]) == (stream["stream"], 2)
        assert stream["per_second"] > 0
        assert stream["receipt_to_ack_ms"]["p99"] > 0
    assert found["per_second"] > 10


def check_events(run: WorkerPool) -> None:
    """Each worker's lines say whose they are; the books are said once."""
    subscribed = [(line["connector"], line["worker"]) for line in run.events if line["event"] == "subscribed"]
    assert sorted(subscribed) == [(name, worker) for name in NAMES for worker in (0, 1)]
    assert sum(line["event"].startswith("kraken: received") for line in run.events) == 1


@pytest.mark.deploy
def test_a_killed_worker_is_replaced_and_what_it_missed_is_known(tmp_path: Path) -> None:
    @timed
    async def main() -> None:
        async with mocks(tmp_path, "k", rate=40, keep_generating=True) as (exchanges, variables):
            arguments = [tmp_path / "binance.yaml", "--workers", 2, "--streams", "trade"]
            async with running_workers(tmp_path, *arguments, K2_STATE_FOLDER="state", **variables) as run:
                state = await run.until(lambda now: now["ready"] and published(now, "binance") > 80)
                kept = tmp_path / "state" / "worker-1" / "binance.json"
                await run.until(lambda now: kept.exists())
                os.kill(state["workers"][1]["pid"], signal.SIGKILL)
                state = await run.until(lambda now: now["workers"][1]["restarts"] == 1 and now["ready"])
                metrics = (await get(run.port, "/metrics"))[2].decode()
                assert 'k2conn_worker_restarts_total{worker="1"} 1\n' in metrics
                await asyncio.sleep(3)  # the gap's grace, and some records after it
                run.process.send_signal(signal.SIGTERM)
                assert await run.ended() == 0, run.text
        (death,) = [line for line in run.events if line["event"] == "worker ended"]
        assert (death["worker"], death["signal"], death["level"]) == (1, "SIGKILL", "error")
        assert "these figures lack what processes counted that died: worker 1" in run.text
        got = native_ids(files(tmp_path, "k.trades.binance"))
        spared, killed = exchanges[0].plan.symbols.default
        sent = exchanges[0].sent["trade", spared]
        assert got[spared] == sent[: len(got[spared])], "the other worker's symbol is whole"
        assert got[killed] == sorted(set(got[killed]), key=int), "in order, none twice"
        numbers = list(map(int, got[killed]))
        missing = set(range(numbers[0], numbers[-1])) - set(numbers)
        assert missing, "a venue goes on while nobody listens"
        gaps = files(tmp_path, "market.crypto.gaps.binance")
        assert {gap["cause"] for gap in gaps} == {"restart"}, gaps
        known = {number for gap in gaps for number in range(gap["first_sequence"], gap["last_sequence"] + 1)}
        assert missing <= known

    main()


def test_workers_end_when_the_one_who_leads_them_is_killed(tmp_path: Path) -> None:
    @timed
    async def main() -> None:
        async with mocks(tmp_path, "p", rate=20) as (_, variables):
            arguments = [*(tmp_path / f"{name}.yaml" for name in NAMES), "--workers", 2]
            async with running_workers(tmp_path, *arguments, **variables) as run:
                state = await run.until(lambda now: now["ready"])
                run.process.kill()
                await run.ended()
                for worker in state["workers"]:
                    await gone(worker["pid"])
                await run.told("the process that started this worker is gone")
                assert "Traceback" not in run.text

    main()


@pytest.mark.deploy
def test_a_reload_deals_new_symbols_out_and_moves_none(tmp_path: Path) -> None:
    @timed
    async def main() -> None:
        async with mocks(tmp_path, "r", rate=20, symbols=("SOLUSDT", "XRPUSDT")) as (exchanges, variables):
            file = tmp_path / "binance.yaml"
            async with running_workers(tmp_path, file, "--workers", 2, "--streams", "trade", **variables) as run:
                await run.until(lambda now: now["ready"] and published(now, "binance") > 20)
                text = file.read_text()
                file.write_text(text.replace("each:", "eahc:", 1) if "each:" in text else "connector: {")
                run.process.send_signal(signal.SIGHUP)
                await run.told("reload refused, the old plan goes on")
                file.write_text(re.sub(r"default: \[BTCUSDT, ETHUSDT\]", "default: [SOLUSDT, ETHUSDT, BTCUSDT]", text))
                run.process.send_signal(signal.SIGHUP)
                state = await run.until(lambda now: symbols(now) == [1, 2] and now["ready"])
                await run.until(lambda now: ("trade", "SOLUSDT") in exchanges[0].sent and now["ready"])
                assert state["workers"][0]["restarts"] == state["workers"][1]["restarts"] == 0
                await asyncio.sleep(1)
                run.process.send_signal(signal.SIGTERM)
                assert await run.ended() == 0, run.text
        got = native_ids(files(tmp_path, "r.trades.binance"))
        for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
            ids = got[symbol]
            assert ids == exchanges[0].sent["trade", symbol][: len(ids)], symbol

    def symbols(state: dict[str, Any]) -> list[int]:
        return sorted(sum(worker["symbols"].values()) for worker in state["workers"])

    main()


def test_ctrl_c_stops_all(tmp_path: Path) -> None:
    @timed
    async def main() -> None:
        async with (
            mocks(tmp_path, "c", rate=20) as (_, variables),
            running_workers(tmp_path, tmp_path / "kraken.yaml", K2_WORKERS="2", **variables) as run,
        ):
            await run.until(lambda now: now["ready"] and published(now, "kraken") > 5)
            os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does
            assert await run.ended() == 0, run.text
        assert "Traceback" not in run.text
        assert json.loads((tmp_path / "sum.json").read_text())["connectors"]["kraken"]["balanced"] is True

    main()


# -- what ends all


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"workers": 3}, "--workers 3: there is work for 2 only"),
        ({"workers": 2, "streams": None}, "there is work for 1 only"),
        ({"workers": 2, "max_records": 5}, "--max-records is for one process"),
        ({"workers": 2, "sink": "console"}, "the console sink is for one process"),
        ({"workers": 2, "symbols": "nothing"}, "no symbol rule reads nothing"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, options: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("venue.yaml").write_text(HEAD + CONNECTION % 1 + STREAMS)
    with pytest.raises(SettingsError, match=text):
        start(RunOptions(**{"connectors": ["venue.yaml"], "streams": "trade", "port": 0, **options}))


@pytest.mark.deploy
def test_workers_that_cannot_begin_end_all(tmp_path: Path) -> None:
    (tmp_path / "venue.yaml").write_text(HEAD + CONNECTION % 1 + STREAMS)

    @timed
    async def main() -> None:
        arguments = ["venue.yaml", "--streams", "trade", "--kafka", "127.0.0.1:9"]
        async with running_workers(tmp_path, *arguments, K2_WORKERS="2") as run:
            assert await run.ended() == 69, run.text
        assert "k2conn: kafka 127.0.0.1:9: nothing listens on 127.0.0.1:9" in run.text
        assert "Traceback" not in run.text

    main()


BUG = """
import sys
from k2conn.sinks import file
own = file.FileSink.put
def put(self, envelope):
    if b"ETH" in (envelope.key or b""): raise ZeroDivisionError("what a bug")
    own(self, envelope)
file.FileSink.put = put
from k2conn.cli import main
main()
"""
CONNECTOR_BUG = """
from k2conn.engine.mapping import stream_mapping
own = stream_mapping.StreamMapping.take
def take(self, message, *rest):
    if "ETH" in str(message): raise ZeroDivisionError("what a bug")
    return own(self, message, *rest)
stream_mapping.StreamMapping.take = take
from k2conn.cli import main
main()
"""
DEATH = """
import os, signal
from k2conn.workers import worker_pool
from k2conn.plan import Backoff
worker_pool.AGAIN, worker_pool.LEAST_DELAY = Backoff(base=0.01, cap=0.01), 0.01
if os.environ.get("K2_WORKER", "").startswith("1/"): os.kill(os.getpid(), signal.SIGKILL)
from k2conn.cli import main
main()
"""


def test_a_system_that_starts_no_process_is_out_of_reach(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> int:
        assignments = [Assignment({"venue": (name,)}, {"venue": 2}) for name in ("BTC-USD", "ETH-USD")]
        return (await Led(assignments, ["/nowhere/python"], {}, list).run(asyncio.Event())).exit_code

    assert asyncio.run(main()) == 69
    assert "worker cannot be started" in "".join(capsys.readouterr())


@pytest.mark.deploy
@pytest.mark.parametrize(("program", "code", "text"), [(BUG, 70, "what a bug"), (DEATH, 69, "SIGKILL")])
def test_a_bug_of_the_sink_and_deaths_without_end_end_all(tmp_path: Path, program: str, code: int, text: str) -> None:
    @timed
    async def main() -> None:
        async with mocks(tmp_path, "b", rate=20) as (_, variables):
            arguments = [tmp_path / "binance.yaml", "--workers", 2]
            async with running_workers(tmp_path, *arguments, program=("-c", program), **variables) as run:
                assert await run.ended() == code, run.text
        assert text in run.text
        assert "worker ended, so all end" in run.text
        assert sum(line.get("event") == "worker ended" for line in run.events) == (4 if program is DEATH else 0)

    main()


@pytest.mark.deploy
def test_a_bug_in_a_connector_ends_no_worker(tmp_path: Path) -> None:
    """One symbol of binance has a bug: whoever carries it restarts that connector, all others go on."""

    @timed
    async def main() -> None:
        async with mocks(tmp_path, "b", rate=20) as (_, variables):
            arguments = [tmp_path / "binance.yaml", "--workers", 2]
            async with running_workers(tmp_path, *arguments, program=("-c", CONNECTOR_BUG), **variables) as run:
                state = await run.until(  # the worker without a bug may be the slower one
                    lambda said: said["connectors"].get("binance", {}).get("crashes", 0) > 1
                    and said["connectors"]["binance"]["published"] > 0
                )
                assert all(one["up"] and not one["restarts"] for one in state["workers"])
                assert state["connectors"]["binance"]["published"] > 0
                run.process.send_signal(signal.SIGTERM)
                assert await run.ended() == 70, run.text
        summary = json.loads((tmp_path / "sum.json").read_text())
        assert summary["connectors"]["binance"]["crashes"] > 1
        assert summary["connectors"]["binance"]["in_flight"] == 0
        assert "what a bug" in run.text
        assert "please report it" in run.text

    main()


IMPATIENT = """
from k2conn.workers import worker_pool
from k2conn.workers import worker_handle
worker_pool.STOP_WITHIN, worker_handle.ANSWER_WITHIN = 1.0, 0.3
from k2conn.cli import main
main()
"""


@pytest.mark.deploy
def test_a_worker_that_hangs_is_seen_and_at_the_end_killed(tmp_path: Path) -> None:
    @timed
    async def main() -> None:
        async with mocks(tmp_path, "h", rate=20) as (_, variables):
            arguments = [tmp_path / "kraken.yaml", "--workers", 2]
            async with running_workers(tmp_path, *arguments, program=("-c", IMPATIENT), **variables) as run:
                state = await run.until(lambda now: now["ready"])
                pid = state["workers"][0]["pid"]
                os.kill(pid, signal.SIGSTOP)
                state = await run.until(lambda now: not now["ready"])
                assert state["waiting_for"] == ["worker 0"]
                assert len(state["connectors"]["kraken"]["sockets"]) == 1
                assert (await get(run.port, "/ready"))[0] == 503
                run.process.send_signal(signal.SIGTERM)
                assert await run.ended() == 1, run.text
                await gone(pid)
        assert "workers did not end in time" in run.text
        assert "these figures lack what processes counted that died: worker 0" in run.text

    main()


# -- into Kafka


@pytest.mark.deploy
@pytest.mark.kafka
def test_each_trade_is_in_kafka_once_though_a_worker_is_killed_and_left_over_records_go_first(
    broker: SharedBroker, registry: SharedRegistry, kafka_topic: NameTopic, tmp_path: Path
) -> None:
    prefix = kafka_topic("w")
    left = f"{prefix}.trades.binance"

    async def leave(folder: Path, first: int) -> None:
        """What a worker of an earlier run could not send."""
        spool = Spool(folder)
        await spool.sink.open()
        spool.inner.up = False
        for number in range(first, first + 5):
            spool.sink.put(put_trade(number, left, symbol="OLD"))
        await spool.sink.flush(0.3)
        await spool.sink.close()

    @timed
    async def main() -> None:
        await leave(tmp_path / "spool" / "worker-4", 5)
        await leave(tmp_path / "spool", 0)
        assert len(list((tmp_path / "spool").rglob("main"))) == 2
        async with mocks(tmp_path, prefix, rate=40) as (exchanges, variables):
            arguments = [*(tmp_path / f"{name}.yaml" for name in NAMES), "--workers", 2, "--kafka", broker.bootstrap]
            variables |= {"K2_KAFKA_CREATE_TOPICS": "true", "K2_KAFKA_PARTITIONS": "3"}
            async with running_workers(tmp_path, *arguments, "--registry", registry.url, **variables) as run:
                state = await run.until(lambda now: now["ready"] and min(published(now, one) for one in NAMES) > 100)
                assert balanced(state)
                assert state["sink"]["spool"]["max_bytes"] == 1024 * 1024 * 1024
                assert not list((tmp_path / "spool").rglob("main")), "the folders of earlier workers are empty"
                os.kill(state["workers"][1]["pid"], signal.SIGKILL)
                await run.until(lambda now: now["workers"][1]["restarts"] == 1 and now["ready"])
                await asyncio.sleep(1)
                run.process.send_signal(signal.SIGTERM)
                assert await run.ended() == 0, run.text
        summary = json.loads((tmp_path / "sum.json").read_text())["connectors"]
        for exchange in exchanges:
            count = summary[exchange.plan.name]["streams"]["trade"]["published"]
            old = 10 if exchange.plan.name == "binance" else 0
            messages = read(broker, f"{prefix}.trades.{exchange.plan.name}", count + old + 10)
            records = readable(registry, messages)
            assert sum(record["symbol"] == "OLD" for record in records) == old
            got = native_ids([record for record in records if record["symbol"] != "OLD"])
            holes = []
            for symbol, ids in got.items():
                sent = exchange.sent["trade", symbol]
                assert len(ids) == len(set(ids)), "none twice"
                places = [sent.index(one) for one in ids]
                assert places == sorted(places), "in order"
                holes.append(places[-1] + 1 - len(places))
            assert sorted(holes)[0] == 0, "the other worker's symbol is whole"
            assert sorted(holes)[1] < 20, "what was not acknowledged yet, which is below half a second"
            partitions = {(message.key(), message.partition()) for message in messages}
            assert len(partitions) == len({key for key, _ in partitions}), "a key keeps its partition"

    main()
