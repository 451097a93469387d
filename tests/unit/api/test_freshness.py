"""How often a store looks, by a clock of our own."""

from __future__ import annotations

import threading

import pytest

from k2conn.api.stores import freshness
from k2conn.api.stores.freshness import Freshness
from k2conn.errors import Unreachable


class Looked:
    """Counts looks, and by which thread they were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.count = 0
        self.beside = 0
        self.trouble: Exception | None = None
        self.done = threading.Event()
        monkeypatch.setattr(freshness, "monotonic", lambda: self.now)

    def __call__(self) -> None:
        self.count += 1
        if threading.current_thread() is not threading.main_thread():
            self.beside += 1
        try:
            if self.trouble is not None:
                raise self.trouble
        finally:
            self.done.set()


def test_answers_wait_for_a_look_only_where_what_is_known_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Looked(monkeypatch)
    fresh = Freshness(looked, 1.0)
    fresh.ensure()
    assert (looked.count, looked.beside) == (1, 0)
    looked.now += 0.4
    fresh.ensure()
    assert looked.count == 1
    looked.now += 0.2
    looked.done.clear()
    fresh.ensure()
    assert looked.done.wait(60)
    _settled(fresh)
    assert (looked.count, looked.beside) == (2, 1)
    looked.now += 1.0
    fresh.ensure()
    assert (looked.count, looked.beside) == (3, 1)


def test_a_look_beside_that_fails_is_told_to_the_answer_that_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Looked(monkeypatch)
    fresh = Freshness(looked, 1.0)
    fresh.ensure()
    looked.trouble = Unreachable("gone")
    looked.now += 0.6
    looked.done.clear()
    fresh.ensure()
    assert looked.done.wait(60)
    _settled(fresh)
    looked.now += 0.5
    with pytest.raises(Unreachable, match="gone"):
        fresh.ensure()
    looked.trouble = None
    fresh.ensure()
    assert looked.count == 4


def _settled(fresh: Freshness) -> None:
    """Until the look beside has ended."""
    with fresh._looking:
        pass
