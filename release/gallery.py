"""docs/gallery.md: the connectors that are compared with recordings, with how much was compared: `make pictures`.

The figures are in tests/connectors/agreement.json; a test sees to it that they are those of the recordings, and another
that every frame agrees but those that are counted as argued.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "gallery.md"
FIGURES = ROOT / "tests" / "connectors" / "agreement.json"
_ABOUT = (
    "# Gallery of connectors",
    "",
    "Made by `python -m release.gallery`. Recorded frames of these venues are mapped in the tests, and the trades and",
    "quotes are compared field by field with those of two independent feed libraries. *Argued* are frames where ours",
    "differ for a reason; each is told in [corpus.md](corpus.md). A frame that is neither equal nor argued fails the",
    "tests.",
    "",
)
_EVIDENCE = {
    "recorded": "Frames of the venue, of another kind of test",
    "documented": "Written from the venue's public documentation",
    "memory": "Written from memory, nothing looked up",
}
"""What the files rest on that are not compared with recordings."""


def page() -> Iterator[str]:
    """The lines of the page."""
    figures: dict[str, dict[str, int]] = json.loads(FIGURES.read_text())
    total = {key: sum(one[key] for one in figures.values()) for key in ("frames", "trades", "quotes", "argued")}
    others = sorted({path.stem for path in (ROOT / "connectors").glob("*.yaml")} - {*figures})
    yield from _ABOUT
    yield (f"In all {total['frames']:,} frames with {total['trades']:,} trades and {total['quotes']:,} quotes;"
           f" {total['argued']} frames are argued.")
    yield from ("", "| connector | exchange | frames | trades | quotes | agree | argued |")
    yield "|---|---|---|---|---|---|---|"
    for name, one in sorted(figures.items()):
        share = 100 * (one["frames"] - one["argued"]) / one["frames"]
        counts = " | ".join(str(one[key]) for key in ("frames", "trades", "quotes"))
        yield (f"| [{name}](connectors/{name}.md) | {_said(name, 'exchange')} | {counts} | {share:.1f} % |"
               f" {one['argued'] or ''} |")
    yield from ("", f"The other {len(others)} are tested by the frames in their own files only.")
    for evidence, about in _EVIDENCE.items():
        of_it = [name for name in others if _said(name, "evidence") == evidence]
        if of_it:
            links = ", ".join(f"[{name}](connectors/{name}.md)" for name in of_it)
            yield from ("", f"{about} ({len(of_it)}): {links}.")


def _said(name: str, word: str) -> str:
    """What the file says under a word of its first level."""
    text = (ROOT / "connectors" / f"{name}.yaml").read_text()
    found = re.search(rf"^{word}: *(\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def main() -> int:
    """Writes the page."""
    PAGE.write_text("\n".join(page()) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
