"""Inputs made of known ones by changes of bytes, as libFuzzer makes them, but fast and in Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

Dice = Callable[[], float]
"""A number from 0 to before 1: several times as fast as asking for a whole one."""


def mutations(inputs: Sequence[bytes], words: Sequence[bytes], most: int, seed: int) -> Iterator[bytes]:
    """Inputs without an end: each a known one after one to eight changes, of at most so many bytes."""
    dice = random.Random(seed).random
    while True:
        data = chosen(inputs, dice)
        for _ in range(1 << int(dice() * 4)):
            data = CHANGES[int(dice() * len(CHANGES))](data, inputs, words, dice)
        yield data[:most]


def chosen(choices: Sequence[bytes], dice: Dice) -> bytes:
    """One of them."""
    return choices[int(dice() * len(choices))]


def place(data: bytes, dice: Dice) -> int:
    """A place in an input, its end among them."""
    return int(dice() * (len(data) + 1))


def piece(data: bytes, dice: Dice) -> bytes:
    """Some bytes of an input: a few more often than many."""
    at = place(data, dice)
    return data[at : at + 1 + int(dice() ** 3 * len(data))]


def flipped(data: bytes, inputs: Sequence[bytes], words: Sequence[bytes], dice: Dice) -> bytes:
    """One bit is another."""
    at = place(data, dice)
    return data[:at] + bytes((data[at] ^ 1 << int(dice() * 8),)) + data[at + 1 :] if at < len(data) else data


def replaced(data: bytes, inputs: Sequence[bytes], words: Sequence[bytes], dice: Dice) -> bytes:
    """One byte is another."""
    at = place(data, dice)
    return data[:at] + bytes((int(dice() * 256),)) + data[at + 1 :]


def inserted(data: bytes, inputs: Sequence[bytes], words: Sequence[bytes], dice: Dice) -> bytes:
    """A byte more."""
    at = place(data, dice)
    return data[:at] + bytes((int(dice() * 256),)) + data[at:]


def erased(data: bytes, inputs: Sequence[bytes], words: Sequence[bytes], dice: Dice) -> bytes:
    """Some bytes less."""
    at = place(data, dice)
    return data[:at] + data[at + 1 + int(dice() ** 3 * len(data)) :]


def doubled(data: bytes, inputs: Sequence[bytes], words: Sequence[bytes], dice: Dice) -> bytes:
    """Some bytes again, elsewhere."""
    at = place(data, dice)
    return data[:at] + piece(data, dice) + data[at:]


def told(data: bytes, inputs: Sequence[bytes], words: Sequence[bytes], dice: Dice) -> bytes:
    """A word, between or in the place of as many bytes."""
    at, word = place(data, dice), chosen(words, dice)
    return data[:at] + word + data[at + (len(word) if dice() < 0.5 else 0) :]


def crossed(data: bytes, inputs: Sequence[bytes], words: Sequence[bytes], dice: Dice) -> bytes:
    """A piece of another input, between or in the place of as many bytes."""
    at, other = place(data, dice), piece(chosen(inputs, dice), dice)
    return data[:at] + other + data[at + (len(other) if dice() < 0.5 else 0) :]


CHANGES = (flipped, replaced, inserted, erased, doubled, told, crossed)
