"""What others have sent, value by value: any bytes may stand in a topic, and any program may call itself a member.

Each raises TypeError for what is of another kind or beyond its bounds.
"""

from __future__ import annotations

from k2conn.group.slots import MOST_SLOTS

LATEST_GENERATION = 2**62
"""Nobody counts further."""
LARGEST_COUNT = 2**53
LONGEST_TEXT = 256


def number(said: object, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``."""
    if type(said) is not int or not least <= said <= most:
        raise TypeError
    return said


def generation(said: object) -> int:
    """A group's generation, -1 before the first."""
    return number(said, -1, LATEST_GENERATION)


def text(said: object) -> str:
    """A short text."""
    if type(said) is not str or len(said) > LONGEST_TEXT:
        raise TypeError
    return said


def texts(said: object) -> tuple[str, ...]:
    """Several of them."""
    return tuple(map(text, _bounded(said)))


def slots(said: object) -> frozenset[int]:
    """Slots, which may be more than this group has."""
    return frozenset(number(one, 0, MOST_SLOTS - 1) for one in _bounded(said))


def _bounded(said: object) -> list[object]:
    if type(said) is not list or len(said) > MOST_SLOTS:
        raise TypeError
    return said
