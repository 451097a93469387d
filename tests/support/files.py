"""Generated files of the shape of an exchange's history: no header line, local times, rows that are equal."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

OPEN, CLOSE = 10, 16
"""Hours of the day between which there is trading."""


def trade_rows(count: int, seed: int = 1) -> list[str]:
    """Rows of trades: date, time, price, volume, qualifiers, venue, buyer. About one in thirty stands there twice."""
    made = random.Random(seed)
    moment, cents, rows = datetime(2014, 3, 10, OPEN), 36770, list[str]()
    while len(rows) < count:
        moment += timedelta(milliseconds=made.choice([0, 0, 1, 7, 40, 700, 9000]))
        if moment.hour >= CLOSE:
            moment = (moment + timedelta(days=1)).replace(hour=OPEN, minute=0, second=0)
        cents += made.choice([-5, 0, 0, 5])
        buyer = made.choice(["", "", "", "", "35.77"])
        row = (f"{moment:%m/%d/%Y},{moment:%H:%M:%S}.{moment.microsecond // 1000:03},{cents / 1000:.3f},"
               f"{made.randint(1, 20000)},{made.choice([0, 0, 25, 2, 3])},{made.choice(['', '', 'X'])},{buyer}")
        rows += [row] * (2 if made.random() < 0.03 else 1)
    return rows[:count]


def quote_rows(count: int, seed: int = 1) -> list[str]:
    """Rows of quotes: date, time, bid, ask, bid volume, ask volume. Some cross, some have one side only."""
    made = random.Random(seed)
    moment, rows = datetime(2014, 3, 10, OPEN), list[str]()
    for at in range(count):
        moment += timedelta(milliseconds=made.choice([0, 1, 7, 40]))
        bid = made.randint(3600, 3700)
        ask = 0 if at % 50 == 7 else bid + made.choice([1, 1, 1, -1])
        rows.append(f"{moment:%m/%d/%Y},{moment:%H:%M:%S}.{moment.microsecond // 1000:03},{bid / 100},{ask / 100},"
                    f"{made.randint(1, 999)},{made.randint(1, 999) if ask else 0}")
    return rows


def written(path: Path, rows: list[str]) -> Path:
    """A file of these rows, each with the end of its line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows))
    return path
