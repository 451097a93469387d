"""When a process that works counts as degraded all the same, by the operator's own measure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """None: no such limit."""

    errors: int | None = None
    """In 24 hours; more are too many."""
    memory_mb: int | None = None
    """Resident; more is too much."""
    candle_age: float | None = None
    """Seconds since the end of the latest candle, or without one since the start; more is stale."""
