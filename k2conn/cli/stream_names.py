"""Which streams the names and intervals on the command line, or in the environment, stand for."""

from __future__ import annotations

from collections.abc import Sequence

from k2conn.compiler.language.problems import known
from k2conn.errors import SettingsError
from k2conn.plan import Plan


def chosen_streams(plan: Plan, names: Sequence[str], intervals: Sequence[str] = ()) -> tuple[str, ...] | None:
    """The connector's streams of these names, of those with intervals the given ones (or the first). None where nothing
    is said: then those run that the file says. SettingsError where there is no such stream or interval.
    """
    if not names and not intervals:
        return None
    wanted = list(names) or [one.written for one in plan.streams if one.default]
    spanned = [name for name in dict.fromkeys(wanted) if plan.intervals(name)]
    if intervals and not spanned:
        there = [one.written for one in plan.written if one.span is not None]
        hint = f"name one that has: --streams {there[0]}" if there else "it has none that has"
        raise SettingsError(f"{plan.name}: none of its streams that run has intervals; {hint}")
    found = plan.named(wanted, intervals)
    declared = [one.name for one in plan.streams]
    unknown = [name for name in found if name not in declared]
    if unknown:
        raise SettingsError(*(_unknown(plan, name, spanned) for name in unknown))
    return tuple(found)


def _unknown(plan: Plan, name: str, spanned: Sequence[str]) -> str:
    for written in spanned:
        interval = name.removeprefix(f"{written}_")
        if interval != name:
            return f"{plan.name} has no {written} of '{interval}'{known(interval, plan.intervals(written))}"
    return f"{plan.name} has no stream '{name}'{known(name, [one.written for one in plan.written])}"
