"""A connector's state in parts: what one process writes, border by border, the next one goes on with."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.gaps.gap import Gap
from k2conn.engine.gaps.gap_states import GapCause
from k2conn.engine.gaps.gap_tracker import GRACE_US
from k2conn.engine.gaps.suspected_gaps import SuspectedGapTracker
from k2conn.engine.state_parts import LEAST_IDS, MOST_IDS, PAGES, StateParts, taken_in
from tests.support.plans import STREAMS, SUBSCRIBE, plan_of

NOW = 1_767_323_045_000_000
KEY = "BTCUSD"
CONTENT = bytes(14)
COUNTED = "each: data\n    sequence: {from: i, rule: contiguous, per: symbol}"
CALL = '\n    backfill: {http: "GET https://v.example/t?from={$first}", page: {size: 3, by: first}}'
TIMED = '\n    backfill: {http: "GET https://v.example/t?from={$from_ms}&to={$to_ms}"}'


def state(call: str = "", counted: bool = True) -> ConnectorState:
    text = STREAMS.replace("each: data", (COUNTED if counted else "each: data") + call, 1)
    return ConnectorState(plan_of(SUBSCRIBE, text), ["trade"], backfill=True)


class Topic:
    """What a compacted topic keeps of parts."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def write(self, parts: StateParts) -> int:
        changed = parts.changes()
        self.kept.update((json.dumps(key), json.dumps(value)) for key, value in changed)
        return len(changed)

    def parts(self) -> list[tuple[list[Any], Any]]:
        return [(json.loads(key), json.loads(value)) for key, value in self.kept.items()]


def see(one: ConnectorState, *numbers: int, now: int = NOW) -> None:
    tracker = one.mappings["trade"].gaps
    assert tracker is not None
    for number in numbers:
        gap = tracker.see(KEY, number, None, now, 1, now + number)
        if gap is not None and gap.reported is not None:
            one.mappings["trade"].closed.append(gap)


def records(one: ConnectorState, now: int) -> list[dict[str, Any]]:
    found = []
    for envelope in one.gap_records(now):
        assert envelope.schema is not None
        found.append(envelope.schema.decode_plain(envelope.value))
    return found


def after(topic: Topic, call: str = "", now: int = NOW) -> ConnectorState:
    new = state(call)
    taken_in(new, topic.parts(), now)
    return new


def test_only_what_changed_is_written() -> None:
    one, topic = state(), Topic()
    parts = StateParts(one)
    assert topic.write(parts) == 1  # whose it is
    assert topic.write(parts) == 0
    see(one, 1, 2)
    assert topic.write(parts) == 1
    assert topic.write(parts) == 0


def test_the_next_process_finds_exactly_what_was_missed() -> None:
    one, topic = state(), Topic()
    parts = StateParts(one)
    see(one, 1, 2, 3)
    topic.write(parts)
    new = after(topic)
    see(new, 7)
    (found,) = records(new, NOW + GRACE_US)
    assert (found["first_sequence"], found["last_sequence"], found["cause"]) == (4, 6, "restart")


def test_a_gap_keeps_its_place_in_the_books() -> None:
    """Reported by one process and half filled, it is closed by the next one under its own id, and reported once."""
    one, topic = state(), Topic()
    parts = StateParts(one)
    see(one, 1, 6)
    (opened,) = records(one, NOW + GRACE_US)
    see(one, 3)
    topic.write(parts)
    new = after(topic)
    assert records(new, NOW + 2 * GRACE_US) == []
    assert new.ledger.totals()["missing"] == 4
    see(new, 2, 4, 5, now=NOW + GRACE_US)
    (closed,) = records(new, NOW + 2 * GRACE_US)
    assert (opened["status"], closed["status"], closed["gap_id"]) == ("OPEN", "CLOSED", opened["gap_id"])
    assert new.ledger.totals()["missing"] == 0


