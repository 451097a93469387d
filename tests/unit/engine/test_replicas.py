"""What each of several sockets with the same subscriptions had, had late, and never had."""

from __future__ import annotations

from k2conn.engine.identity.dedup_window import DedupWindow
from k2conn.engine.resilience.replicas import GRACE_US, ReplicaSet


def test_first_late_and_missing() -> None:
    replica_set = ReplicaSet(2)
    a, b = replica_set.replica(0), replica_set.replica(1)
    window = DedupWindow(100)

    def comes(replica: object, identity: str, now: int) -> bool:
        window.replica = replica  # type: ignore[assignment]
        window.replica.now_us = now  # type: ignore[union-attr]
        return window.seen(identity)

    assert not comes(a, "before", 0)
    assert not comes(b, "1", 10)
    assert comes(a, "1", 11)
    assert comes(a, "1", 12), "twice on one leg is no merit"
    assert not comes(a, "2", 20)
    assert not comes(b, "3", 30)
    replica_set.expire(GRACE_US + 15)
    assert b.tally.figures() == {"first": 2, "late": 0, "missing": 0}, "nothing is owed from before the first record"
    replica_set.expire(GRACE_US + 40)
    assert a.tally.figures() == {"first": 2, "late": 1, "missing": 1}
    assert b.tally.figures() == {"first": 2, "late": 0, "missing": 1}
    assert comes(b, "2", GRACE_US + 50), "too late to count"
    assert b.tally.figures() == {"first": 2, "late": 0, "missing": 1}


def test_the_book_is_bounded() -> None:
    replica_set = ReplicaSet(2)
    replica_set.note(1, "x", False, 0)
    for number in range(60_000):
        replica_set.note(0, str(number), False, 1)
    assert len(replica_set._open) == 50_000
    assert replica_set.tallies[1].missing == 10_001 - 1
    assert replica_set.tallies[0].missing == 0
