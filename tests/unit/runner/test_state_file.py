"""The state file: a restart knows what came before it, and the file is never ahead of the sink."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection

from k2conn import exactjson
from k2conn.engine.identity.dedup_window import DedupWindow
from k2conn.engine.identity.message_ids import MessageIds
from k2conn.engine.persisted_state import IDS, kept, resume
from k2conn.envelope import Envelope
from k2conn.runner import Job, Overrides, Runner
from k2conn.runner.state_file import EVERY, StateFile
from k2conn.sinks.settings import SinkSettings
from tests.support import plans
from tests.support.rest import Answer, rest
from tests.support.venues import MemorySink, Venue
from tests.unit.engine.test_backfill import LATER, LATEST, NOW, EngineHarness, forward, plain, plan, row


def restarted(before: EngineHarness, plan_: Any = None) -> EngineHarness:
    """The next process, with what the one before kept."""
    after = EngineHarness(plan_ or before.connector_state.plan)
    resume(after.connector_state, exactjson.decode(exactjson.encode(kept(before.connector_state))), NOW)
    return after


def ids(envelopes: list[Envelope]) -> list[str]:
    return [plain(one)["trade_id"] for one in envelopes]


def test_what_was_missed_in_between_is_a_gap_and_is_filled() -> None:
    before = EngineHarness(plan())
    before.hear(row(1), row(2))
    after = restarted(before)
    assert ids(after.hear(row(1), row(2), row(5))) == ["VENUE-5"]
    filling = after.filling()
    (record,) = map(plain, after.records)
    assert (record["cause"], record["first_sequence"], record["missing"]) == ("restart", 3, 2)
    assert record["from_timestamp"] == plain(EngineHarness(plan()).hear(row(2))[0])["timestamp"]
    assert after.fill(filling, forward(list(range(9)))) == ["VENUE-3", "VENUE-4"]


def test_a_restart_that_missed_nothing_says_nothing() -> None:
    before = EngineHarness(plan())
    before.hear(row(1), row(2))
    after = restarted(before)
    assert ids(after.hear(row(2), row(3))) == ["VENUE-3"]
    assert after.connector_state.gap_records(LATER) == []
    assert after.account()["duplicates"] == 1


def test_gaps_that_were_left_are_requested_again() -> None:
    before = EngineHarness(plan())
    before.hear(row(1), row(5), row(6))
    before.hear(row(3))
    after = restarted(before)
    records = [plain(one) for one in after.connector_state.gap_records(LATER)]
    assert [(one["first_sequence"], one["last_sequence"], one["cause"]) for one in records] == [
        (2, 2, "restart"), (4, 4, "restart")
    ]
    found = []
    for gap in after.connector_state.gaps.to_fill:
        assert after.connector_state.gaps.job(gap) is None  # the symbol has not been seen, and nobody said it
        after.connector_state.gaps.symbols = {"BTCUSD": after.symbol}
        filling = after.connector_state.gaps.job(gap)
        assert filling is not None
        found += after.fill(filling, forward(list(range(9))))
        after.connector_state.gaps.symbols = {}
    assert found == ["VENUE-2", "VENUE-4"]


def test_without_numbers_the_time_in_between_is_asked_for() -> None:
    before = EngineHarness(plan(LATEST, ""))
    before.hear(row(1), row(2))
    after = restarted(before)
    after.hear(row(2), row(5))
    filling = after.filling()
    assert filling.gap.cause == "restart"
    assert after.fill(filling, lambda hole: [row(n) for n in range(5, -1, -1)]) == ["VENUE-3", "VENUE-4"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["version", "connector", "exchange", "streams", "trade", "numbers", "times", "ids", "last",
                         "event_us", "holes", "BTCUSD"]), inner, max_size=6),
    max_leaves=12,
)


@given(json_values)
def test_a_state_that_is_none_takes_nothing_in(state: Any) -> None:
    harness = EngineHarness(plan())
    for given_ in (state, {"version": 1, "connector": "venue", "exchange": "VENUE", "streams": state}):
        try:
            resume(harness.connector_state, given_, NOW)
        except ValueError:
            assert len(harness.connector_state.mappings["trade"].window) == 0


@given(json_values)
def test_a_stream_s_state_that_is_none_takes_nothing_in(state: Any) -> None:
    harness = EngineHarness(plan())
    whole = kept(harness.connector_state)
    whole["streams"]["trade"] = state
    try:
        resume(harness.connector_state, whole, NOW)
    except ValueError:
        assert len(harness.connector_state.mappings["trade"].window) == 0


# -- the file


def settle(envelopes: list[Envelope]) -> None:
    for one in envelopes:
        assert one.account is not None
        one.account.settled(one.dead)


async def looked(memory: StateFile, now: float) -> None:
    """What is to be written is written, however long that takes."""
    for _ in range(2):
        memory.look(now)
        if memory._writing is not None:
            await asyncio.wait({memory._writing})


def last_in(path: Path) -> int:
    found: int = exactjson.decode(path.read_bytes())["streams"]["trade"]["numbers"]["BTCUSD"]["last"]
    return found


def test_the_file_is_never_ahead_of_the_sink(tmp_path: Path) -> None:
    async def main() -> None:
        harness = EngineHarness(plan())
        memory = StateFile(tmp_path, harness.connector_state)
        settle(harness.hear(row(1)))
        await looked(memory, 0.0)
        assert last_in(memory.path) == 1
        second = harness.hear(row(2))
        await looked(memory, EVERY)
        third = harness.hear(row(3))
        assert last_in(memory.path) == 1
        settle(second)
        await looked(memory, EVERY)
        assert last_in(memory.path) == 2
        await looked(memory, 2 * EVERY)
        await memory.finish()
        assert last_in(memory.path) == 2
        settle(third)
        await memory.finish()
        assert last_in(memory.path) == 3

    asyncio.run(main())
    assert [file.name for file in tmp_path.iterdir()] == ["venue.json"]


def test_what_is_in_the_spool_is_safe(tmp_path: Path) -> None:
    async def main() -> None:
        harness = EngineHarness(plan())
        memory = StateFile(tmp_path, harness.connector_state)
        (envelope,) = harness.hear(row(1))
        await looked(memory, 0.0)
        assert not memory.path.exists()
        assert envelope.account is not None
        envelope.account.spooled += 1
        await looked(memory, 0.0)
        assert last_in(memory.path) == 1

    asyncio.run(main())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b'{"version":1}', b'{"version":1,"streams":{}}',
                                  b'{"version":1,"connector":"other","exchange":"OTHER","streams":{}}'])
def test_a_file_that_cannot_be_used_is_reported_and_ignored(data: bytes, tmp_path: Path) -> None:
    harness = EngineHarness(plan())
    memory = StateFile(tmp_path, harness.connector_state)
    memory.path.write_bytes(data)
    with capture_logs() as logs:
        memory.load()
    assert [entry["event"] for entry in logs] == ["state file ignored"]
    assert memory.path.read_bytes() == data
    assert ids(harness.hear(row(1))) == ["VENUE-1"]


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = StateFile(tmp_path / "file" / "folder", EngineHarness(plan()).connector_state)
    with capture_logs() as logs:
        memory.load()
        asyncio.run(memory.finish())
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["state not written"]


def test_the_file_is_bounded() -> None:
    harness = EngineHarness(plan())
    harness.connector_state.mappings["trade"].window.size = 50_000
    for start in range(0, 2 * IDS, 1000):
        harness.hear(*(row(n) for n in range(start, start + 1000)))
    state = kept(harness.connector_state)["streams"]["trade"]
    assert len(state["ids"]) == IDS
    assert state["ids"][-1] == plain(EngineHarness(plan()).hear(row(2 * IDS - 1))[0])["message_id"]
    assert len(exactjson.encode(state)) < 80 * IDS


# -- the window


def test_an_id_costs_no_more_than_documented() -> None:
    maker = MessageIds("VENUE", "trade", "BTCUSD")
    tracemalloc.start()
    try:
        window = DedupWindow(50_000)
        for number in range(99_999):
            window.seen(maker.make(str(number)), number.to_bytes(14, "big"))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(window) == 99_999
    assert size / len(window) < 185
    assert size < 18_500_000


@given(st.lists(st.integers(0, 60).map(str), max_size=200), st.integers(1, 20), st.integers(0, 50))
def test_the_tail_is_the_latest_in_order(seen: list[str], size: int, count: int) -> None:
    window = DedupWindow(size)
    fresh = [one for one in seen if not window.seen(one)]
    tail = list(window.tail(count))
    assert tail == fresh[len(fresh) - len(tail):]
    assert len(tail) == min(count, len(window))


# -- whole processes


def says(*items: dict[str, Any]) -> Callable[[ServerConnection], Awaitable[None]]:
    async def act(socket: ServerConnection) -> None:
        await socket.send(exactjson.encode({"ch": "trade", "data": list(items)}).decode())

    return act


def test_two_processes_one_after_the_other(tmp_path: Path) -> None:
    streams = """
