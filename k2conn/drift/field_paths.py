"""Which paths of a message the fields of a stream are read from, as far as their expressions are paths.

An expression may do more than name paths (functions, filters, alternatives): then all paths that it names count. That
is enough to say which field a change touches; what a field becomes is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from k2conn.drift.structure import ANY_KEY, EACH, Path, Step
from k2conn.plan import Field, Stream

_TOKEN = re.compile(
    r"""(?P<raw>'(?:[^'\\]|\\.)*') | (?P<literal>`(?:[^`\\]|\\.)*`) | "(?P<quoted>(?:[^"\\]|\\.)*)"
      | (?P<name>\$?[A-Za-z_]\w*)(?P<call>\s*\()? | \[(?P<index>-?\d*|\*|-?\d*:[-\d:]*)\] | (?P<dot>\.) | (?P<star>\*)
      | (?P<current>@) | (?P<other>\S)""",
    re.VERBOSE,
)
_WHOLE = "$message"


class FieldPath(NamedTuple):
    """One path that a field is read from. An index in it also fits a path through all elements."""

    field: Field
    path: Path


def field_paths(stream: Stream) -> tuple[FieldPath, ...]:
    """Those of all mapped fields of a stream."""
    fields: list[Field | None] = [stream.symbol, stream.venue_id, stream.currency, *stream.fields, *stream.vendor_data]
    each = _each(stream)
    return tuple(
        FieldPath(field, path)
        for field in fields
        if field is not None and not field.constant
        for path in _paths(field.expression, each)
    )


def touches(path: Path, read: Path) -> bool:
    """Whether what is at a path, or in it, is read by a field that reads ``read``."""
    if len(path) > len(read):
        return False
    return all(one == other or (_many(one) and isinstance(other, int)) or ANY_KEY in (one, other)
               for one, other in zip(path, read, strict=False))


def same(path: Path, read: Path) -> bool:
    """Whether a path is the one that a field reads."""
    return len(path) == len(read) and touches(path, read)


def _many(step: Step) -> bool:
    return step == EACH


def _each(stream: Stream) -> tuple[Path, ...]:
    """Where the items of a stream's messages are: as one object, and in a list."""
    if stream.each is None:
        return ((),)
    found: tuple[Path, ...] = ((),)
    ends: Sequence[Path] = ((), (ANY_KEY,)) if stream.each_key else ((), (EACH,))
    if stream.inner and stream.each_key:
        ends = (*ends, (EACH,))
    for level in stream.levels:
        heads = list(_chains(level.text)) or [()]
        found = tuple(dict.fromkeys((*outer, *head, *end) for outer in found for head in heads for end in ends))
    return found


def _paths(expression: str, each: Sequence[Path]) -> Iterator[Path]:
    for chain in _chains(expression):
        if chain[:1] == (_WHOLE,):
            yield chain[1:]
        elif not (chain and isinstance(chain[0], str) and chain[0].startswith("$")):
            for head in each:
                yield (*head, *chain)


def _chains(expression: str) -> Iterator[Path]:
    """The paths that a JMESPath text names."""
    chain: list[Step] = []
    begun = dotted = False
    for found in _TOKEN.finditer(expression):
        if found["call"] is not None or found["raw"] is not None or found["literal"] is not None:
            step: Step | None = None
            ends = True
        elif found["index"] is not None:
            index = found["index"]
            step, ends = (int(index) if index.lstrip("-").isdigit() else EACH), False
            begun = True
        elif found["quoted"] is not None or found["name"] is not None or found["star"] is not None:
            name = found["quoted"] if found["quoted"] is not None else found["name"] or ANY_KEY
            if begun and not dotted and chain:
                yield tuple(chain)
                chain = []
            step, ends, begun = name, False, True
        else:
            step, ends = None, found["dot"] is None and found["current"] is None
        dotted = found["dot"] is not None
        if step is not None:
            chain.append(step)
        if ends:
            if chain:
                yield tuple(chain)
            chain, begun = [], False
    if chain:
        yield tuple(chain)
