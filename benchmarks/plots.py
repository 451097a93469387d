"""Plots as SVG text: bars, lines and a flame graph. Each has a ground of its own, light or dark as the reader's system
is, so that it can be read wherever it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from benchmarks.figures import spelled

WIDTH = 720
_FONT = "font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif"
_STYLE = f"""<style>
.ground{{fill:#ffffff;stroke:#d1d9e0}} .grid{{stroke:#e3e8ee;fill:none}} .axis{{stroke:#818b98;fill:none}}
text{{fill:#1f2328;{_FONT};font-size:12px}} .title{{font-size:14px;font-weight:600}} .dim{{fill:#59636e}}
.limit{{stroke:#cf222e;stroke-dasharray:5 4;fill:none}} .limit-text{{fill:#cf222e}}
.f0{{fill:#1f6feb}} .f1{{fill:#bf6a02}} .f2{{fill:#2da44e}} .f3{{fill:#8250df}} .f4{{fill:#6e7781}}
.l0{{stroke:#1f6feb}} .l1{{stroke:#bf6a02}} .l2{{stroke:#2da44e}} .l3{{stroke:#8250df}} .l4{{stroke:#6e7781}}
.line{{fill:none;stroke-width:2;stroke-linejoin:round}} .cell text{{fill:#ffffff;font-size:10px}}
.cell rect{{stroke:#ffffff;stroke-width:.5}}
@media (prefers-color-scheme:dark){{.ground{{fill:#0d1117;stroke:#3d444d}} .grid{{stroke:#262c36}} text{{fill:#e6edf3}}
.dim{{fill:#9198a1}} .limit{{stroke:#f85149}} .limit-text{{fill:#f85149}} .cell rect{{stroke:#0d1117}}}}
</style>"""
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 62, 48


def bars(title: str, rows: Sequence[tuple[str, float]], unit: str) -> str:
    """A bar for each (name, value), the value written beside it."""
    start, step = 32 + 7.3 * max(len(name) for name, _ in rows), 30
    scale = (WIDTH - start - 110) / max(value for _, value in rows)
    parts = [_title(title)]
    for at, (name, value) in enumerate(rows):
        y = 46 + at * step
        parts += [_text(start - 8, y + 15, name, "end"),
                  f'<rect class="f{0 if at == 0 else 4}" x="{start:.1f}" y="{y}" width="{max(value * scale, 1):.1f}"'
                  f' height="20" rx="2"/>',
                  _text(start + value * scale + 6, y + 15, spelled(value, unit), "start", "dim")]
    return _svg(title, 46 + len(rows) * step + 10, parts)


def lines(
    title: str, series: Mapping[str, Sequence[tuple[float, float]]], x_name: str, y_name: str, *, log_x: bool = False,
    limit: float | None = None, ticks: Sequence[float] | None = None, dots: bool = False, top: float | None = None,
) -> str:
    """A line for each of ``series``; ``limit`` is drawn across where it is in sight. The y axis begins at zero."""
    points = [point for line in series.values() for point in line]
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    most = top or max(max(y for _, y in points), limit or 0.0) * 1.05
    height = 340
    x_of = _scale(low, high, _LEFT, WIDTH - _RIGHT, log_x)
    y_of = _scale(0.0, most, height - _BOTTOM, _TOP, False)
    parts = [_title(title)]
    for y in _ticks(0.0, most):
        parts += [f'<path class="grid" d="M{_LEFT} {y_of(y):.1f}H{WIDTH - _RIGHT}"/>',
                  _text(_LEFT - 8, y_of(y) + 4, _number(y), "end", "dim")]
    for x in ticks or (_decades(low, high) if log_x else _ticks(low, high)):
        parts.append(_text(x_of(x), height - _BOTTOM + 18, _number(x), "middle", "dim"))
    parts.append(f'<path class="axis" d="M{_LEFT} {height - _BOTTOM}H{WIDTH - _RIGHT}"/>')
    if limit is not None and limit <= most:
        parts += [f'<path class="limit" d="M{_LEFT} {y_of(limit):.1f}H{WIDTH - _RIGHT}"/>',
                  _text(WIDTH - _RIGHT - 4, y_of(limit) - 5, f"target {_number(limit)}", "end", "limit-text")]
    for at, line in enumerate(series.values()):
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line)
        parts.append(f'<polyline class="line l{at % 5}" points="{path}"/>')
        if dots:
            parts += [f'<circle class="f{at % 5}" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3"/>' for x, y in line]
    parts += [_legend(tuple(series)),
              _text((_LEFT + WIDTH - _RIGHT) / 2, height - 10, x_name, "middle", "dim"),
              f'<g transform="translate(16 {(_TOP + height - _BOTTOM) / 2}) rotate(-90)">'
              f'{_text(0, 0, y_name, "middle", "dim")}</g>']
    return _svg(title, height, parts)


def flame(title: str, tree: Mapping[str, Any]) -> str:
    """Boxes as wide as their share of the samples, callers above those they call."""
    row, parts = 18, [_title(title)]
    deepest = 0

    def place(node: Mapping[str, Any], left: float, depth: int) -> None:
        nonlocal deepest
        deepest = max(deepest, depth)
        width = node["share"] / tree["share"] * (WIDTH - 24)
        if width < 1.5:
            return
        parts.append(_cell(str(node["name"]), node["share"], 12 + left, 40 + depth * row, width, row))
        for child in node.get("children", ()):
            place(child, left, depth + 1)
            left += child["share"] / tree["share"] * (WIDTH - 24)

    place(tree, 0.0, 0)
    return _svg(title, 40 + (deepest + 1) * row + 12, parts)


def _cell(name: str, share: float, x: float, y: float, width: float, height: float) -> str:
    """One function; its colour says whose it is."""
    colour = 0 if "(k2conn/" in name else 1 if "aiokafka/" in name else 4
    fits = int((width - 4) / 5.6)
    label = name if len(name) <= fits else f"{name[: fits - 1]}…" if fits > 3 else ""
    return (f'<g class="cell"><title>{escape(name)}: {share:.1f} %</title>'
            f'<rect class="f{colour}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}"/>'
            f'{_text(x + 3, y + 12.5, label) if label else ""}</g>')


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}"'
    ground = f'<rect class="ground" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="6"/>'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">',
                      _STYLE, ground, *parts, "</svg>", ""])


def _title(text: str) -> str:
    return f'<text class="title" x="16" y="26">{escape(text)}</text>'


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    own = f' class="{kind}"' if kind else ""
    return f'<text{own} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _legend(names: Sequence[str]) -> str:
    parts, x = [], float(_LEFT)
    for at, name in enumerate(names):
        parts += [f'<rect class="f{at % 5}" x="{x:.1f}" y="38" width="12" height="10" rx="2"/>',
                  _text(x + 17, 47, name)]
        x += 36 + 6.6 * len(name)
    return "".join(parts) if len(names) > 1 else ""


def _scale(low: float, high: float, start: float, end: float, log: bool) -> Callable[[float], float]:
    at = math.log10 if log else float
    first, last = at(low), at(high)
    span = last - first or 1.0
    return lambda value: start + (at(value) - first) / span * (end - start)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, about six."""
    rough = (high - low) / 6 or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= rough)
    first = math.ceil(low / step)
    return [round(at * step, 9) for at in range(first, math.floor(high / step) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [one * 10.0**power for power in powers for one in (1, 2, 5)]
    return [round(one, 9) for one in every if low <= one <= high]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
