"""Messages that are held until the state of the process before is taken in."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from k2conn import exactjson
from k2conn.engine import held_messages
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.held_messages import HeldMessages
from k2conn.engine.state_parts import StateParts, taken_in
from k2conn.envelope import Envelope
from tests.support.plans import STREAMS, SUBSCRIBE, WORLD, plan_of

COUNTED = "    each: data\n    sequence: {from: i, rule: contiguous, per: symbol}\n"
NUMBERED = STREAMS.replace("    each: data\n", COUNTED, 1)
PLAN = plan_of(SUBSCRIBE, NUMBERED)


def pipeline_of(state: ConnectorState) -> FramePipeline:
    symbols = [symbol for name in ("BTC-USD", "ETH-USD") if (symbol := PLAN.symbols.resolve(name))]
    return FramePipeline(state, PLAN.connections[0], symbols, WORLD)


def frame(*numbers: int, at_ms: int = 1_700_000_000_000) -> str:
    data = [{"s": "BTC-USD", "i": number, "p": "1.5", "q": "2", "t": at_ms, "d": "buy"} for number in numbers]
    return exactjson.encode({"ch": "trade", "data": data}).decode()


def released(held: HeldMessages) -> list[Envelope]:
    return [one for some in held.in_turns() for one in some]


def ids(envelopes: Sequence[object]) -> list[str]:
    return [one.schema.decode_plain(one.value)["trade_id"].removeprefix("VENUE-") for one in envelopes]  # type: ignore[attr-defined]


def test_what_the_one_before_has_published_is_not_published_again_and_what_nobody_had_is_a_gap() -> None:
    old = ConnectorState(PLAN, ["trade"])
    kept = StateParts(old)
    pipeline_of(old).receive([frame(1, 2, 3, 4)], 0.0, 1)
    parts = kept.changes()

    new = ConnectorState(PLAN, ["trade"], hold=True)
    pipeline = pipeline_of(new)
    assert pipeline.receive([frame(3), frame(4, 7)], 1.0, 2) == ([], [])
    held = new.held
    assert held is not None
    assert held.any
    assert new.ledger.totals()["received"] == 0
    taken_in(new, parts, 3)
    assert ids(released(held)) == ["7"]
    envelopes, _ = pipeline.receive([frame(8)], 2.0, 4)
    assert ids(envelopes) == ["8"]
    assert new.mappings["trade"].gaps is not None
    due = new.gap_records(10_000_000_000)
    assert [(one["first_sequence"], one["last_sequence"]) for one in
            (each.schema.decode_plain(each.value) for each in due if each.schema is not None)] == [(5, 6)]
    totals = new.ledger.totals()
    assert (totals["received"], totals["duplicates"]) == (5, 2), "the record of the gap is one of them"


def taken_over(before: Sequence[int], *frames: str) -> ConnectorState:
    """One that has held these frames, and knows few ids, with the state of one that has published these numbers."""
    old = ConnectorState(PLAN, ["trade"])
    kept = StateParts(old)
    pipeline_of(old).receive([frame(number) for number in before], 0.0, 1)
    new = ConnectorState(PLAN, ["trade"], window=4, hold=True)
    pipeline_of(new).receive(list(frames), 1.0, 2)
    taken_in(new, kept.changes(), 3)
    return new


def test_what_is_older_than_the_window_of_ids_is_known_by_its_number() -> None:
    """A process was frozen just after it had subscribed; the one before went on meanwhile."""
    new = taken_over(range(1, 101), frame(3), frame(4, 5), frame(6), frame(99, 100, 101))
    assert new.held is not None
    assert ids(released(new.held)) == ["101"]
    totals = new.ledger.totals()
    assert (totals["received"], totals["published"] + totals["in_flight"], totals["duplicates"]) == (7, 1, 6)


def test_a_number_that_the_one_before_was_missing_is_no_repeat() -> None:
    new = taken_over([*range(1, 11), *range(15, 101)], frame(10), frame(12), frame(14, 15), frame(101))
    assert new.held is not None
    assert ids(released(new.held)) == ["12", "14", "101"]


def test_a_venue_that_has_begun_to_count_anew_is_believed() -> None:
    new = taken_over(range(1, 101), *(frame(number, at_ms=1_700_000_060_000) for number in (1, 2, 3, 4)))
    assert new.held is not None
    assert ids(released(new.held)) == ["1", "2", "3", "4"]


def test_what_comes_after_the_release_is_judged_as_ever() -> None:
    new = taken_over(range(1, 101), frame(3))
    assert new.held is not None
    assert ids(released(new.held)) == []
    assert ids(pipeline_of(new).receive([frame(50)], 2.0, 4)[0]) == ["50"]


def test_records_keep_the_time_of_their_receipt() -> None:
    state = ConnectorState(PLAN, ["trade"], hold=True)
    pipeline = pipeline_of(state)
    pipeline.receive([frame(1)], 1.0, 1_000_000)
    pipeline.receive([frame(2)], 2.0, 2_000_000)
    assert state.held is not None
    (first, second) = [one.schema.decode_plain(one.value) for one in released(state.held) if one.schema is not None]
    assert first["ingestion_timestamp"] < second["ingestion_timestamp"]


def test_a_connection_that_comes_after_the_release_holds_nothing() -> None:
    state = ConnectorState(PLAN, ["trade"], hold=True)
    assert state.held is not None
    released(state.held)
    assert ids(pipeline_of(state).receive([frame(1)], 1.0, 1)[0]) == ["1"]


def test_a_successor_after_a_bug_holds_with_the_same_hands() -> None:
    state = ConnectorState(PLAN, ["trade"], hold=True)
    pipeline_of(state).receive([frame(1)], 1.0, 1)
    successor = state.for_plan(PLAN, ["trade"])
    pipeline_of(successor).receive([frame(2)], 1.0, 1)
    assert successor.held is state.held is not None
    assert ids(released(successor.held)) == ["1", "2"]


def test_a_message_that_meets_a_bug_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    state = ConnectorState(PLAN, ["trade"], hold=True)
    pipeline_of(state).receive([frame(1), frame(2), frame(3)], 1.0, 1)
    mapping, held = state.mappings["trade"], state.held
    assert held is not None
    take = mapping.take

    def odd(message: object, text: str, *given: object) -> object:
        if text == frame(2):
            raise ZeroDivisionError
        return take(message, text, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(mapping, "take", odd)
    out = released(held)
    assert ids([one for one in out if one.schema is not None]) == ["1", "3"]
    assert [b"ZeroDivisionError" in one.value for one in out if one.schema is None] == [True]
    assert isinstance(held.bug, ZeroDivisionError)
    totals = state.ledger.totals()
    assert (totals["received"], totals["dead_letters"], totals["in_flight"]) == (3, 0, 3)


def test_a_frame_of_several_messages_is_held_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one that there is room for, too."""
    plan = plan_of(SUBSCRIBE + "  each: '@'\n", NUMBERED)
    several = f"[{frame(1)}, {frame(2)}]"
    monkeypatch.setattr(held_messages, "MOST", len(several))
    state = ConnectorState(plan, ["trade"], hold=True)
    symbols = [symbol for symbol in [plan.symbols.resolve("BTC-USD")] if symbol]
    FramePipeline(state, plan.connections[0], symbols, WORLD).receive([several, f"[{frame(3)}, {frame(4)}]"], 1.0, 1)
    assert state.ledger.discarded == 1
    assert state.held is not None
    assert ids(released(state.held)) == ["1", "2"]