def test_a_gap_that_waits_for_its_grace_is_reported_by_the_next_process() -> None:
    one, topic = state(), Topic()
    parts = StateParts(one)
    see(one, 1, 6)
    topic.write(parts)
    (found,) = records(after(topic), NOW + GRACE_US)
    assert (found["first_sequence"], found["last_sequence"], found["missing"]) == (2, 5, 4)


def test_a_pending_backfill_goes_on() -> None:
    one, topic = state(CALL), Topic()
    parts = StateParts(one)
    see(one, 1, 6)
    records(one, NOW + GRACE_US)
    one.pending_backfills.collect()
    topic.write(parts)
    new = after(topic, CALL)
    assert records(new, NOW + 2 * GRACE_US) == []
    assert [(gap.first, gap.last) for gap in new.gaps.to_fill] == [(2, 5)]


def test_a_suspected_gap_goes_on_whatever_its_stage() -> None:
    for collected in (False, True):
        one, topic = state(TIMED, counted=False), Topic()
        parts = StateParts(one)
        tracker = one.mappings["trade"].suspected_gaps
        assert isinstance(tracker, SuspectedGapTracker)
        tracker.see(KEY, NOW, NOW, 1)
        tracker.see(KEY, NOW + 5, NOW, 2)
        if collected:
            one.gap_records(NOW + GRACE_US)
        topic.write(parts)
        new = state(TIMED, counted=False)
        taken_in(new, topic.parts(), NOW)
        new.gap_records(NOW + GRACE_US)
        assert [(gap.first, gap.from_us, gap.to_us) for gap in new.gaps.to_fill] == [(None, NOW, NOW + 5)]


def test_a_gap_of_an_audit_is_the_audits_to_find_again() -> None:
    one, topic = state(CALL), Topic()
    parts = StateParts(one)
    see(one, 1)
    one.gaps.to_fill.append(Gap("trade", KEY, None, None, NOW, GapCause.AUDIT, None, None, reported=3))
    topic.write(parts)
    assert after(topic, CALL).gaps.to_fill == []


def test_ids_go_in_pages_and_none_is_forgotten() -> None:
    one, topic = state(), Topic()
    window, parts = one.mappings["trade"].window, StateParts(one)
    sizes = (1, LEAST_IDS - 1, 5, MOST_IDS * 2 + 7, 0, 900, LEAST_IDS, 1)
    seen = 0
    for size in sizes:
        for number in range(seen + 1, seen + 1 + size):
            assert not window.seen(f"id-{number}", CONTENT)
        seen += size
        topic.write(parts)
    new = after(topic).mappings["trade"].window
    assert all(new.seen(f"id-{one}", CONTENT) for one in range(1, sum(sizes) + 1))
    assert not new.seen("id-0", CONTENT)


def test_a_generation_of_the_window_that_turns_between_two_borders_is_written() -> None:
    for between in (3, 15, 25):  # none, one and more generations of ten
        one, topic = state(), Topic()
        window = one.mappings["trade"].window
        window.size = 10
        parts = StateParts(one)
        for number in range(5 + between):
            window.seen(f"id-{number}", CONTENT)
            if number == 4:
                topic.write(parts)
        topic.write(parts)
        new = after(topic).mappings["trade"].window
        assert all(new.seen(f"id-{number}", CONTENT) for number in range(max(0, between - 5), 5 + between))


def test_old_pages_are_replaced_over_restarts_too() -> None:
    topic, last, pages = Topic(), 0, {}
    for _ in range(3):
        one = state()
        pages = taken_in(one, topic.parts(), NOW)
        window, parts = one.mappings["trade"].window, StateParts(one, pages)
        for _ in range(PAGES):
            for number in range(last + 1, last + 1 + LEAST_IDS):
                window.seen(f"id-{number}", CONTENT)
            last += LEAST_IDS
            topic.write(parts)
    assert pages["trade"] == 2 * PAGES
    assert sum('"ids"' in key for key in topic.kept) == PAGES
    new = after(topic).mappings["trade"].window
    assert new.seen(f"id-{last}", CONTENT)
    assert new.seen(f"id-{last - 100 * LEAST_IDS}", CONTENT)


