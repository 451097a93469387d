"""A candle chart as SVG: one file that any browser shows, without scripts and without anything from elsewhere.

A rising candle is hollow, a falling one is filled: nobody needs the colours. Every text is escaped, and what XML
cannot hold (control characters) is written out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from xml.sax.saxutils import escape

from k2conn.charts.bars import Bar, Grid, plain_number
from k2conn.printable import visible

WIDTH, HEIGHT = 960, 480
_TOP, _BOTTOM, _LEFT, _RIGHT = 44, 90, 16, 96
"""Room around the candles, in the picture's own units: title, volumes and times, nothing, prices."""
_VOLUMES = 44
_LEVELS = 6
_RISING, _FALLING, _GREY, _LINE = "#18794e", "#b42318", "#555", "#ddd"


def as_svg(bars: Sequence[Bar], title: str, source: str = "") -> str:
    """The document. ``source`` says below the title where the numbers are from. ValueError where there is no bar."""
    grid = Grid(bars)
    name, origin = _text(title), _text(source)
    said = f"{len(bars)} candles from {_text(bars[0].label)} to {_text(bars[-1].label)}, " \
           f"{plain_number(grid.low)} to {plain_number(grid.high)}"
    return "\n".join((
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" font-family="sans-serif" font-size="13">',
        f"<title>{name}</title>",
        f"<desc>{said}</desc>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" font-size="16" font-weight="bold">{name}</text>',
        f'<text x="{_LEFT}" y="38" fill="{_GREY}" font-size="11">{origin}</text>',
        *_levels(grid), *_candles(bars, grid), *_times(bars),
        "</svg>", "",
    ))


def _text(text: str) -> str:
    return escape(visible(text))


def _height(grid: Grid, price: Decimal) -> int:
    """A price's distance from the upper edge."""
    room = HEIGHT - _TOP - _BOTTOM
    return _TOP + room - grid.place(price, room)


def _levels(grid: Grid) -> Iterator[str]:
    end = WIDTH - _RIGHT
    for price in grid.levels(_LEVELS):
        y = _height(grid, price)
        yield f'<line x1="{_LEFT}" y1="{y}" x2="{end}" y2="{y}" stroke="{_LINE}"/>'
        yield f'<text x="{end + 6}" y="{y + 4}" fill="{_GREY}">{plain_number(price)}</text>'


def _candles(bars: Sequence[Bar], grid: Grid) -> Iterator[str]:
    most = max(bar.volume for bar in bars) or Decimal(1)
    for number, bar in enumerate(bars):
        middle, half = _middle(bars, number), max(1, min(12, _pitch(bars) // 3))
        colour = _RISING if bar.rises else _FALLING
        fill = "#fff" if bar.rises else colour
        upper, lower = sorted(_height(grid, one) for one in (bar.open, bar.close))
        yield "<g>"
        yield (f"<title>{_text(bar.label)}: open {plain_number(bar.open)}, high {plain_number(bar.high)}, low "
               f"{plain_number(bar.low)}, close {plain_number(bar.close)}, volume {plain_number(bar.volume)}</title>")
        yield (f'<line x1="{middle}" y1="{_height(grid, bar.high)}" x2="{middle}" y2="{_height(grid, bar.low)}" '
               f'stroke="{colour}"/>')
        yield (f'<rect x="{middle - half}" y="{upper}" width="{2 * half}" height="{max(1, lower - upper)}" '
               f'fill="{fill}" stroke="{colour}"/>')
        tall = int(bar.volume * _VOLUMES / most)
        yield (f'<rect x="{middle - half}" y="{HEIGHT - 26 - tall}" width="{2 * half}" height="{tall}" '
               f'fill="{colour}" fill-opacity="0.35"/>')
        yield "</g>"


def _times(bars: Sequence[Bar]) -> Iterator[str]:
    """The first, the middle and the last."""
    for number in sorted({0, len(bars) // 2, len(bars) - 1}):
        yield (f'<text x="{_middle(bars, number)}" y="{HEIGHT - 8}" fill="{_GREY}" text-anchor="middle" '
               f'font-size="11">{_text(bars[number].label)}</text>')


def _pitch(bars: Sequence[Bar]) -> int:
    return (WIDTH - _LEFT - _RIGHT) // len(bars)


def _middle(bars: Sequence[Bar], number: int) -> int:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * (2 * number + 1) // (2 * len(bars))
