"""Generates the data of a venue: one sequence of frames for each stream and symbol, with contiguous ids."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from itertools import cycle
from random import Random
from typing import NamedTuple

from k2conn.plan import Json, Separators, Symbol
from k2conn.tools.mock.field_detection import AMOUNT, IDENTITY, PREVIOUS, PRICE, SEQUENCE, FieldDetection
from k2conn.tools.mock.frame_templates import FrameTemplate, SpanPlace, encoded
from k2conn.tools.mock.number_formats import count_to, counted, exact, spelled, tick
from k2conn.tools.mock.usual_prices import usual_price

_FAR = 300
"""The largest distance of a price from its start, in steps of about a hundred-thousandth of the price."""

_SPANS_BEFORE = 1000
"""How many spans before now the first item is about."""


class GeneratedFrame(NamedTuple):
    """A frame's text and the ids of its items (a running number where the venue has no ids)."""

    text: bytes
    ids: tuple[str, ...]
    shared: Mapping[str, tuple[str, ...]] | None = None
    """The ids by stream, where the frame is several streams'."""


@dataclass(slots=True)
class PriceWalk:
    """A random walk of one symbol's price in exact steps, shared by all its streams."""

    random: Random
    steps: int = 0
    bases: list[Decimal] = field(default_factory=list)

    def walk(self) -> None:
        """One move."""
        self.steps = max(-_FAR, min(_FAR, self.steps + self.random.choice((-2, -1, 0, 1, 2))))

    def base(self, template: FrameTemplate, price: Decimal, symbol: Symbol, own: bool) -> Decimal:
        """Where a stream's price begins: where well-known currencies are, else with the symbol's other streams, if it
        is in the same unit.
        """
        usual, unit = usual_price(symbol), template.unit
        if usual is not None and unit is not None and usual * unit >= 1000 * template.tick:
            return usual * unit
        target = price if own else price * _factor(symbol.record)
        for known in self.bases:
            if known / 10 < target < known * 10:
                return known
        self.bases.append(target)
        return target


def _factor(symbol: str) -> Decimal:
    """A factor for the price of a symbol other than the example's; always the same for a symbol."""
    number = int.from_bytes(hashlib.sha256(symbol.encode()).digest()[:4], "big")
    return Decimal(500 + number % 9000) / 10000


