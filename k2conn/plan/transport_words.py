"""What a connection says about its transport beside the address."""

from __future__ import annotations

from dataclasses import dataclass

from k2conn.plan.sending import Template


@dataclass(frozen=True, slots=True)
class Poll:
    """The address is asked again and again: ``every`` so many seconds, each answer within ``within`` seconds."""

    every: float
    within: float = 10.0
    method: str = "GET"
    body: Template | None = None
    """A JSON body."""


@dataclass(frozen=True, slots=True)
class ProgramWords:
    """What the program behind `exec://` is given: a list of arguments, and a map of environment variables."""

    arguments: Template | None = None
    environment: Template | None = None
