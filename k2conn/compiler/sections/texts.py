"""Compiles ``text:``: a text put together from values of the item, parts that a pattern cut out, and ``$names``.

``{from: date, pattern: "{month}/{day}/{year}", text: "{year}-{month}-{day}T{time}"}``: a name in braces is a part of
the pattern, or else an expression on the item. Where one of them has nothing, the text is null. What depends on `from`
alone is kept by its value, because the rows of a file share their dates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from k2conn import exactjson
from k2conn.compiler.converters.patterns import PLACE, text_parts
from k2conn.compiler.expressions.closures import ExpressionError
from k2conn.compiler.expressions.expressions import Expression, compile_expression
from k2conn.compiler.expressions.plain_paths import Name
from k2conn.plan import Getter
from k2conn.scope import Scope

_PLACE = re.compile(r"\{([^{}]+)\}")
_REMEMBERED = 4096
"""Values of `from` whose parts are remembered."""
_LONGEST = 200
"""Characters that such a value may have."""
_MOST = 16
"""Places of a text."""

_NAMES = ("$file", "$row")

Part = tuple[str | None, dict[str, Any] | None, int, str | None, str | None]
Parts = tuple[Part, ...]


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


class PutTogether(NamedTuple):
    """A compiled text. ``parts``: see `k2conn.plan.JoinedText`; None where a part is more than a member of the item or
    a name.
    """

    get: Getter
    speed: str
    parts: Parts | None


def put_together(said: dict[str, Any], source: Getter | None) -> PutTogether:
    """The text of a field; ``source`` reads its `from`. ValueError (with ExpressionError) for a text that cannot be."""
    names = places_of(said["text"])
    parts = _parts(said.get("pattern"))
    if (said.get("pattern") is None) != (source is None):
        raise ValueError("is put together from its own places: `from` and `pattern` stand together, or not at all")
    if said.get("pattern") is not None and not parts & set(names):
        raise ValueError("uses no part of the pattern")
    speed = "plain"
    pieces: list[str | Expression] = []
    for at, piece in enumerate(_PLACE.split(said["text"])):
        if at % 2 == 0:
            pieces.append(piece)
        elif piece in parts:
            pieces.append(f"{{{piece}}}")
        else:
            expression = compile_expression(piece)
            speed = max(speed, expression.speed, key=("plain", "fast", "general").index)
            pieces.append(expression)
    merged = _merged(pieces)
    known: dict[str, tuple[str, ...] | None] = {}
    key = compile_expression(said["from"]).key if source is not None else None
    plain = _plain(merged, key, known, source is not None)
    steps = [piece if isinstance(piece, str) else piece.get for piece in merged]
    if source is None:
        return PutTogether(lambda item, scope: _together(steps, item, scope), speed, plain)
    return PutTogether(_cut(steps, source, said["pattern"], sorted(parts), known), speed, plain)


def _plain(
    pieces: Sequence[str | Expression], key: str | None, known: dict[str, Any], cut: bool
) -> Parts | None:
    """The parts for the native mapper. All texts between the expressions are cut, where there is a pattern."""
    found: list[Part] = []
    texts = 0
    for piece in pieces:
        if isinstance(piece, str):
            found.append((key, known, texts, None, None) if cut else (None, None, 0, piece, None))
            texts += 1
        elif piece.key is not None:
            found.append((piece.key, None, 0, None, None))
        elif piece.text in _NAMES:
            found.append((None, None, 0, None, piece.text[1:]))
        else:
            return None
    return tuple(found) if key is not None or not cut else None


def joined_parts(tree: Any) -> Parts | None:
    """The parts of a text that `join` puts together of members of the item, each by `to_string`, and constants; None
    where an expression is something else.
    """
    if tree is None or tree["type"] != "function_expression" or tree["value"] != "join":
        return None
    between, listed = tree["children"]
    if between["type"] != "literal" or listed["type"] != "multi_select_list":
        return None
    found: list[Part] = []
    for node in listed["children"]:
        part = _joined_part(node)
        if part is None:
            return None
        found += [(None, None, 0, between["value"], None), part] if found and between["value"] else [part]
    return tuple(found) if len(found) <= _MOST else None


def _joined_part(node: Any) -> Part | None:
    if node["type"] == "literal" and isinstance(node["value"], str) and node["value"]:
        return None, None, 0, node["value"], None
    if node["type"] != "function_expression" or node["value"] != "to_string":
        return None
    (inner,) = node["children"]
    plain = inner["type"] == "field" and not isinstance(inner["value"], Name)
    return (inner["value"], None, 0, None, None) if plain else None


def _parts(pattern: str | None) -> set[str]:
    return set(PLACE.findall(pattern)) - {"_"} if pattern is not None else set()


def _merged(pieces: Sequence[str | Expression]) -> list[str | Expression]:
    """Neighbouring texts as one."""
    found: list[str | Expression] = []
    for piece in pieces:
        if isinstance(piece, str) and found and isinstance(before := found[-1], str):
            found[-1] = before + piece
        elif piece != "":
            found.append(piece)
    return found


def _cut(
    pieces: Sequence[str | Getter], source: Getter, pattern: str, parts: list[str],
    known: dict[str, tuple[str, ...] | None],
) -> Getter:
    """A text with parts of what ``pattern`` cuts; ``known`` keeps the texts between its expressions by the value cut.
    """
    cut = text_parts(pattern)
    texts = [piece for piece in pieces if isinstance(piece, str)]

    def filled(value: str) -> tuple[str, ...] | None:
        found = cut(value)
        return None if found is None else tuple(_filled(piece, found, parts) for piece in texts)

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
        if own is None:
            return None
        rest = iter(own)
        return _together([next(rest) if isinstance(piece, str) else piece for piece in pieces], item, scope)

    return text


def _filled(piece: str, found: dict[str, str], parts: list[str]) -> str:
    return _PLACE.sub(lambda place: found[place[1]] if place[1] in parts else place[0], piece)


def _together(pieces: Sequence[str | Getter], item: Any, scope: Scope) -> str | None:
    found = ""
    for piece in pieces:
        if isinstance(piece, str):
            found += piece
            continue
        value = piece(item, scope)
        if value is None or value == "":
            return None
        found += value if type(value) is str else exactjson.spell(value)
    return found
