"""One field of a record: where it comes from and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from k2conn.plan.values import Getter, Json, Reader


class FastConversion(NamedTuple):
    """How a direct converter handles the common forms of a value, as data, for the native mapper.

    By ``kind``: *decimal* (digits with at most ``scale`` places, to the unscaled integer below ``below``; ``factor`` is
    10**scale), *whole* (a number that is not negative, times ``factor``, below ``below``), *time* (ISO 8601 in UTC),
    *named* (a text, a truth value or a whole number's digits that ``table`` knows), *text* (not empty, or a whole
    number's digits); *magnitude* (as decimal, a minus dropped), *signed* (as decimal, also below zero), *sign* (the
    name that ``table`` has for True where such a number is above zero, for False where it is below), *cut* (as decimal
    with any number of places, those beyond ``scale`` cut, and at least ``least``; ``scale`` may be negative); *list*
    (of texts), *nanoseconds* (those beyond the microseconds of an ISO 8601 time in UTC).
    """

    kind: str
    scale: int = 0
    factor: int = 1
    below: int = 1
    table: dict[Any, str] | None = None
    least: int = 0
    rounds: str = ""
    """Of a *decimal*: plain digits with too many places are rounded half-even and noted as a field of this name."""


class JoinedText(NamedTuple):
    """A text that is put together of plain parts, for the native mapper.

    ``parts`` are (key, cuts, at, given, name) each: a member of the item by its ``key``, or of the texts that ``cuts``
    has for that member's value the one ``at``; a text ``given``; or what the scope calls ``name``. Where the text is a
    time in ISO 8601 without an offset, ``minutes`` has the microseconds since the epoch of its first 17 characters.
    What the dicts do not know, the field's reader adds to them.
    """

    parts: tuple[tuple[str | None, dict[str, Any] | None, int, str | None, str | None], ...]
    minutes: dict[str, int] | None = None


ROOTS = ("item", "message", "state", "key", "received_at")
"""Where a plain path may begin: the item, or what the scope calls so."""


class RowOther(NamedTuple):
    """A step of a path: of a list the first row that is not null, and whose element ``at`` is not this text."""

    at: int
    text: str


class ValuePath(NamedTuple):
    """Keys and indexes, one after the other: of a dict its member, of a list its element, of all else nothing.

    ``root`` is where they begin, one of ROOTS.
    """

    root: str
    steps: tuple[str | int | RowOther, ...]


class DirectPath(NamedTuple):
    """What finds a value (``get``; where ``paths`` are said, it stands at the end of the first of them that leads to
    something which JMESPath calls true, or else of the last), its direct converter, and the description of that
    converter where there is one.
    """

    paths: tuple[ValuePath, ...]
    get: Getter
    convert: Callable[[Json], Any]
    conversion: FastConversion | None = None
    rounded: bool = False
    """Whether the field's reader rounds what ``convert`` refuses."""
    source: Getter | None = None
    """Where the text stands of which alone ``get`` makes its value, by a pattern, a table or another case."""
    captured: bool = False
    """Whether ``get`` reads what was captured, beside that."""


class Separators(NamedTuple):
    """How the digits of a number text are set apart: what stands between groups of three, empty where nothing does,
    and what stands before the decimals.
    """

    thousands: str
    decimal: str


@dataclass(frozen=True, slots=True)
class Field:
    """One v2 field: ``read`` gives the encoder's value; the texts are for ``explain`` and dead letters."""

    name: str
    read: Reader
    expression: str
    converter: str
    absent: str | None = None
    """The value used where the item has none."""
    speed: str = "plain"
    of_file: bool = False
    """Whether all rows of a file have the same value."""
    joined: JoinedText | None = None
    """Where it is such a text, or the time that one says."""
    direct: DirectPath | None = None
    """Where the value is what an expression finds and a converter makes of it: both, and a quick converter, which gives
    what ``read`` would give or raises RecordError, KeyError or TypeError (then ``read`` decides)."""

    of_symbol: bool = False
    """Whether all records of a symbol have the same value: nothing but `$symbol` is read."""
    receipt: str = ""
    """Where the time of receipt, in microseconds, stands for one that the item does not say: the note that says so."""
    words: frozenset[str] = frozenset()
    """The texts that it knows, where it knows them all; else none."""
    separators: Separators | None = None
    """Those of a number, where the connector file says any."""

    @property
    def key(self) -> str | None:
        """The key, where the value is one member of the item and nothing more."""
        if self.direct is None or len(self.direct.paths) != 1:
            return None
        root, steps = self.direct.paths[0]
        return steps[0] if root == "item" and len(steps) == 1 and isinstance(steps[0], str) else None

    @property
    def constant(self) -> bool:
        """Whether the connector file says the value itself."""
        return self.converter == "constant"

    @property
    def of_item(self) -> bool:
        """Whether the value is read of the item alone, so that it is the same on every delivery."""
        return not self.constant and "$" not in self.expression
