"""What a connector file reads of the environment, as commands list it: names and places, never a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from k2conn.plan import Plan, PlanVariable
from k2conn.variable_files import is_set


def listed_variables(plan: Plan, environment: Mapping[str, str]) -> list[dict[str, object]]:
    """For machines, one object each."""
    return [
        {"connector": plan.name, "name": one.name, "places": list(one.places), "secret": True,
         "set": _is_set(one, environment)}
        for one in plan.variables
    ]


def variable_lines(plan: Plan, environment: Mapping[str, str]) -> Iterator[str]:
    """For people, one line each: ``K2_X_KEY (secret, not set): sent in connection.headers.X-Key``."""
    for one in plan.variables:
        state = "set" if _is_set(one, environment) else "not set"
        yield f"{one.name} (secret, {state}): {', '.join(map(_use, one.places))}"


def _use(place: str) -> str:
    return f"signs by {place}" if place.endswith("sign.key") else f"sent in {place}"


def _is_set(variable: PlanVariable, environment: Mapping[str, str]) -> bool:
    return is_set(variable.name, environment)
