"""A candle chart of characters, without colour: a rising candle is hollow, a falling one is filled."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from k2conn.charts.bars import Bar, Grid, plain_number
from k2conn.printable import visible

_PITCHES = (4, 2, 1)
"""Columns of a candle with the gap behind it: as many as there is room for."""
_LEVELS = 5
_LEAST = 8
"""Columns and rows below which nothing can be seen."""


class Glyphs(NamedTuple):
    """What a chart is drawn with. ``volumes`` from nothing to the most."""

    rising: str
    falling: str
    wick: str
    axis: str
    tick: str
    volumes: str


BLOCKS = Glyphs("░", "█", "│", "│", "┤", " ▁▂▃▄▅▆▇█")
ASCII = Glyphs("o", "#", "|", "|", "+", " .:-=+*#")


def in_terminal(
    bars: Sequence[Bar], width: int = 80, height: int = 16, title: str = "", encoding: str = "utf-8"
) -> list[str]:
    """The lines of a chart, none longer than ``width``: a title, ``height`` lines of candles, one of volumes, one of
    times. The newest bars, where there is no room for all. What ``encoding`` cannot say is drawn in ASCII. ValueError
    where there is no bar, or no room for one.
    """
    glyphs = BLOCKS if _says(encoding, "".join(BLOCKS)) else ASCII
    grid = Grid(bars)
    margin = max(len(plain_number(one)) for one in (*grid.levels(_LEVELS), grid.low, grid.high))
    room = width - margin - 2
    if room < _LEAST or height < _LEAST:
        raise ValueError(f"a chart needs more room than {width} columns and {height} lines")
    bars = bars[-room:]
    grid = Grid(bars)
    pitch = next(one for one in _PITCHES if one * len(bars) <= room)
    candles = [_column(bar, grid, height, glyphs, max(1, pitch - 1)) for bar in bars]
    gap = "" if pitch == 1 else " "
    labels = {grid.place(one, height - 1): plain_number(one) for one in grid.levels(_LEVELS)}
    lines = [visible(title)[:width]] if title else []
    for row in reversed(range(height)):
        axis = glyphs.tick if row in labels else glyphs.axis
        lines.append(f"{labels.get(row, ''):>{margin}} {axis}" + gap.join(one[row] for one in candles))
    lines.append(f"{'volume':>{margin}.{margin}} {glyphs.axis}" + gap.join(_volumes(bars, glyphs, max(1, pitch - 1))))
    lines.append(" " * (margin + 2) + _times(bars, room, pitch))
    return [line.rstrip() for line in lines]


def _column(bar: Bar, grid: Grid, height: int, glyphs: Glyphs, wide: int) -> list[str]:
    """A candle from the lowest line to the highest."""
    low, high, first, last = (grid.place(one, height - 1) for one in (bar.low, bar.high, bar.open, bar.close))
    body = range(min(first, last), max(first, last) + 1)
    block = glyphs.rising if bar.rises else glyphs.falling
    return [block * wide if row in body else (glyphs.wick if low <= row <= high else " ").center(wide)
            for row in range(height)]


def _volumes(bars: Sequence[Bar], glyphs: Glyphs, wide: int) -> list[str]:
    most = max(bar.volume for bar in bars) or Decimal(1)
    steps = len(glyphs.volumes) - 1
    # whatever is more than nothing is seen
    return [glyphs.volumes[min(steps, max(int(bar.volume * steps / most), int(bar.volume > 0)))] * wide
            for bar in bars]


def _times(bars: Sequence[Bar], room: int, pitch: int) -> str:
    first, last = visible(bars[0].label), visible(bars[-1].label)
    used = min(room, pitch * len(bars))
    both = len(first) + len(last) + 2 <= used
    return first + last.rjust(used - len(first)) if both else first[:room]


def _says(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
