"""Which part of the board is wanted: the query of a request, checked."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from k2conn.monitoring.requests import BadRequest

LIMIT = 50
"""Symbols of one document, where nobody says how many."""
MOST = 500
"""Symbols of one document, at most."""
DEEPEST = 5000
"""How far into the sorted symbols a document can begin; what lies behind is found by its name."""
SORTS = ("symbol", "rate", "published", "duplicates", "dead_letters", "gaps", "missing", "lag", "last", "state")
"""What symbols are sorted by: their names from A on, numbers and times from the largest on, states from the worst on;
with `-` before it the other way round.
"""
_LONGEST = 200
"""Characters of a name that is looked for."""


@dataclass(frozen=True, slots=True)
class BoardQuery:
    """``connector`` and ``stream``: only theirs (empty: of all); ``symbol``: only those whose name has this in it,
    however it is spelt; ``limit`` symbols from the ``offset``-th on, sorted by ``sort``.
    """

    connector: str = ""
    stream: str = ""
    symbol: str = ""
    sort: str = "symbol"
    limit: int = LIMIT
    offset: int = 0

    @property
    def by(self) -> str:
        """What to sort by."""
        return self.sort.removeprefix("-")

    @property
    def reverse(self) -> bool:
        """Whether the largest comes first."""
        return (self.by != "symbol") != self.sort.startswith("-")

    @property
    def end(self) -> int:
        """How many of the sorted symbols are needed."""
        return self.offset + self.limit

    def encoded(self) -> str:
        """The same as the query of a request; equal ones are the same text."""
        return urlencode({name: getattr(self, name) for name in self.__slots__})


def asked_board(text: str) -> BoardQuery:
    """The query of a request; BadRequest with all that is wrong with it."""
    problems: list[str] = []
    said = dict(parse_qsl(text, keep_blank_values=True)[:20])
    if unknown := said.keys() - set(BoardQuery.__slots__):
        problems.append(f"nobody knows {', '.join(sorted(unknown))}: there are {', '.join(BoardQuery.__slots__)}")
    numbers = {}
    for name, least, most, default in (("limit", 1, MOST, LIMIT), ("offset", 0, DEEPEST, 0)):
        word = said.get(name, str(default))
        numbers[name] = int(word) if word.isdecimal() and word.isascii() and len(word) < 12 else -1
        if not least <= numbers[name] <= most:
            problems.append(f"{name}: a whole number from {least} to {most}")
    sort = said.get("sort", "symbol")
    if sort.removeprefix("-") not in SORTS:
        problems.append(f"sort: {', '.join(SORTS)}, with - before it the other way round")
    names = {name: said.get(name, "") for name in ("connector", "stream", "symbol")}
    problems += [f"{name}: at most {_LONGEST} characters" for name, one in names.items() if len(one) > _LONGEST]
    if problems:
        raise BadRequest(400, "; ".join(problems)[:1000])
    return BoardQuery(**names, sort=sort, limit=numbers["limit"], offset=numbers["offset"])