class SyntheticFrames:
    """Uses templates in turn, with new times, ids, prices and amounts."""

    def __init__(
        self,
        name: str,
        symbol: Symbol,
        templates: Sequence[tuple[FrameTemplate, bool]],
        snapshots: Sequence[tuple[FrameTemplate, bool]],
        price_walk: PriceWalk,
        detection: FieldDetection,
        seed: int,
    ) -> None:
        """``templates`` come with whether the example is of the same symbol; then its price level is kept."""
        self.captured: dict[str, Json] = {}
        """What a connection must have captured to read these frames: of a table what each of them needs."""
        for template, _ in templates:
            for name, value in template.state.items():
                known = self.captured.get(name)
                tables = isinstance(known, dict) and isinstance(value, dict)
                self.captured[name] = {**dict(known or {}), **value} if tables else value
        self._snapshot_frame = next((template for template, _ in snapshots), None)
        self._name = name
        self._detection = detection
        self._price_walk = price_walk
        self._random = Random(f"{seed}/{name}")
        self._numbers: dict[tuple[str, int], int] = {}
        self._span: int | None = None
        """The number of the span of time that the next item is about."""
        self._count_without_id = 0
        self._bases = {
            id(template): price_walk.base(template, template.price, symbol, own)
            for template, own in [*templates, *snapshots]
            if template.price is not None
        }
        self._rotation = cycle([template for template, _ in templates])

    def next(self, now_us: int) -> GeneratedFrame:
        """The next frame."""
        return self.generate(next(self._rotation), now_us)

    def open(self, now_us: int) -> GeneratedFrame | None:
        """The snapshot that a stream of deltas starts with; None for other streams."""
        return self.generate(self._snapshot_frame, now_us) if self._snapshot_frame else None

    def generate(self, template: FrameTemplate, now_us: int) -> GeneratedFrame:
        """One frame made from a template."""
        self._price_walk.walk()
        shift = self._shift(template)
        for part, was in template.parts:
            container, key = part.place
            if part.role in (IDENTITY, SEQUENCE):
                container[key] = self._count(part.role, part.order, was)
            elif part.role == PREVIOUS:
                container[key] = self._previous(was)
            elif part.role == PRICE:
                container[key] = _moved(was, shift, part.separators)
            elif part.role == AMOUNT:
                container[key] = self._amount(was, part.separators)
        for (container, key), write, after in template.clocks:
            container[key] = write(now_us + after)
        for span in template.spans:
            container, key = span.place
            container[key] = span.write(self._begin(span, now_us))
        ids = self._ids(template)
        return GeneratedFrame(encoded(template.frame), ids, _by_stream(template, ids))

    def _ids(self, template: FrameTemplate) -> tuple[str, ...]:
        """The ids as the plan reads them; taken directly from the leaves where those are the ids unchanged."""
        if template.ids is None:
            rows = self._detection.rows(template.frame, template.state)
            return tuple(row.identity or self._next_number() for row in rows)
        return tuple(str(container[key]) for container, key in template.ids)

    def _next_number(self) -> str:
        self._count_without_id += 1
        return str(self._count_without_id)

    def _shift(self, template: FrameTemplate) -> Decimal:
        """The amount to add to all prices of a frame."""
        if template.price is None:
            return Decimal(0)
        base = self._bases[id(template)]
        step = max(template.tick, (base / 100_000).quantize(template.tick, ROUND_FLOOR))
        target = base + self._price_walk.steps * step
        if target <= base / 2:
            target = base - self._price_walk.steps * step
        return (target - template.price).quantize(template.tick, ROUND_FLOOR)

    def _count(self, role: str, order: int, was: Json) -> Json:
        first = counted(was)
        number = self._numbers.get((role, order), 0 if first is None else first)
        self._numbers[role, order] = number + 1
        return count_to(was, number, self._name)

    def _begin(self, span: SpanPlace, now_us: int) -> int:
        """When the next span begins: they follow each other without waiting, beginning long before now."""
        number = span.interval.number(now_us) - _SPANS_BEFORE if self._span is None else self._span
        self._span = number + span.last
        return span.interval.begin_us(number)

    def _previous(self, was: Json) -> Json:
        following = self._numbers.get((SEQUENCE, 0), self._numbers.get((IDENTITY, 0)))
        return was if following is None else count_to(was, following - 1, self._name)

    def _amount(self, was: Json, separators: Separators | None) -> Json:
        number = exact(was, separators)
        if number is None or not number:
            return was
        last = tick(was, separators)
        most = 2 * int(abs(number) / last)
        return spelled(self._random.randint(1, most) * last * (1 if number > 0 else -1), was, separators)


def _by_stream(template: FrameTemplate, ids: tuple[str, ...]) -> dict[str, tuple[str, ...]] | None:
    names = dict.fromkeys(row.stream.name for row in template.rows)
    if len(names) < 2:
        return None
    return {name: tuple(one for one, row in zip(ids, template.rows, strict=True) if row.stream.name == name)
            for name in names}


def _moved(was: Json, shift: Decimal, separators: Separators | None) -> Json:
    number = exact(was, separators)
    if number is None or number <= 0 or number + shift <= 0:
        return was
    return spelled(number + shift, was, separators)


class RecordedFrames:
    """Recorded frames unchanged, repeated or once."""

    def __init__(self, frames: Sequence[GeneratedFrame], once: bool) -> None:
        self._frames = frames
        self._once = once
        self._at = 0

    def next(self, now_us: int) -> GeneratedFrame | None:
        """The next frame; None at the end."""
        if self._once and self._at >= len(self._frames):
            return None
        self._at += 1
        return self._frames[(self._at - 1) % len(self._frames)]

