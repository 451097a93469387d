"""The log: one event for each thing that happened, with its connector and connection.

Structlog comes from `k2conn.compat`. What libraries and the sinks log through the standard ``logging`` comes out in the
same form. How many lines of one kind stand whole is bounded (`log_limit`).
"""

from __future__ import annotations

import atexit
import logging
import sys
from contextlib import AbstractContextManager
from types import NoneType
from typing import Any

from k2conn.compat.structlog import structlog
from k2conn.runner.log_limit import PLACE, LogLimit
from k2conn.secret_mask import SECRETS

LEVELS = ("debug", "info", "warning", "error")
_limit = LogLimit()


def configure(level: str, as_json: bool, **always: object) -> None:
    """Logs to stderr: lines for people, or one JSON object a line for machines. ``always`` is in every line."""
    global _limit
    _limit = limit = LogLimit()

    def limited(logger: object, method: str, event: Any) -> Any:
        tell_left_out()
        if limit.allows(method, event):
            return event
        raise structlog.DropEvent

    def say_always(logger: object, method: str, event: Any) -> Any:
        return {**event, **always}

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        limited,
        say_always,
        # A traceback has no values of variables: they may be secret. Its last line is a library's own text.
        structlog.processors.format_exc_info,
        lambda logger, method, event: SECRETS.hide(_plain(event)),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = (
        [structlog.processors.JSONRenderer(default=str)]
        if as_json
        else [_visible, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24,
                                            exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # Asked for at each line: it may be replaced. One write a line: other processes may write into the same stream.
        logger_factory=lambda *names: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Relay()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    logging.getLogger("k2conn").setLevel(level.upper())


def _plain(event: Any) -> Any:
    """An event with every value in a form that can be looked through."""
    known = (str, int, float, bytes, list, tuple, dict, NoneType)
    return {name: one if isinstance(one, known) else str(one) for name, one in event.items()}


def _visible(logger: object, method: str, event: Any) -> Any:
    """An event whose texts move no cursor and begin no line of their own; a traceback keeps its lines."""
    return {name: _escaped(one, "\n" if name == "exception" else "") if isinstance(one, str) else one
            for name, one in event.items()}


def _escaped(text: str, kept: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in kept else repr(one)[1:-1] for one in text)


class _Relay(logging.Handler):
    """Passes what is logged through the standard library on to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        extra: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        extra[PLACE] = f"{record.pathname}:{record.lineno}"
        structlog.get_logger(source=record.name).log(record.levelno, record.getMessage(), **extra)


def get_logger(**context: object) -> Any:
    """A logger that carries its context (connector, socket)."""
    return structlog.get_logger(**context)


def bound(**context: object) -> AbstractContextManager[Any]:
    """A block whose lines, and those of the tasks it starts, carry a context, whatever logger they come from."""
    found: AbstractContextManager[Any] = structlog.contextvars.bound_contextvars(**context)
    return found


def tell_left_out(last: bool = False) -> None:
    """Logs how many lines of each kind were left out in the minute that is over; with ``last``, of all kinds. To be
    called now and then; it is also done at each line.
    """
    for one in _limit.left_out(last):
        words = {"count": one.lines, "seconds": one.seconds, **one.names}
        structlog.get_logger().log(getattr(logging, one.level.upper()), f"{one.event}: more of them", **words)


atexit.register(tell_left_out, last=True)
