"""Checks exactly whether forms of names overlap, by comparing them as automata; returns a name as proof.

Three faults of a list of forms would silently publish a wrong currency: a form that reads a name in two ways, a form
that matches names of a later one, and a form that is never reached. Each is reported with the shortest name that shows
it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from k2conn.compiler.converters.name_parts import FOREIGN, NamePart, PartStep, Spelling

State = TypeVar("State", bound=Hashable)
Positions = frozenset[int]
Piece = tuple[str, NamePart]
"""A piece of a form: the part's name (empty for the text between the parts) and what it may be."""

_FOREIGN_SHOWN = "币"
_START = -1
MOST_STEPS = 200_000
"""Steps of all comparisons of a file: a second or two; a venue with 50 currencies takes a few thousand."""


class Steps:
    """Counts the steps of comparisons; ValueError where they are too many, which no venue's names need."""

    def __init__(self, most: int = MOST_STEPS) -> None:
        self.left = most

    def take(self) -> None:
        """One more step."""
        self.left -= 1
        if self.left < 0:
            raise ValueError("these forms are too many, or their words, to be compared")


class FormAutomaton:
    """A form as an automaton: a position for each step of its pieces, and what may follow on each.

    ``labels`` say whose piece a position is. An open part and a list of words beside it count as one, because there the
    longest word that fits decides.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.sets: list[frozenset[str]] = []
        self.labels: list[int] = []
        self.owners: list[str] = []
        self.follow: list[set[int]] = []
        self.first: set[int] = set()
        self.last: set[int] = set()
        self._extend(pieces)
        self._next: dict[tuple[int, str], tuple[int, ...]] = {}

    def _extend(self, pieces: Sequence[Piece]) -> None:
        label, joined = 0, False
        for number, (name, part) in enumerate(pieces):
            joined = number > 0 and not joined and _decided_by_words(pieces[number - 1], (name, part))
            label += not joined
            before, self.last = self.last, set()
            shared: dict[Spelling, int] = {}  # words that begin alike share positions, so many words are few positions
            for spelling in part.spellings:
                ends = before
                for at, step in enumerate(spelling):
                    beginning = spelling[: at + 1]
                    if beginning not in shared:
                        shared[beginning] = self._add(step, label, name, ends, first=number == at == 0)
                    ends = {shared[beginning]}
                self.last |= ends

    def _add(self, step: PartStep, label: int, name: str, before: set[int], first: bool) -> int:
        here = len(self.sets)
        self.sets.append(step.characters.listed)
        self.labels.append(label)
        self.owners.append(name)
        self.follow.append({here} if step.many else set())
        if first:
            self.first.add(here)
        for end in before:
            self.follow[end].add(here)
        return here

    def after(self, position: int, one: str) -> tuple[int, ...]:
        """The positions that a character can be of, after a position (`_START`: at the beginning)."""
        key = position, one
        if key not in self._next:
            following = self.first if position == _START else self.follow[position]
            self._next[key] = tuple(sorted(at for at in following if _holds(self.sets[at], one)))
        return self._next[key]

    def step(self, positions: Positions, one: str) -> Positions:
        """All positions after one more character."""
        return frozenset(after for at in positions for after in self.after(at, one))

    def accepts(self, positions: Positions) -> bool:
        """Whether a name may end here."""
        return not self.last.isdisjoint(positions)


def _holds(characters: frozenset[str], one: str) -> bool:
    """Whether a set has a character, by itself or because it has all letters and digits beyond ASCII."""
    return one in characters or (FOREIGN in characters and not one.isascii() and one.isalnum())


def _decided_by_words(before: Piece, piece: Piece) -> bool:
    """Whether two parts stand side by side of which a list of words is one: the longest word that fits decides."""
    return bool(before[0] and piece[0]) and before[1].bounded != piece[1].bounded


def two_readings(pieces: Sequence[Piece], steps: Steps) -> tuple[str, list[str], list[str]] | None:
    """The shortest name that a form reads in two ways, and whose part each character is in the one and the other."""
    one = FormAutomaton(pieces)
    if len(set(one.labels)) == 1:
        return None

    def after(state: tuple[int, int, bool], character: str) -> Iterator[tuple[int, int, bool]]:
        left, right, apart = state
        for p in one.after(left, character):
            for q in one.after(right, character):
                yield p, q, apart or one.labels[p] != one.labels[q]

    def ends(state: tuple[int, int, bool]) -> bool:
        return state[2] and state[0] in one.last and state[1] in one.last

    found = _shortest((_START, _START, False), after, ends, _alphabet([one]), steps)
    if found is None:
        return None
    name, states = found
    return name, [one.owners[p] for p, _, _ in states], [one.owners[q] for _, q, _ in states]


def common_name(one: FormAutomaton, other: FormAutomaton, steps: Steps) -> str | None:
    """The shortest name that both forms read; None where there is none."""

    def after(state: tuple[Positions, Positions], character: str) -> Iterator[tuple[Positions, Positions]]:
        both = one.step(state[0], character), other.step(state[1], character)
        if all(both):
            yield both

    def ends(state: tuple[Positions, Positions]) -> bool:
        return one.accepts(state[0]) and other.accepts(state[1])

    start = frozenset({_START})
    found = _shortest((start, start), after, ends, _alphabet([one, other]), steps)
    return found[0] if found else None


def is_covered(one: FormAutomaton, others: Sequence[FormAutomaton], steps: Steps) -> bool:
    """Whether every name of a form is read by some of the others."""
    def after(state: tuple[Positions, ...], character: str) -> Iterator[tuple[Positions, ...]]:
        own = one.step(state[0], character)
        if own:
            rest = zip(others, state[1:], strict=True)
            yield (own, *(other.step(positions, character) for other, positions in rest))

    def ends(state: tuple[Positions, ...]) -> bool:
        rest = zip(others, state[1:], strict=True)
        return one.accepts(state[0]) and not any(other.accepts(positions) for other, positions in rest)

    start = frozenset({_START})
    return _shortest((start,) * (len(others) + 1), after, ends, _alphabet([one, *others]), steps) is None


def _shortest(
    start: State,
    after: Callable[[State, str], Iterable[State]],
    ends: Callable[[State], bool],
    alphabet: Sequence[str],
    steps: Steps,
) -> tuple[str, list[State]] | None:
    """The shortest text that leads from ``start`` to an end, with the states on the way; breadth first."""
    came: dict[State, tuple[State, str] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        for character in alphabet:
            for following in after(state, character):
                steps.take()
                if following not in came:
                    came[following] = state, character
                    if ends(following):
                        return _way(came, following)
                    waiting.append(following)
    return None


def _way(came: dict[State, tuple[State, str] | None], end: State) -> tuple[str, list[State]]:
    text, states = "", [end]
    step = came[end]
    while step is not None:
        state, character = step
        text = (_FOREIGN_SHOWN if character == FOREIGN else character) + text
        step = came[state]
        if step is not None:
            states.insert(0, state)
    return text, states


def _alphabet(automata: Sequence[FormAutomaton]) -> list[str]:
    """One character of each sort: those that are in the same sets behave alike."""
    sets = list(dict.fromkeys(one for automaton in automata for one in automaton.sets))
    sorts: dict[tuple[bool, ...], str] = {}
    for character in sorted({character for one in sets for character in one}, key=_pleasant):
        sorts.setdefault(tuple(_holds(one, character) for one in sets), character)
    return list(sorts.values())


def _pleasant(character: str) -> tuple[bool, bool, bool, str]:
    """Capital letters first, so that the names shown look like names."""
    return character == FOREIGN, not character.isalpha(), not character.isupper(), character
