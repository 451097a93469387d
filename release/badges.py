"""The badges of the README, drawn from facts of this tree: `make pictures`. Who reads it asks no service."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "pictures" / "badges"
_LETTER, _PAD = 6.6, 6
"""Width of a letter of 11 px, and what is beside a text."""


def facts() -> Iterator[tuple[str, str, str, str]]:
    """File name, what it is about, what is the case, colour."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    about = project["project"]
    named = "Programming Language :: Python :: 3."
    pythons = [one.rsplit(" ", 1)[1] for one in about["classifiers"] if one.startswith(named)]
    yield "version", "version", about["version"], "#345d9d"
    yield "python", "python", " | ".join(pythons), "#345d9d"
    yield "license", "license", about["license"], "#345d9d"
    yield "connectors", "connectors", str(len([*(ROOT / "connectors").glob("*.yaml")])), "#2e7d4f"
    yield "types", "types", "mypy strict" if project["tool"]["mypy"]["strict"] else "mypy", "#2e7d4f"


def drawn(about: str, fact: str, colour: str) -> str:
    """An SVG of two boxes."""
    left, right = (round(len(text) * _LETTER + 2 * _PAD) for text in (about, fact))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f' aria-label="{escape(about)}: {escape(fact)}">\n'
        f'<rect width="{left + right}" height="20" rx="3" fill="#444"/>\n'
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{left}z" fill="{colour}"/>\n'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">\n'
        f'<text x="{left / 2:g}" y="14">{escape(about)}</text>\n'
        f'<text x="{left + right / 2:g}" y="14">{escape(fact)}</text>\n'
        "</g>\n</svg>\n"
    )


def main() -> int:
    """Writes the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, about, fact, colour in facts():
        (FOLDER / f"{name}.svg").write_text(drawn(about, fact, colour))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
