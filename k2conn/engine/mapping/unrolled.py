"""Several calls in a row, written out: for calls as short as ours a loop around them costs as much as they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

One = Callable[[Any], Any]
CallAll = Callable[[Sequence[Any]], list[Any]]
Body = Callable[[bytes, Any, bytes], bytes]


def row(calls: Sequence[One]) -> CallAll:
    """What each call makes of its value: ``calls[0]`` of the second one, and so on (the first is not theirs)."""
    return _ROWS[len(calls)](*calls) if len(calls) < len(_ROWS) else _any_row(tuple(calls))


def body(calls: Sequence[One]) -> Body:
    """A head, what all calls make of the same values, and a tail, as one text of bytes."""
    return _BODIES[len(calls)](*calls) if len(calls) < len(_BODIES) else _any_body(tuple(calls))


def _any_row(calls: tuple[One, ...]) -> CallAll:
    return lambda v: [call(value) for call, value in zip(calls, v[1:], strict=False)]


def _any_body(calls: tuple[One, ...]) -> Body:
    return lambda head, v, tail: b"".join([head, *[call(v) for call in calls], tail])


_ROWS: tuple[Callable[..., CallAll], ...] = (
    lambda: lambda v: [],
    lambda a: lambda v: [a(v[1])],
    lambda a, b: lambda v: [a(v[1]), b(v[2])],
    lambda a, b, c: lambda v: [a(v[1]), b(v[2]), c(v[3])],
    lambda a, b, c, d: lambda v: [a(v[1]), b(v[2]), c(v[3]), d(v[4])],
    lambda a, b, c, d, e: lambda v: [a(v[1]), b(v[2]), c(v[3]), d(v[4]), e(v[5])],
    lambda a, b, c, d, e, f: lambda v: [a(v[1]), b(v[2]), c(v[3]), d(v[4]), e(v[5]), f(v[6])],
)

_BODIES: tuple[Callable[..., Body], ...] = (
    lambda: lambda x, v, y: x + y,
    lambda a: lambda x, v, y: b"".join((x, a(v), y)),
    lambda a, b: lambda x, v, y: b"".join((x, a(v), b(v), y)),
    lambda a, b, c: lambda x, v, y: b"".join((x, a(v), b(v), c(v), y)),
    lambda a, b, c, d: lambda x, v, y: b"".join((x, a(v), b(v), c(v), d(v), y)),
    lambda a, b, c, d, e: lambda x, v, y: b"".join((x, a(v), b(v), c(v), d(v), e(v), y)),
    lambda a, b, c, d, e, f: lambda x, v, y: b"".join((x, a(v), b(v), c(v), d(v), e(v), f(v), y)),
)
