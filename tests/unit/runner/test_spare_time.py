"""Spare time: the more there are that use it, the longer each rests."""

from __future__ import annotations

import gc

import pytest

from k2conn.runner.spare_time import SpareTime


class User:
    """Somebody who does something beside."""


def test_all_together_have_the_share() -> None:
    spare, users = SpareTime(0.01), [User() for _ in range(40)]
    assert spare.rest(0.001) == pytest.approx(0.1), "nobody is as few as one"
    for user in users:
        spare.join(user)
    rest = spare.rest(0.001)
    assert rest == pytest.approx(4.0)
    assert len(users) * 0.001 / rest == pytest.approx(0.01)


def test_who_has_gone_needs_none() -> None:
    spare, stays, goes = SpareTime(0.5), User(), User()
    spare.join(stays)
    spare.join(goes)
    del goes
    gc.collect()
    assert spare.rest(1.0) == pytest.approx(2.0)