def test_a_frame_of_several_messages_counts_once_when_it_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short the turns: what is held has a bound, which a frame counted twice would lift."""
    monkeypatch.setattr(held_messages, "PART", 1)
    plan = plan_of(SUBSCRIBE + "  each: '@'\n", NUMBERED)
    state = ConnectorState(plan, ["trade"], hold=True)
    symbols = [symbol for symbol in [plan.symbols.resolve("BTC-USD")] if symbol]
    several = [f"[{frame(1)}, {frame(2)}]", f"[{frame(3)}, {frame(4)}]"]
    FramePipeline(state, plan.connections[0], symbols, WORLD).receive(several, 1.0, 1)
    held = state.held
    assert held is not None
    assert held._size == sum(map(len, several))
    turns = held.in_turns()
    assert ids(next(turns)) == ["1", "2"]
    assert held._size == len(several[1])
    assert ids([one for some in turns for one in some]) == ["3", "4"]
    assert held._size == 0


def test_what_is_too_much_is_discarded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_messages, "MOST", 3 * len(frame(1)))
    monkeypatch.setattr(held_messages, "ENOUGH", 2 * len(frame(1)))
    state = ConnectorState(PLAN, ["trade"], hold=True)
    pipeline, held = pipeline_of(state), state.held
    assert held is not None
    pipeline.receive([frame(1), frame(2)], 1.0, 1)
    assert not held.enough
    pipeline.receive([frame(3), frame(4), frame(5)], 1.0, 1)
    assert held.enough
    assert state.ledger.discarded == 2
    assert ids(released(held)) == ["1", "2", "3"]


def test_it_is_released_in_turns_and_what_comes_meanwhile_waits_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_messages, "PART", 2 * len(frame(1)))
    state = ConnectorState(PLAN, ["trade"], hold=True)
    pipeline, held = pipeline_of(state), state.held
    assert held is not None
    pipeline.receive([frame(one) for one in (1, 2, 3, 4)], 1.0, 1)
    turns = held.in_turns()
    assert ids(next(turns)) == ["1", "2"]
    assert pipeline.receive([frame(5)], 2.0, 2) == ([], [])
    assert ids(next(turns)) == ["3", "4"]
    assert ids(pipeline_of(state).receive([frame(6)], 2.0, 2)[0]) == [], "another connection holds, too"
    assert ids(next(turns)) == ["5", "6"]
    assert ids(pipeline.receive([frame(7)], 3.0, 3)[0]) == ["7"]
    assert list(turns) == []
    assert not held.any


def test_what_is_not_released_when_it_ends_is_discarded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_messages, "PART", len(frame(1)))
    state = ConnectorState(PLAN, ["trade"], hold=True)
    pipeline, held = pipeline_of(state), state.held
    assert held is not None
    pipeline.receive([frame(1), frame(2), frame(3)], 1.0, 1)
    next(held.in_turns())
    held.give_up()
    pipeline.receive([frame(4)], 2.0, 2)
    assert state.ledger.discarded == 3