GOOD = (
    (["connector", "venue"], {"v": 1, "exchange": "VENUE"}),
    (["symbol", "venue", "trade", KEY], {"v": 1, "last": 9, "event_us": 5, "time": 0, "gaps": [
        {"first": 2, "last": 5, "count": 4, "since_us": 1, "from_us": 0, "to_us": 0, "cause": "stream", "reported": 4,
         "recovered": 0, "fill": False, "ranges": [[2, 5]]}]}),
    (["ids", "venue", "trade", 0], {"v": 1, "number": 0, "ids": ["a"], "contents": ["00" * 14]}),
)


def spoilt(part: int, *path: Any, value: Any) -> list[tuple[list[Any], Any]]:
    parts = copy.deepcopy([(list(key), value) for key, value in GOOD])
    place: Any = parts[part][1]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return parts


@pytest.mark.parametrize(
    "parts",
    [
        spoilt(0, "v", value=2),
        spoilt(0, "exchange", value="OTHER"),
        spoilt(1, "v", value="1"),
        spoilt(1, "last", value=-1),
        spoilt(1, "last", value=2**63),
        spoilt(1, "event_us", value="x"),
        spoilt(1, "gaps", value=None),
        spoilt(1, "gaps", value=[{}] * 600),
        spoilt(1, "gaps", 0, "ranges", value=[[2, 9]]),
        spoilt(1, "gaps", 0, "ranges", value=[[3, 2]]),
        spoilt(1, "gaps", 0, "ranges", value=[[2, 2]] * 300),
        spoilt(1, "gaps", 0, "cause", value="whim"),
        spoilt(1, "gaps", 0, "first", value=None),
        spoilt(1, "gaps", 0, "fill", value=1),
        spoilt(2, "number", value=True),
        spoilt(2, "ids", value=["a", "b"]),
        spoilt(2, "ids", value=["x" * 2000]),
        spoilt(2, "contents", value=["zz" * 14]),
        spoilt(2, "contents", value=[7]),
        [(["symbol", "venue", "trade", "x" * 2000], GOOD[1][1])],
        [(["ids", "venue", "trade"], {"v": 1, "number": 0, "ids": [], "contents": []})],
        [(["symbol", "venue", 7, KEY], GOOD[1][1])],
        [(["symbol", "venue", "trade", KEY], None)],
        [(["symbol", "venue", "trade", KEY], {})],
    ],
)
def test_what_is_not_right_is_refused_and_nothing_of_it_taken_in(parts: list[tuple[list[Any], Any]]) -> None:
    one = state()
    with pytest.raises(ValueError, match=r"\S"):
        taken_in(one, parts, NOW)
    assert len(one.mappings["trade"].window) == 0
    assert StateParts(one).changes()[1:] == []


def test_the_last_page_number_there_can_be_is_written_again_and_read_again() -> None:
    """Whoever wrote it: what follows must not be what the next process refuses."""
    topic, one = Topic(), state()
    pages = taken_in(one, spoilt(2, "number", value=2**63 - 1), NOW)
    parts = StateParts(one, pages)
    for number in range(3 * MOST_IDS):
        one.mappings["trade"].window.seen(f"id-{number}", CONTENT)
    topic.write(parts)
    new = after(topic).mappings["trade"].window
    assert new.seen(f"id-{3 * MOST_IDS - 1}", CONTENT)


def test_what_is_right_is_taken_in() -> None:
    one = state()
    assert taken_in(one, [(list(key), value) for key, value in GOOD], NOW) == {"trade": 1}
    assert one.mappings["trade"].window.seen("a", CONTENT)
    assert one.ledger.totals()["missing"] == 4
