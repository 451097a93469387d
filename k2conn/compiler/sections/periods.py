"""Compiles a period: a duration, or a template of one, which only a live connection knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from k2conn.compiler.language.document import Path, dotted
from k2conn.compiler.language.durations import duration
from k2conn.compiler.sections.context import CompileContext
from k2conn.errors import RecordError
from k2conn.plan import SendScope

_STATE = re.compile(r"\$state\.([a-z][a-z0-9_]*)")
Period = Callable[[Mapping[str, Any]], float]
"""Seconds, by what `$state` holds; RecordError where that cannot be told."""


def is_learnt(text: str) -> bool:
    """Whether a period is what the venue says."""
    return "{$" in text


def learnt_names(text: str) -> set[str]:
    """The names under which that is captured."""
    return set(_STATE.findall(text)) if is_learnt(text) else set()


def compile_period(
    note: CompileContext, text: str, path: Path, least: float, most: float
) -> Period | None:
    """A period; None after noting what is wrong with it. What the venue says is held between ``least`` and ``most``."""
    if not is_learnt(text):
        seconds = note.read(duration, text, path)
        if seconds == 0:
            note(path, "value", f"'{text}' is no time at all: say how long, such as 30s")
        return None if seconds is None else lambda state: seconds
    compiled = note.template(text, path, ("state",))
    if compiled is None:
        return None
    render, place = compiled.render, dotted(path[-2:])

    def period(state: Mapping[str, Any]) -> float:
        found = str(render(_state_scope(state)))
        try:
            return min(most, max(least, duration(found)))
        except ValueError as error:
            raise RecordError(place, text, found, "bad-type", str(error)) from None

    return period


def _state_scope(state: Mapping[str, Any]) -> SendScope:
    return SendScope(counter=lambda: 0, uuid=lambda: "", now_us=0, state=state, environment={})