streams:
  trade:
    when: {ch: trade}
    each: data
    sequence: {from: i, rule: contiguous, per: symbol}
    fields: {symbol: s, trade_id: i, price: p, quantity: q, timestamp: {from: t, unit: ms}, side: {value: UNKNOWN}}
"""

    async def run(*items: dict[str, Any]) -> list[dict[str, Any]]:
        async with Venue(says(*items)).open() as venue:
            made: list[MemorySink] = []

            def make(settings: SinkSettings, settled: Any, reject: Any) -> Any:
                made.append(MemorySink(settled))
                return made[0]

            job = Job(venue.plan(streams=streams), ("BTC-USD",))
            runner = Runner([job], SinkSettings(kind="file"), open_sink=make, environment={}, state_folder=tmp_path)
            stop = asyncio.Event()
            task = asyncio.create_task(runner.run(stop))
            async with asyncio.timeout(60):
                while not made[0].taken:
                    await asyncio.sleep(0.01)
                    assert not task.done()
            stop.set()
            assert (await task).exit_code == 0
            return made[0].records

    assert [one["trade_id"] for one in asyncio.run(run(row(1), row(2)))] == ["VENUE-1", "VENUE-2"]
    trade, gap = asyncio.run(run(row(1), row(2), row(5)))
    assert trade["trade_id"] == "VENUE-5"
    assert (gap["first_sequence"], gap["last_sequence"], gap["cause"], gap["backfill"]) == (3, 4, "restart", "none")
    trade, gap = asyncio.run(run(row(2), row(5), row(6)))
    assert trade["trade_id"] == "VENUE-6"
    assert (gap["first_sequence"], gap["cause"]) == (3, "restart")


def test_a_process_that_ends_before_it_knows_the_venue_s_symbols_keeps_what_the_one_before_knew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = 'list: {http: "GET https://v.example/symbols", each: data, symbol: id, base: b, quote: q}, form:'
    monkeypatch.setattr(plans, "HEAD", plans.HEAD.replace("form:", listed))
    harness = EngineHarness(plan())
    harness.hear(row(1), row(2))
    before = exactjson.encode(kept(harness.connector_state))
    (tmp_path / "venue.json").write_bytes(before)

    async def run(url: str) -> None:
        job = Job(plan(), ("LISTED",), ("trade",), Overrides(http_url=url))
        runner = Runner(
            [job], SinkSettings(kind="file"), open_sink=lambda settings, settled, rejected: MemorySink(settled),
            environment={}, state_folder=tmp_path,
        )
        stop = asyncio.Event()
        task = asyncio.create_task(runner.run(stop))
        async with asyncio.timeout(60):
            await runner.opened.wait()
        stop.set()
        assert (await task).exit_code == 0

    with rest(lambda asked: Answer({}, 503)) as api:
        asyncio.run(run(api.url))
    assert (tmp_path / "venue.json").read_bytes() == before


# -- files that somebody prepared


def honest() -> dict[str, Any]:
    harness = EngineHarness(plan())
    harness.hear(row(1), row(5), row(6))
    state: dict[str, Any] = exactjson.decode(exactjson.encode(kept(harness.connector_state)))
    return state


def with_numbers(**changed: Any) -> bytes:
    state = honest()
    state["streams"]["trade"]["numbers"]["BTCUSD"].update(changed)
    return exactjson.encode(state)


@pytest.mark.parametrize("data", [
    b"[" * 100_000 + b"]" * 100_000,
    b"[" * 970 + b"]" * 970,
    b'{"version":' + b"[" * 970 + b"]" * 970 + b',"connector":{},"exchange":1}',
    b"[" + b"[]," * 2_000_000 + b"1]",
    with_numbers(last=2**63),
    with_numbers(last=-1),
    with_numbers(last=True),
    with_numbers(event_us=10**30),
    with_numbers(holes=[[1, 2**80, 0, 0]]),
    with_numbers(holes=[[-(10**19), 1, 0, 0]]),
    with_numbers(holes=[[1, 2, 10**19, 10**20]]),
    with_numbers(holes=[[3, 2, 0, 0]]),
    with_numbers(holes=["1234"]),
    exactjson.encode({**honest(), "streams": [1]}),
    exactjson.encode({**honest(), "streams": {"trade": {"numbers": {}, "times": {}, "ids": ["x"] * 200_000}}}),
    exactjson.encode({**honest(), "streams": {"trade": {"numbers": {"x" * 2000: {}}, "times": {}, "ids": []}}}),
    exactjson.encode({**honest(), "streams": {"trade": {"numbers": {}, "times": {"X": 2**63}, "ids": []}}}),
    exactjson.encode(honest()).replace(b'"last":6', b'"last":6' + b"0" * 4000),
], ids=range(18))
def test_a_hostile_file_is_said_and_kept_under_another_name(data: bytes, tmp_path: Path) -> None:
    async def main() -> None:
        harness = EngineHarness(plan())
        memory = StateFile(tmp_path, harness.connector_state)
        memory.path.write_bytes(data)
        with capture_logs() as logs:
            memory.load()
        assert [entry["event"] for entry in logs] == ["state file ignored"]
        assert len(str(logs)) < 1000
        for envelope in harness.hear(row(1)):
            assert envelope.account is not None
            envelope.account.settled(False)
        await memory.finish()
        assert memory.path.with_name("venue.json.unusable").read_bytes() == data
        after = EngineHarness(plan())
        with capture_logs() as logs:
            StateFile(tmp_path, after.connector_state).load()
        assert logs == []
        assert ids(after.hear(row(1), row(2))) == ["VENUE-2"]

    asyncio.run(main())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(0, 9) | st.text(max_size=5) | st.just("trade"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["trade", "numbers", "times", "ids", "BTCUSD", "last", "event_us", "holes", "contents"]), inner
    ),
)


@given(data=st.binary(max_size=200) | JSON.map(exactjson.encode) | JSON.map(
    lambda streams: exactjson.encode({**honest(), "streams": streams})
) | JSON.map(lambda said: exactjson.encode({**honest(), "streams": {"trade": said}})) | JSON.map(
    lambda one: with_numbers(holes=one)
) | st.integers().map(lambda one: with_numbers(last=one)))
def test_any_file_lets_the_process_start(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    harness = EngineHarness(plan())
    memory = StateFile(tmp_path_factory.mktemp("x"), harness.connector_state)
    memory.path.write_bytes(data)
    with capture_logs():
        memory.load()
    harness.hear(row(7))
    harness.connector_state.gap_records(LATER)
    exactjson.encode(kept(harness.connector_state))


def test_links_and_strange_files_are_not_followed(tmp_path: Path) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "state"
    victim.write_bytes(exactjson.encode(honest()))
    folder.mkdir()
    for name in ("venue.json", "venue.json.new", "venue.tmp"):
        (folder / name).symlink_to(victim)
    memory = StateFile(folder, EngineHarness(plan()).connector_state)
    with capture_logs() as logs:
        memory.load()
        asyncio.run(memory.finish())
    assert [entry["event"] for entry in logs] == ["state file ignored", "state file set aside"]
    assert victim.read_bytes() == exactjson.encode(honest())
    assert not memory.path.is_symlink()
    assert memory.path.stat().st_mode & 0o777 == 0o600


def test_a_pipe_does_not_hold_the_start_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "venue.json")
    with capture_logs() as logs:
        StateFile(tmp_path, EngineHarness(plan()).connector_state).load()
    assert [entry["event"] for entry in logs] == ["state file ignored"]


def test_a_folder_that_everybody_may_write_to_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o777)
    memory = StateFile(folder, EngineHarness(plan()).connector_state)
    memory.path.write_bytes(exactjson.encode(honest()))
    with capture_logs() as logs:
        memory.load()
        asyncio.run(memory.finish())
    assert [entry["event"] for entry in logs] == ["state file ignored", "state not written"]
    assert "everybody may write" in logs[0]["detail"]


def test_what_could_not_be_read_back_is_not_kept() -> None:
    harness = EngineHarness(plan())
    harness.hear(row(1))
    numbers = harness.connector_state.mappings["trade"].gaps
    assert numbers is not None
    known = numbers.numbers("BTCUSD")
    assert known is not None
    known.last = 2**63 + 5  # the tracker itself takes in no such number
    numbers.see("OTHER", 5, None, NOW, 1, 10**30)
    state = exactjson.decode(exactjson.encode(kept(harness.connector_state)))
    assert state["streams"]["trade"]["numbers"] == {"OTHER": {"last": 5, "event_us": 0, "holes": []}}
    resume(EngineHarness(plan()).connector_state, state, NOW)
