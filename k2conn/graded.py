"""States that can be compared: the order in which they are defined, from good to bad, is said nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Self


class GradedState(StrEnum):
    """A text (as in JSON and in a metric's label) with a grade; the first member is the best state."""

    @property
    def grade(self) -> int:
        """0 for the best state."""
        return list(type(self)).index(self)

    @classmethod
    def worst(cls, states: Iterable[str]) -> Self | None:
        """The worst of some states, which may be texts that were read back; None of none."""
        return max((cls(state) for state in states), key=lambda state: state.grade, default=None)
