"""What a PromQL expression reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser

_PARTS = ("expr", "lhs", "rhs", "args", "vector_selector", "param")


def names_read(expression: str) -> set[str]:
    """The names of the series that an expression reads; ValueError where it is none."""
    return set(_names(promql_parser.parse(expression)))


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, promql_parser.VectorSelector):
        yield str(node.name)
    for part in _PARTS:
        found = getattr(node, part, None)
        for one in found if isinstance(found, list) else [found]:
            if one is not None:
                yield from _names(one)
