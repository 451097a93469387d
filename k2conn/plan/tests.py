"""A connector file's own tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from k2conn.plan.values import Json


@dataclass(frozen=True, slots=True)
class DialogueTurn:
    """One turn of a test's dialogue, by kind: answered, url, after, sent, received or closed.

    ``value``: a frame (JSON value, or text as it is) for sent and received; seconds for after;
    a tuple of expected record fields for records.
    """

    kind: str
    value: Json
    line: int
    records: tuple[Mapping[str, Json], ...] | None = None
    dead_letters: tuple[Mapping[str, Json], ...] | None = None
    socket: str | None = None
    """Which socket, by its connection's name; None: any that it fits."""


@dataclass(frozen=True, slots=True)
class ConnectorTest:
    """One test of a connector file."""

    name: str
    line: int
    dialogue: tuple[DialogueTurn, ...]
    symbols: tuple[str, ...]
    streams: tuple[str, ...] | None
    received_at: int
    file: str | None = None
    """The name of the file that the frames are rows of, where rows come from files."""
    verdicts: tuple[Mapping[str, Json], ...] | None = None
    """What the audit says in the end: the fields to compare."""
    listed: tuple[Json, ...] = ()
    """What the venue answers when it is asked for its list: one answer for each page."""
    instruments: tuple[Mapping[str, Json], ...] | None = None
    """What that list says of each instrument: the fields to compare."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What the file reads of the environment while the test is played: what it says under `env`, and for every other
    variable that variable's own name.
    """
