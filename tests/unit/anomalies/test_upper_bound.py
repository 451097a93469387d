"""What is usual is learnt from what comes, and no single number spoils it."""

from __future__ import annotations

import random

import pytest

from k2conn.anomalies.upper_bound import WARM_UP, UpperBound


def bound(numbers: list[float]) -> UpperBound:
    found = UpperBound()
    for number in numbers:
        found.add(number)
    return found


def test_it_is_where_one_of_a_hundred_is_above() -> None:
    chance = random.Random(1)
    numbers = [chance.lognormvariate(0, 1) for _ in range(50_000)]
    found = bound(numbers)
    above = sum(number > found.level for number in numbers) / len(numbers)
    assert 0.005 < above < 0.02


def test_it_is_known_after_a_hundred() -> None:
    assert not bound([1.0] * (WARM_UP - 1)).warm
    assert bound([1.0] * WARM_UP).warm


@pytest.mark.parametrize("place", [0, 50, WARM_UP - 1, WARM_UP, 500])
def test_one_wild_number_moves_it_by_a_twentieth_at_most(place: int) -> None:
    numbers = [1.0 + number % 7 / 10 for number in range(1000)]
    wild = bound([*numbers[:place], 1e30, *numbers[place:]])
    assert wild.level <= bound(numbers).level * 1.06


def test_another_habit_is_learnt() -> None:
    calm = [1.0 + number % 7 / 10 for number in range(1000)]
    found = bound([*calm, *(10 * number for number in calm[:200])])
    assert 10 < found.level < 20


@pytest.mark.parametrize("number", [0.0, 1e-300, 1e300])
def test_numbers_that_are_all_the_same_are_no_trouble(number: float) -> None:
    found = bound([number] * 100_000)
    assert 0 < found.level < float("inf")
