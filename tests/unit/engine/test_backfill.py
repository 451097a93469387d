"""Backfill: what is asked for, what of the answers counts, and how every gap ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn.engine.backfill.backfill_job import BackfillJob
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.gaps.gap_tracker import GRACE_US
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.plan import Backoff, Plan, SendScope, Symbol
from k2conn.runner import Overrides
from k2conn.runner.backfill_worker import BackfillWorker, RetryPolicy
from k2conn.runner.http_requests import http_call
from tests.support.plans import SUBSCRIBE, WORLD, plan_of, trade, trades
from tests.support.rest import Answer, Asked, Rest, rest

NOW = 1_767_323_046_000_000
LATER = NOW + GRACE_US
TIME = 1767323045678
STREAMS = """
streams:
  trade:
    when: {ch: trade}
    each: data
    SEQUENCE
    backfill: CALL
    fields:
      symbol: s
      trade_id: i
      price: p
      quantity: q
      timestamp: {from: t, unit: ms}
      side: {from: d, map: {buy: BUY, sell: SELL}}
"""
COUNTED = "sequence: {from: i, rule: contiguous, per: symbol}"
LINKED = "sequence: {from: i, previous: b, rule: linked, per: symbol}"
FORWARD = '{http: "GET https://v.example/t?s={$symbol}&from={$first}&n={$count}", page: {size: 3, by: first}}'
BACKWARD = '{http: "GET https://v.example/t?s={$symbol}&to={$after}", each: rows, page: {size: 3, by: last}}'
LATEST = '{http: "GET https://v.example/t?s={$symbol}"}'


def plan(call: str = FORWARD, sequence: str = COUNTED) -> Plan:
    return plan_of(SUBSCRIBE, STREAMS.replace("SEQUENCE", sequence).replace("CALL", call))


def counted() -> Plan:
    return plan()


def row(number: int, **fields: Any) -> dict[str, Any]:
    """A row, and an item; ten milliseconds apart."""
    return trade(number, t=TIME + number * 10, **fields)


class EngineHarness:
    """Books with a backfill, fed by hand."""

    def __init__(self, plan: Plan, before: ConnectorState | None = None) -> None:
        make = before.for_plan if before is not None else ConnectorState
        self.connector_state = make(plan, ["trade"], 1000, backfill=True)
        symbol = plan.symbols.resolve("BTC-USD")
        assert symbol is not None
        self.symbol: Symbol = symbol
        self.connect()

    def connect(self) -> None:
        connection = self.connector_state.plan.connections[0]
        self.pipeline = FramePipeline(self.connector_state, connection, [self.symbol], WORLD)

    def hear(self, *items: dict[str, Any]) -> list[Envelope]:
        return self.pipeline.receive([trades(*items)], 0.0, NOW)[0]

    def filling(self) -> BackfillJob:
        """The one gap that is due."""
        self.records = self.connector_state.gap_records(LATER)
        (gap,) = self.connector_state.gaps.to_fill
        self.connector_state.gaps.to_fill = []
        found = self.connector_state.gaps.job(gap)
        assert found is not None
        return found

    def fill(self, filling: BackfillJob, answer: Callable[[Any], Any]) -> list[str]:
        """Asks until there is nothing more to ask; the ids that were recovered."""
        out: list[Envelope] = []
        while (hole := filling.ask()) is not None:
            filling.take(answer(hole), LATER, out)
        filling.finish()
        return [record["trade_id"] for record in map(plain, out)]

    def account(self) -> dict[str, int]:
        return self.connector_state.ledger.account("trade", "BTCUSD").figures()


def plain(envelope: Envelope) -> dict[str, Any]:
    assert envelope.schema is not None
    return envelope.schema.decode_plain(envelope.value)


def forward(history: list[int]) -> Callable[[Any], Any]:
    return lambda hole: [row(n) for n in history if n >= hole.first][: hole.count]


def backward(history: list[int]) -> Callable[[Any], Any]:
    return lambda hole: {"rows": [row(n) for n in reversed(history) if n <= hole.last][:3]}


def test_records_without_ids_are_told_apart_by_a_distinct_identity() -> None:
    distinct = "identity: {distinct: [timestamp, price, quantity]}"
    text = STREAMS.replace("SEQUENCE", distinct).replace("CALL", LATEST).replace("      trade_id: i\n", "")
    harness = EngineHarness(plan_of(SUBSCRIBE, text))
    harness.hear(row(1), row(2))
    harness.connect()
    harness.hear(row(5))
    found = harness.filling()
    out: list[Envelope] = []
    found.ask()
    found.take([row(number) for number in range(6)], LATER, out)
    assert [plain(one)["timestamp"] // 1000 - TIME for one in out] == [30, 40]
    figures = harness.account()
    assert (figures["backfilled"], figures["received"]) == (2, 5 + figures["duplicates"])


@pytest.mark.parametrize(("call", "answer"), [(FORWARD, forward), (BACKWARD, backward)])
@given(seen=st.sets(st.integers(2, 39)), late=st.sets(st.integers(2, 39)))
def test_what_was_missing_comes_back_once(call: str, answer: Any, seen: set[int], late: set[int]) -> None:
    harness = EngineHarness(plan(call))
    harness.hear(row(1))
    harness.hear(*(row(n) for n in sorted({*seen, 40})))
    missing = set(range(1, 41)) - {1, 40} - seen
    harness.connector_state.gap_records(LATER)
    gaps = harness.connector_state.gaps.to_fill
    harness.hear(*(row(n) for n in late - seen))
    found: list[str] = []
    for gap in gaps:
        filling = harness.connector_state.gaps.job(gap)
        assert filling is not None
        found += harness.fill(filling, answer(list(range(-50, 100))))
    assert sorted(found) == sorted(f"VENUE-{n}" for n in missing - late)
    assert all(not gap.open for gap in gaps)
    records = [plain(one) for one in harness.connector_state.gap_records(LATER)]
    assert [one["status"] for one in records] == ["CLOSED"] * len(gaps)
    figures = harness.account()
    assert (figures["backfilled"], figures["missing"], figures["gaps"]) == (len(missing - late), 0, len(gaps))
    assert (figures["received"], figures["duplicates"]) == (40, 0)


def test_a_row_says_only_what_differs() -> None:
    call = (
        '{http: "GET https://v.example/t?s={$symbol}&from={$first}", number: id,'
        ' fields: {trade_id: id, price: cost}, vendor_data: {why: reason}}'
    )
    harness = EngineHarness(plan(call))
    harness.hear(row(1), row(3))
    filling = harness.filling()
    out: list[Envelope] = []
    assert filling.ask() is not None
    other = {"id": 2, "cost": "5", "q": "7", "t": TIME, "d": "buy", "reason": "x", "extra": 1}
    filling.take([other], LATER, out)
    (record,) = map(plain, out)
    assert (record["trade_id"], record["price"], record["quantity"], record["side"]) == ("VENUE-2", "5", "7", "BUY")
    assert record["vendor_data"] == {
        "native_symbol": "BTC-USD", "base_asset": "BTC", "quote_asset": "USD", "why": "x", "extra": "1",
        "backfill": "true",
    }
    direct = EngineHarness(plan()).hear(row(2))
    assert record["message_id"] == plain(direct[0])["message_id"]


def test_what_the_venue_has_not_stays_missing() -> None:
    harness = EngineHarness(plan())
    harness.hear(row(1), row(6))
    filling = harness.filling()
    assert harness.fill(filling, forward([1, 2, 4, 6])) == ["VENUE-2", "VENUE-4"]
    (record,) = [plain(one) for one in harness.connector_state.gaps.ended(filling.gap, LATER)]
    assert (record["status"], record["missing"], record["recovered"], record["backfill"]) == ("OPEN", 2, 2, "failed")
    assert record["message_id"] != plain(harness.records[0])["message_id"]
    assert harness.account()["missing"] == 2
    harness.hear(row(3), row(5))
    (record,) = [plain(one) for one in harness.connector_state.gap_records(LATER)]
    assert (record["status"], record["missing"]) == ("CLOSED", 0)
    assert harness.account()["missing"] == 0


def test_a_row_that_is_no_record_is_a_dead_letter_once() -> None:
    harness = EngineHarness(plan())
    harness.hear(row(1), row(4))
    filling = harness.filling()
    out: list[Envelope] = []
    for _ in range(2):
        assert filling.ask() is not None
        filling.take([row(2, p="x"), row(3)], LATER, out)
        filling.again()
    assert [one.dead for one in out] == [True, False]
    assert filling.gap.missing == 1
    assert not filling.filled


@pytest.mark.parametrize("answer", [{"error": "no"}, None, 5, [{"i": "x"}]])
def test_an_answer_without_rows_is_an_error(answer: Any) -> None:
    harness = EngineHarness(plan())
    harness.hear(row(1), row(4))
    filling = harness.filling()
    assert filling.ask() is not None
    with pytest.raises(RecordError):
        filling.take(answer, LATER, [])


def test_a_venue_that_repeats_itself_is_not_asked_for_ever() -> None:
    harness = EngineHarness(plan())
    harness.hear(row(1), row(50))
    filling = harness.filling()
    assert harness.fill(filling, lambda hole: [row(2), row(3), row(4)]) == ["VENUE-2", "VENUE-3", "VENUE-4"]
    assert filling.calls <= 3


def test_a_call_by_time_needs_a_time() -> None:
    call = '{http: "GET https://v.example/t?s={$symbol}&since={$from_ms}", page: {size: 3, by: first}}'
    harness = EngineHarness(plan(call))
    gaps = harness.connector_state.mappings["trade"].gaps
    assert gaps is not None
    gaps.resume({"BTCUSD": 1})
    harness.hear(row(4))
    assert harness.filling().ask() is None


def test_times_have_their_unit() -> None:
    call = '{http: "GET https://v.example/{$symbol}/{$from_s}/{$from_ms}/{$from_ns}/{$to_s}/{$to_us}/{$before}"}'
    harness = EngineHarness(plan(call))
    harness.hear(row(1), row(4))
    filling = harness.filling()
    hole = filling.ask()
    assert hole is not None
    send = SendScope(lambda: 0, WORLD.uuid, NOW, {}, {}, (harness.symbol,), missing=hole)
    url = http_call(filling.mapping.backfill.request, send, Overrides()).url
    first, after = TIME + 10, TIME + 40
    assert url.split("/")[3:] == [
        "BTC-USD", str(first // 1000), str(first), str(first * 1_000_000), str(-(-after // 1000)), str(after * 1000),
        "1",
    ]


# -- numbers that do not count


def test_a_linked_gap_is_closed_when_the_answers_cover_it() -> None:
    harness = EngineHarness(plan(BACKWARD, LINKED))
    harness.hear(row(5, b=1), row(20, b=18))
    filling = harness.filling()
    assert (filling.gap.first, filling.gap.last, filling.gap.missing) == (5, 18, None)
    found = harness.fill(filling, backward([1, 5, 8, 9, 12, 18, 20]))
    assert sorted(found) == ["VENUE-12", "VENUE-18", "VENUE-8", "VENUE-9"]
    (record,) = [plain(one) for one in harness.connector_state.gaps.ended(filling.gap, LATER)]
    assert (record["status"], record["missing"], record["recovered"]) == ("CLOSED", 0, 4)


def test_a_linked_gap_that_is_not_covered_stays_open() -> None:
    harness = EngineHarness(plan(BACKWARD, LINKED))
    harness.hear(row(5, b=1), row(20, b=18))
    filling = harness.filling()
    harness.fill(filling, lambda hole: {"rows": [row(18), row(16), row(14)]})
    assert filling.gap.open
    (record,) = [plain(one) for one in harness.connector_state.gaps.ended(filling.gap, LATER)]
    assert (record["status"], record["missing"], record["recovered"]) == ("OPEN", None, 3)


def test_a_history_that_is_behind_its_stream_does_not_cover_a_break() -> None:
    harness = EngineHarness(plan(LATEST, ""))
    harness.hear(row(1))
    harness.connect()
    harness.hear(row(9))
    filling = harness.filling()
    assert harness.fill(filling, lambda _: [row(n) for n in (5, 4, 3, 2, 1, 0)]) == [f"VENUE-{n}" for n in range(2, 6)]
    assert not filling.filled
    filling.again()
    assert harness.fill(filling, lambda hole: [row(n) for n in range(9, -1, -1)]) == ["VENUE-6", "VENUE-7", "VENUE-8"]
    (record,) = [plain(one) for one in harness.connector_state.gaps.ended(filling.gap, LATER)]
    assert (record["status"], record["count"], record["gap_id"][:22]) == ("CLOSED", 7, "VENUE-trade-BTCUSD-t17")


def test_what_a_file_declares_no_record_leaves_no_gap() -> None:
    streams = STREAMS.replace("SEQUENCE", COUNTED + "\n    drop_when: {x: 1}").replace("CALL", FORWARD)
    harness = EngineHarness(plan_of(SUBSCRIBE, streams))
    harness.hear(row(1), row(2, x=1), row(3, p="broken"), row(4))
    assert harness.connector_state.gap_records(LATER) == []


# -- the worker


class Worker:
    """A worker on its own, against a REST API."""

    def __init__(
        self, api: Rest, tries: int = 5, rounds: int = 3, before: Worker | None = None, plan: Plan | None = None
    ) -> None:
        self.harness = EngineHarness(plan or counted(), before.harness.connector_state if before is not None else None)
        self.published: list[Envelope] = []
        self.backfill_worker = BackfillWorker(
            self.harness.connector_state, self.publish, self._relief,
            lambda request, scope: http_call(request, scope, Overrides(http_url=api.url)), {},
            RetryPolicy(tries, rounds, 0.01, Backoff(base=0.001, cap=0.002)),
        )

    def publish(self, envelopes: list[Envelope]) -> bool:
        self.published += envelopes
        return False

    async def _relief(self) -> None:
        """The sink is never crowded here."""

    async def fill(self, last: int = 5, within: float = 5.0) -> dict[str, Any]:
        """Numbers 1 and ``last`` come; the last record of the gap between them."""
        self.harness.hear(row(1), row(last))
        self.harness.connector_state.gap_records(LATER)
        self.backfill_worker.collect()
        task = asyncio.create_task(self.backfill_worker.run())
        async with asyncio.timeout(within):
            while not self.gaps:
                await asyncio.sleep(0.005)
                if task.done():
                    task.result()
        task.cancel()
        return self.gaps[-1]

    @property
    def gaps(self) -> list[dict[str, Any]]:
        return [record for record in map(plain, self.published) if "gap_id" in record]


def answering(*answers: Answer) -> Callable[[Asked], Answer]:
    """One answer after the other, the last for ever."""
    left = list(answers)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


WHOLE = Answer([row(n) for n in range(2, 5)])


@pytest.mark.parametrize("first", [Answer({}, 500), Answer({"error": "EAPI:Rate limit"}), Answer([], 408)])
def test_a_call_that_fails_is_made_again(first: Answer) -> None:
    with rest(answering(first, WHOLE)) as api:
        assert asyncio.run(Worker(api).fill())["status"] == "CLOSED"
        assert len(api.asked) == 2


def test_a_venue_that_says_wait_is_waited_for() -> None:
    with rest(answering(Answer({}, 429, {"Retry-After": "1"}), WHOLE)) as api:
        started = time.monotonic()
        assert asyncio.run(Worker(api).fill())["status"] == "CLOSED"
        assert time.monotonic() - started >= 1


def test_what_is_refused_for_good_is_not_asked_again() -> None:
    with rest(answering(Answer({}, 404))) as api:
        worker = Worker(api)
        record = asyncio.run(worker.fill())
        assert (record["status"], record["missing"], record["backfill"]) == ("OPEN", 3, "failed")
        assert len(api.asked) == 1
        assert worker.harness.connector_state.ledger.unfilled.total() == 1


def test_after_some_tries_a_gap_is_given_up() -> None:
    with rest(answering(Answer({}, 503))) as api:
        assert asyncio.run(Worker(api, tries=3).fill())["backfill"] == "failed"
        assert len(api.asked) == 3


def test_a_history_that_comes_late_is_asked_for_again() -> None:
    with rest(answering(Answer([row(2)]), Answer([row(3), row(4)]))) as api:
        record = asyncio.run(Worker(api).fill())
        assert (record["status"], record["recovered"]) == ("CLOSED", 3)


def test_a_worker_stops_at_once_and_says_what_is_left() -> None:
    async def main(api: Rest) -> tuple[float, list[dict[str, Any]]]:
        worker = Worker(api)
        worker.harness.hear(row(1), row(5))
        worker.harness.connector_state.gap_records(LATER)
        worker.harness.hear(row(9))
        worker.harness.connector_state.gap_records(LATER)
        worker.backfill_worker.collect()
        task = asyncio.create_task(worker.backfill_worker.run())
        while not api.asked:
            await asyncio.sleep(0.005)
            assert not task.done()
        assert worker.backfill_worker.waiting == 2
        started = time.monotonic()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        worker.backfill_worker.stop()
        return started, worker.gaps

    over = threading.Event()

    def slow(asked: Asked) -> Answer:
        over.wait(60)
        return WHOLE

    with rest(slow) as api:
        started, gaps = asyncio.run(main(api))
        assert time.monotonic() - started < 30
        over.set()
    assert [(one["status"], one["missing"], one["backfill"]) for one in gaps] == [("OPEN", 3, "failed")] * 2


def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k2conn.engine.backfill.pending_backfills.MOST", 2)

    async def main(api: Rest) -> Worker:
        worker = Worker(api)
        worker.harness.hear(*(row(n) for n in range(1, 10, 2)))
        worker.harness.connector_state.gap_records(LATER)
        worker.backfill_worker.collect()
        return worker

    with rest(answering(WHOLE)) as api:
        worker = asyncio.run(main(api))
    assert worker.backfill_worker.waiting == 2
    assert [one["first_sequence"] for one in worker.gaps] == [6, 8]



def test_what_is_left_goes_on_with_the_worker_that_takes_over() -> None:
    async def main(api: Rest) -> tuple[Worker, Worker]:
        old = Worker(api)
        new = Worker(api, before=old)
        new.harness.connector_state.gaps.symbols = {"BTCUSD": new.harness.symbol}
        old.harness.hear(row(1), row(5))
        old.harness.hear(row(9))
        old.harness.connector_state.gap_records(LATER)
        old.backfill_worker.collect()
        task = asyncio.create_task(old.backfill_worker.run())
        while not api.asked:
            await asyncio.sleep(0.005)
            assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        old.harness.connector_state.hand_over(new.harness.connector_state)
        old.backfill_worker.stop()
        assert (old.backfill_worker.waiting, new.backfill_worker.waiting, old.gaps) == (0, 2, [])
        task = asyncio.create_task(new.backfill_worker.run())
        async with asyncio.timeout(60):
            while len(new.gaps) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        task.cancel()
        return old, new

    def slow(asked: Asked) -> Answer:
        if len(api.asked) == 1:
            time.sleep(0.5)
        first = int(asked.query["from"])
        return Answer([row(n) for n in range(first, first + 3)])

    with rest(slow) as api:
        _, new = asyncio.run(main(api))
    assert [(one["status"], one["recovered"], one["backfill"]) for one in new.gaps] == [("CLOSED", 3, "done")] * 2
    assert [asked.query["from"] for asked in api.asked] == ["2", "2", "6"]
    assert new.harness.account()["backfilled"] == 6


@pytest.mark.parametrize("other", [plan(sequence=LINKED, call=BACKWARD), plan_of()])
def test_what_the_next_worker_does_not_know_is_reported_as_open(other: Plan) -> None:
    async def main(api: Rest) -> tuple[Worker, Worker]:
        old = Worker(api)
        new = Worker(api, before=old, plan=other)
        old.harness.hear(row(1), row(5))
        old.harness.connector_state.gap_records(LATER)
        old.backfill_worker.collect()
        old.harness.connector_state.hand_over(new.harness.connector_state)
        old.backfill_worker.stop()
        return old, new

    with rest(answering(WHOLE)) as api:
        old, new = asyncio.run(main(api))
    assert new.backfill_worker.waiting == 0
    assert [(one["status"], one["backfill"]) for one in old.gaps] == [("OPEN", "failed")]
