"""What commands print for people: text stands as it is, and tables fit the terminal.

The one door to rich. It has a language of its own in what it prints (`[red]`, `:100:`), which venues, symbols and
expressions do not know of; here that language is off, and colours are given beside the text. A table that is wider than
the terminal leaves columns out, the least important first; no cell is cut.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TextIO

from rich.console import Console
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from k2conn.clock import monotonic
from k2conn.printable import visible

__all__ = [
    "Cell", "Column", "Console", "Live", "Padding", "ProgressBar", "Styled", "Table", "Text", "fitting", "line",
    "screen", "table", "text_of_cells",
]

UNBOUNDED = 10_000
"""Columns where no terminal bounds them: files and pipes have whole lines."""
_SHOWN_EVERY = 0.2
"""Seconds between two looks of a bar."""
_GAP = 2
"""Columns of the screen between two of a table."""


class Styled(NamedTuple):
    """A text and its colour, in rich's words (`green`, `bold red`)."""

    text: str
    style: str


Cell = str | Styled


class Column(NamedTuple):
    """A column of a table.

    ``leaves``: 0 for a column that always stays; of the others, the highest leaves first where the terminal is too
    narrow. ``least``: the columns of the screen that it needs, its longer texts are folded; 0: its widest text.
    """

    name: str
    leaves: int = 0
    right: bool = False
    least: int = 0


def screen(file: TextIO | None = None, width: int | None = None) -> Console:
    """Where a command prints. Without a ``width``: the terminal's, or that of the variable COLUMNS; a pipe has none."""
    found = Console(file=file, width=width, markup=False, emoji=False, highlight=False)
    if width is None and not found.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        found.width = UNBOUNDED
    return found


class ProgressBar:
    """A bar with a text before and one behind it, on a terminal; nothing where there is none."""

    def __init__(self, console: Console, total: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[figures]}", markup=False), TimeRemainingColumn(), console=console,
            disable=not console.is_terminal, transient=True, refresh_per_second=5,
        )
        self._task = self._progress.add_task("", total=max(total, 1), figures="")
        self._began = self._last = monotonic()

    @property
    def seconds(self) -> float:
        """Since it is there."""
        return monotonic() - self._began

    def due(self) -> bool:
        """Whether it is time to show again, which is some times a second."""
        now = monotonic()
        if now - self._last < _SHOWN_EVERY:
            return False
        self._last = now
        return True

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._progress.stop()

    def show(self, text: str, done: int, figures: str) -> None:
        """How far it is."""
        self._progress.update(self._task, description=visible(text), completed=done, figures=visible(figures))


def line(console: Console, *parts: Cell) -> None:
    """One line, never broken by us: a terminal that is too narrow breaks it without loss."""
    console.print(Text.assemble(*(_pair(part) for part in parts)), soft_wrap=True)


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[Cell]], width: int, title: str | None = None
) -> Table:
    """A table of at most ``width`` columns of the screen, without those of its columns that find no room."""
    body = [[_pair(cell) for cell in row] for row in rows]
    kept = _kept(columns, body, width)
    made = Table(title=Text(visible(title)) if title else None, title_justify="left", box=None, pad_edge=False,
                 padding=(0, _GAP, 0, 0), header_style="bold")
    for at in kept:
        column = columns[at]
        made.add_column(Text(column.name), justify="right" if column.right else "left", overflow="fold",
                        no_wrap=not column.least and _needs(columns, body, at) <= width)
    for row in body:
        made.add_row(*(Text(row[at][0], style=row[at][1]) for at in kept))
    return made


def fitting(columns: Sequence[Column], rows: Iterable[Sequence[Cell]], width: int) -> tuple[list[int], int]:
    """The columns, by number, for which a table of so many columns of the screen has room, and how much is left for the
    one among them that has a ``least``.
    """
    body = [[_pair(cell) for cell in row] for row in rows]
    kept = _kept(columns, body, width)
    others = [at for at in kept if not columns[at].least]
    return kept, max(0, width - sum(_needs(columns, body, at) for at in others) - _GAP * (len(kept) - 1))


def text_of_cells(cells: Sequence[Cell]) -> Text:
    """Cells as one text, for whoever draws by himself."""
    return Text.assemble(*map(_pair, cells), no_wrap=True)


def _kept(columns: Sequence[Column], body: Sequence[Sequence[tuple[str, str]]], width: int) -> list[int]:
    """The columns, by number, for which there is room."""
    kept = list(range(len(columns)))
    while sum(_needs(columns, body, at) for at in kept) + _GAP * (len(kept) - 1) > width:
        leaving = max(kept, key=lambda at: (columns[at].leaves, at))
        if not columns[leaving].leaves:
            break
        kept.remove(leaving)
    return kept


def _needs(columns: Sequence[Column], body: Sequence[Sequence[tuple[str, str]]], at: int) -> int:
    widest = max((Text(row[at][0]).cell_len for row in body), default=0)
    least = columns[at].least
    return max(len(columns[at].name), min(widest, least) if least else widest)


def _pair(cell: Cell) -> tuple[str, str]:
    return (visible(cell), "") if isinstance(cell, str) else (visible(cell.text), cell.style)
