"""How a venue's symbols are read, and its own list of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

from k2conn.plan.encoding import FrameEncoding
from k2conn.plan.sending import HttpRequest
from k2conn.plan.values import Getter, Json
from k2conn.scope import Scope
from k2conn.symbols import Symbol


class Instrument(NamedTuple):
    """What a venue's list says of one instrument, beside its name; None where it says nothing."""

    tick: Decimal | None = None
    """The step of its prices."""
    lot: Decimal | None = None
    """The step of its quantities."""
    status: str = ""
    trading: bool | None = None
    """Whether its status is one in which it trades."""


class ListedInstrument(NamedTuple):
    """What one entry of a venue's list says."""

    native: str
    said: Mapping[str, str]
    """What its name means: base, quote and further parts, those that the entry has."""
    facts: Instrument


@dataclass(frozen=True, slots=True)
class ListPages:
    """How the pages after the first are asked for; never more than ``most``."""

    most: int
    next: Getter | None = None
    """Where an answer has what names the next page: an address, or the value of ``query``; None: pages are numbered."""
    query: str = ""
    """The parameter of the address; empty: `next` is the address."""
    first: int = 1
    """The number of the first page."""


class ShownList(NamedTuple):
    """What a test shows of the list: the venue's answers, one for each call or page. ``line`` is the test's in the
    file.
    """

    line: int
    answers: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class InstrumentList:
    """The venue's own instrument list: the calls, where entries are in an answer, and what an entry says. ``refresh``
    in seconds.
    """

    requests: tuple[HttpRequest, ...]
    """The calls; of several, each gives a part of the list, in the same form."""
    each: Getter
    read: Callable[[Json, Scope], ListedInstrument | None]
    """What an entry says; None where it does not count, or has no name."""
    words: tuple[str, ...]
    """What it is read for, in the words of the file: base, quote, tick."""
    names: bool
    """Whether it says what names mean, so that connections wait for it; else it is only compared with."""
    refresh: float | None = None
    encoding: FrameEncoding = field(default_factory=FrameEncoding)
    """How the body of an answer becomes JSON."""
    pages: ListPages | None = None
    each_path: tuple[str, ...] | None = None
    """The keys to the entries, where ``each`` is a plain path; empty: the answer itself has them."""
    evidence: str = ""
    """What the file's author knows it from: recorded, documented or memory; empty: the file does not say."""
    shown: tuple[ShownList, ...] = ()
    """What the tests of the file show of it."""

    @property
    def describes(self) -> bool:
        """Whether it says more of an instrument than its name."""
        return not {"tick", "lot", "status"}.isdisjoint(self.words)

    @property
    def in_parts(self) -> bool:
        """Whether it comes in several answers: those of several calls, or pages."""
        return self.pages is not None or len(self.requests) > 1

    def entries(self, answer: Json) -> list[Json] | None:
        """The entries of one answer; None where it has no list."""
        found = self.each(answer, _about(answer))
        if isinstance(found, dict):
            found = list(found.values())
        return found if isinstance(found, list) else None

    def instruments(self, answer: Json) -> Iterator[ListedInstrument | None]:
        """What each entry of one answer says; None for one that does not count."""
        scope = _about(answer)
        found = self.each(answer, scope)
        if isinstance(found, dict):
            for scope.key, row in found.items():
                yield self.read(row, scope)
        elif isinstance(found, list):
            for row in found:
                yield self.read(row, scope)


def _about(answer: Json) -> Scope:
    scope = Scope()
    scope.message = answer
    return scope


@dataclass(frozen=True, slots=True)
class SymbolRule:
    """How native symbols are read; ``resolve`` gives None where no rule matches (never a guess)."""

    default: tuple[str, ...]
    resolve: Callable[[str], Symbol | None]
    description: str
    resolve_listed: Callable[[str, Mapping[str, str]], Symbol | None] = lambda native, said: None
    """How a name is read of which the venue itself says something (base, quote, further parts) in its list."""
    list: InstrumentList | None = None
    """Where the venue's own instrument list comes from."""
    all: str = ""
    """The venue's word for all symbols in a subscription; empty where it has none."""
    unlisted: Literal["try", "refuse"] = "try"
    """What becomes of a symbol that is asked for and that the list does not have."""
