"""Conditions on a message: every `when` and its like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from k2conn.plan.values import Condition, Getter, Json


class Affix(NamedTuple):
    """What a text begins with, or (``last``) ends with."""

    text: str
    last: bool


class ConditionPath(NamedTuple):
    """One plain path that a condition reads; ``presence``: only whether something is there matters."""

    text: str
    get: Getter
    presence: bool = False
    head: str | None = None
    """The message's own key that the path begins with; None where it begins otherwise."""
    wanted: frozenset[Json] | None = None
    """What its value is compared with, where it is only compared, or asked whether it counts as true; None: any value
    may make a difference.
    """
    null_at: Getter | None = None
    """Where a null counts as something that is there: what leads to it."""
    kind: Getter | None = None
    """Where all that counts of a value is of which kind it is, and whether it is empty: what leads to it."""
    captured: Getter | None = None
    """Where the leaf is whether a value was captured: what leads to that value."""
    affixes: frozenset[Affix] | None = None
    """Where all that is asked of a text is whether it begins or ends so: what it is asked for; else None."""


@dataclass(frozen=True, slots=True)
class Match:
    """One ``when``: ``equalities`` is the look-up form (None where an expression must run).

    ``paths`` are those whose values decide the condition; None where more than paths decides.
    """

    text: str
    condition: Condition
    equalities: tuple[tuple[str, Getter, tuple[Json, ...]], ...] | None = None
    paths: tuple[ConditionPath, ...] | None = None
