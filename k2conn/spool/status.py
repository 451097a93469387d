"""What a sink says of itself when a spool may stand before it, for /health and for the summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NotRequired, TypedDict

from k2conn.graded import GradedState
from k2conn.merging import any_true, by_kind_of_value, in_shape, merged, one_after_the_other, side_by_side, total
from k2conn.sinks import SinkStatus


class SpoolState(GradedState):
    """What a spool does, from good to bad."""

    DIRECT = "direct"
    """Records go past it, straight to the sink."""
    SPOOLING = "spooling"
    OFF = "off"
    """Its folder cannot be used; only memory holds what the sink does not take."""


class SpoolStatus(TypedDict):
    """How a spool does."""

    mode: Annotated[str, side_by_side]
    state: Annotated[str, side_by_side]
    """A `SpoolState`; of several workers each that there is."""
    folder: Annotated[str, side_by_side]
    bytes: Annotated[int, total]
    max_bytes: Annotated[int, total]
    full: Annotated[bool, any_true]
    records: Annotated[int, total]
    """That are not acknowledged."""
    behind: Annotated[int, total]
    """That are on the disk only."""
    segments: Annotated[int, total]
    parked: Annotated[list[str], one_after_the_other]
    """Topics that are in trouble by themselves."""
    synced: Annotated[int, total]
    recovered: Annotated[int, total]
    """That an earlier process left."""
    recovered_published: Annotated[int, total]
    recovered_lost: Annotated[int, total]
    damaged: Annotated[int, total]
    errors: Annotated[int, total]
    last_error: Annotated[str | None, side_by_side]


class SpooledSinkStatus(SinkStatus):
    """A sink's, and that of the spool before it, where there is one."""

    spool: NotRequired[Annotated[SpoolStatus, in_shape(SpoolStatus)]]


def merge_sinks(statuses: Sequence[SpooledSinkStatus]) -> SpooledSinkStatus:
    """The sinks of several workers as one. What only some kinds of sinks say is merged by the kind of its values."""
    return merged(SpooledSinkStatus, statuses, others=by_kind_of_value)
