"""Compiles ``text:``: a text put together from values of the item, parts that a pattern cut out, and ``$names``.

``{from: date, pattern: "{month}/{day}/{year}", text: "{year}-{month}-{day}T{time}"}``: a name in braces is a part of
the pattern, or else an expression on the item. Where one of them has nothing, the text is null. What depends on `from`
alone is kept by its value, because the rows of a file share their dates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from k2conn import exactjson
from k2conn.compiler.converters.patterns import text_parts
from k2conn.compiler.expressions.closures import ExpressionError
from k2conn.compiler.expressions.expressions import Expression, compile_expression
from k2conn.plan import Getter
from k2conn.scope import Scope

_PLACE = re.compile(r"\{([^{}]+)\}")
_REMEMBERED = 4096
"""Values of `from` whose parts are remembered."""
_LONGEST = 200
"""Characters that such a value may have."""
_MOST = 16
"""Places of a text."""

Cut = Sequence[str | Getter]


def places_of(text: str) -> list[str]:
    """The names in braces; ValueError where a brace belongs to none, or there are too many."""
    if "{" in (rest := _PLACE.sub("", text)) or "}" in rest:
        raise ValueError("has a brace that belongs to no {name}")
    found = _PLACE.findall(text)
    if not found or len(found) > _MOST:
        raise ValueError(f"has 1 to {_MOST} places such as {{name}}; for a constant say `value`")
    return found


def text_expressions(said: dict[str, Any]) -> list[Expression]:
    """The usable expressions in a field's `text`."""
    parts = _parts(said.get("pattern"))
    found = []
    for place in _PLACE.findall(said["text"]):
        if place not in parts:
            try:
                found.append(compile_expression(place))
            except ExpressionError:
                continue  # reported where the text itself is compiled
    return found


def put_together(said: dict[str, Any], source: Getter | None) -> tuple[Getter, str]:
    """The text of a field and its speed; ``source`` reads its `from`. ValueError (with ExpressionError) for a text that
    cannot be.
    """
    names = places_of(said["text"])
    parts = _parts(said.get("pattern"))
    if (said.get("pattern") is None) != (source is None):
        raise ValueError("is put together from its own places: `from` and `pattern` stand together, or not at all")
    if parts and not parts & set(names):
        raise ValueError("uses no part of the pattern")
    speed = "plain"
    pieces: list[str | Getter] = []
    for at, piece in enumerate(_PLACE.split(said["text"])):
        if at % 2 == 0:
            pieces.append(piece)
        elif piece in parts:
            pieces.append(f"{{{piece}}}")
        else:
            expression = compile_expression(piece)
            speed = max(speed, expression.speed, key=("plain", "fast", "general").index)
            pieces.append(expression.get)
    merged = _merged(pieces)
    if source is None:
        return _joined(merged), speed
    return _cut(merged, source, said["pattern"], sorted(parts)), speed


def _parts(pattern: str | None) -> set[str]:
    return set(re.findall(r"\{([a-z_]+)\}", pattern)) - {"_"} if pattern is not None else set()


def _merged(pieces: Sequence[str | Getter]) -> list[str | Getter]:
    """Neighbouring texts as one."""
    found: list[str | Getter] = []
    for piece in pieces:
        if isinstance(piece, str) and found and isinstance(found[-1], str):
            found[-1] += piece
        elif piece != "":
            found.append(piece)
    return found


def _joined(pieces: Cut) -> Getter:
    """A text without parts of a pattern."""

    def text(item: Any, scope: Scope) -> str | None:
        return _together(pieces, item, scope)

    return text


def _cut(pieces: list[str | Getter], source: Getter, pattern: str, parts: list[str]) -> Getter:
    """A text with parts of what ``pattern`` cuts; the texts between its expressions are kept by the value cut."""
    cut = text_parts(pattern)
    known: dict[str, list[str | Getter] | None] = {}

    def filled(value: str) -> list[str | Getter] | None:
        found = cut(value)
        if found is None:
            return None
        return [_filled(piece, found, parts) if isinstance(piece, str) else piece for piece in pieces]

    def text(item: Any, scope: Scope) -> str | None:
        value = source(item, scope)
        if type(value) is not str:
            return None
        if value in known:
            own = known[value]
        else:
            own = filled(value)
            if len(value) <= _LONGEST:
                if len(known) >= _REMEMBERED:
                    known.clear()
                known[value] = own
        return None if own is None else _together(own, item, scope)

    return text


def _filled(piece: str, found: dict[str, str], parts: list[str]) -> str:
    return _PLACE.sub(lambda place: found[place[1]] if place[1] in parts else place[0], piece)


def _together(pieces: Cut, item: Any, scope: Scope) -> str | None:
    found = ""
    for piece in pieces:
        if type(piece) is str:
            found += piece
            continue
        value = piece(item, scope)  # type: ignore[operator]  # what is no text is a getter
        if value is None or value == "":
            return None
        found += value if type(value) is str else exactjson.spell(value)
    return found
