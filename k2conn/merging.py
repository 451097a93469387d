"""Documents of several workers as one: each member of a document says how it is merged.

A document is a JSON object whose shape is a TypedDict. What a member is worth together is said where it is declared::

    class SpoolStatus(TypedDict):
        bytes: Annotated[int, total]
        full: Annotated[bool, any_true]

A rule gets the values of those documents that have the member and have not null there, at least one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, NotRequired, TypeVar, cast, get_origin, get_type_hints

from k2conn.graded import GradedState

Rule = Callable[[Sequence[Any]], Any]
Shape = TypeVar("Shape")


def merged(shape: type[Shape], documents: Sequence[Mapping[str, Any]], others: Rule | None = None) -> Shape:
    """Documents of one shape as one, its members in the order in which they first appear. ``others`` is for members
    that the shape does not know, which are a KeyError without it.
    """
    rules = _rules(cast(Hashable, shape))
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for one in documents for name in one):
        values = [one[name] for one in documents if one.get(name) is not None]
        rule = others if others is not None and name not in rules else rules[name]
        found[name] = rule(values) if values else None
    return found  # type: ignore[return-value]


@cache
def _rules(shape: Any) -> dict[str, Rule]:
    """The rule of each member; TypeError for a member that has none."""
    found: dict[str, Rule] = {}
    for name, hint in get_type_hints(shape, include_extras=True).items():
        annotated = hint.__args__[0] if get_origin(hint) is NotRequired else hint
        if get_origin(annotated) is not Annotated:
            raise TypeError(f"{shape.__name__}.{name} does not say how it is merged")
        found[name] = annotated.__metadata__[0]
    return found


# -- rules


def total(values: Sequence[Any]) -> Any:
    """The sum of numbers."""
    return sum(values)


def largest(values: Sequence[Any]) -> Any:
    """The largest number."""
    return max(values)


def all_true(values: Sequence[bool]) -> bool:
    """Whether it is so everywhere."""
    return all(values)


def any_true(values: Sequence[bool]) -> bool:
    """Whether it is so anywhere."""
    return any(values)


def side_by_side(values: Sequence[object]) -> str:
    """Texts, each once."""
    return ", ".join(dict.fromkeys(map(str, values)))


def one_after_the_other(values: Sequence[list[Any]]) -> list[Any]:
    """Lists as one."""
    return [item for one in values for item in one]


def worst_of(states: type[GradedState]) -> Rule:
    """The worst of some states."""
    return states.worst


def each_by_name(rule: Rule) -> Rule:
    """Mappings as one: what is under the same name in several of them is merged by ``rule``."""

    def by_name(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        names = dict.fromkeys(name for one in values for name in one)
        return {name: rule([one[name] for one in values if name in one]) for name in names}

    return by_name


def each_in_place(rule: Rule) -> Rule:
    """Lists of the same length as one: what is in the same place is merged by ``rule``."""
    return lambda values: [rule(same) for same in zip(*values, strict=True)]


def in_shape(shape: type[Any]) -> Rule:
    """Documents within documents."""
    return lambda values: merged(shape, values)


def by_kind_of_value(values: Sequence[Any]) -> Any:
    """For what other people's components say of themselves: counts are added up, flags hold where they hold everywhere,
    lists and mappings are joined, and texts stand side by side.
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    first = known[0]
    if isinstance(first, bool):
        return all_true(known)
    if isinstance(first, Mapping):
        return each_by_name(by_kind_of_value)(known)
    if isinstance(first, list):
        return one_after_the_other(known)
    return side_by_side(known) if isinstance(first, str) else total(known)
