"""Unrolled loops: a loop around calls as short as these would cost as much as the calls themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

One = Callable[[Any], Any]
CallAll = Callable[[Sequence[Any]], list[Any]]
Body = Callable[[bytes, Any, bytes], bytes]


def row(calls: Sequence[One]) -> CallAll:
    """Returns a function of values that lists ``calls[0](values[1])``, ``calls[1](values[2])``, ... (``values[0]`` is
    the id, which the caller converts).
    """
    return _ROWS[len(calls)](*calls) if len(calls) < len(_ROWS) else _any_row(tuple(calls))


def body(calls: Sequence[One]) -> Body:
    """Returns a function that joins a head, the results of all calls on the same values, and a tail."""
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
