"""Keys in quotes where a text is usual: ``a == "b"`` compares two keys, and ``a == 'b'`` a key with a text."""

from __future__ import annotations

import re

_LITERALS = re.compile(r"'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`")
"""Texts and values of JMESPath, within which quotes mean nothing."""
_COMPARED = re.compile(r'[=!]=\s*"([^"\\]*)"(?!\s*[.\[(])')
_SECOND = re.compile(r'\b(?:starts_with|ends_with|contains)\s*\([^()]*,\s*"([^"\\]*)"\s*\)')


def without_literals(text: str) -> str:
    """An expression, as long as it is, without the content of its texts and values."""
    return _LITERALS.sub(lambda found: "_" * len(found[0]), text)


def quoted_key(text: str) -> str | None:
    """What an expression compares with that is a key in quotes where a text would be usual; None where nothing is."""
    bare = without_literals(text)
    found = _COMPARED.search(bare) or _SECOND.search(bare)
    return None if found is None else found[1]
