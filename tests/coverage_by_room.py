"""`make coverage`: how much of each room the tests reached, from the data that `coverage` has gathered.

A room is a folder of the package, or a module beside them.

Example:

    python -m tests.coverage_by_room
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from coverage import Coverage

PACKAGE = Path(__file__).resolve().parent.parent / "k2conn"


def room(file: Path) -> str:
    """The folder or the module right below the package."""
    first, *below = file.relative_to(PACKAGE).parts
    return f"{first}/" if below else first


def counted(coverage: Coverage) -> dict[str, tuple[int, int]]:
    """By room: lines that can run, and how many of them did. A file that nothing imported counts, too."""
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for file in sorted(PACKAGE.rglob("*.py")):
        _, statements, _, missing, _ = coverage.analysis2(str(file))
        lines, reached = found[room(file)]
        found[room(file)] = lines + len(statements), reached + len(statements) - len(missing)
    return {name: counts for name, counts in found.items() if counts[0]}


def table(found: dict[str, tuple[int, int]]) -> Iterator[str]:
    """The lines to print, the rooms in alphabetical order and their sum at the end."""
    total = sum(lines for lines, _ in found.values()), sum(reached for _, reached in found.values())
    yield f"{'room':<16}{'lines':>8}{'reached':>9}{'':>8}"
    for name, (lines, reached) in [*sorted(found.items()), ("k2conn", total)]:
        yield f"{name:<16}{lines:>8}{reached:>9}{reached / lines:>8.1%}"


def main() -> int:
    """Print the table of the data in this folder's `.coverage`."""
    coverage = Coverage()
    coverage.load()
    for line in table(counted(coverage)):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
