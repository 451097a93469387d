"""Negations that end too early: JMESPath reads ``!data.x`` as ``(!data).x``, which is null whatever the message is."""

from __future__ import annotations

import re

from k2conn.compiler.expressions.quoted_keys import without_literals

_KEY = r'(?:[$\w]+|"[^"]*")(?:\[[^\[\]]*\])*'
_NEGATED = re.compile(rf"!\s*({_KEY}(?:\s*\.\s*{_KEY})+)(?!\w*\()")


def negated_path(text: str) -> str | None:
    """The path of which an expression negates only the beginning; None where it has none."""
    found = _NEGATED.search(without_literals(text))
    return None if found is None else text[found.start(1) : found.end(1)]
