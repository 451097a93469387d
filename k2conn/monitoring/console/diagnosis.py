"""Why a connector publishes nothing, or less than it should, in a few sentences: the cause first. Pure; every number in
them is the board's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypedDict

from k2conn.engine.accounting.troubles import TroubleKind
from k2conn.engine.resilience.silence_detection import SilenceState
from k2conn.graded import GradedState
from k2conn.monitoring.board.document import Board, BoardConnector, BoardError, BoardStream
from k2conn.runner.connection_state import ConnectionState

SENTENCES = 12
RECENT = 20.0
"""Seconds."""
_NAMED = 3
"""Reasons that a sentence names."""
_NO_NEWS = ("", SilenceState.LIVE, SilenceState.ASKED, SilenceState.DEAD)
"""States of a stream that say nothing new: that its connections are away is said of them."""


class Grade(GradedState):
    """How a connector does, from good to bad."""

    OK = "ok"
    """Also with sentences that say what has been, and is over."""
    STARTING = "starting"
    """It has not been long enough at work for a judgement."""
    WARN = "warn"
    """Something is amiss, and records go on."""
    BAD = "bad"
    """It, or a stream of it, publishes nothing."""


class Diagnosis(TypedDict):
    """The grade, and the sentences that say why."""

    grade: Grade
    why: list[str]


def diagnosed(board: Board, one: BoardConnector, streams: Sequence[BoardStream]) -> Diagnosis:
    """That of one connector with its streams."""
    found: dict[str, Grade] = {}
    sentences = (
        *_connections(one, _recent(board, streams)), *_data(one, streams, board["errors"]), *_sink(board)
    )
    for grade, text in sentences:
        found.setdefault(text, grade)
    grade = Grade.worst(found.values()) or Grade.OK
    return {"grade": grade, "why": sorted(found, key=lambda text: -found[text].grade)[:SENTENCES]}


def _recent(board: Board, streams: Sequence[BoardStream]) -> bool:
    """Whether a record came in the last seconds: then a connection that is away is only being made again."""
    last = max((stream["last_received"] or "" for stream in streams), default="")
    if not last or not board["at"]:
        return False
    return (datetime.fromisoformat(board["at"]) - datetime.fromisoformat(last)).total_seconds() < RECENT


def _connections(one: BoardConnector, recent: bool) -> Iterator[tuple[Grade, str]]:
    reason = f": {one['reason']}" if one["reason"] else ""
    state, sockets = one["state"], one["sockets"]
    away = [socket for socket in sockets if socket["state"] != ConnectionState.LIVE]
    if state == ConnectionState.FAILED:
        yield Grade.BAD, f"It has given up{reason}."
    elif state == ConnectionState.STOPPED:
        yield Grade.WARN, "It is stopped."
    elif not one["connections"]:
        yield Grade.BAD, "It has no connection yet: it waits for the venue's list of instruments."
    elif away:
        first_try = state == ConnectionState.CONNECTING and not one["reconnects"]
        all_away = len(away) == len(sockets) and not recent
        grade = Grade.STARTING if first_try else Grade.BAD if all_away else Grade.WARN
        number = "It is" if len(sockets) == len(away) else f"{len(away)} of its {one['connections']} connections are"
        yield grade, f"{number} not connected and subscribed{reason}."
    refused = sum(socket["refused"] for socket in sockets)
    if refused:
        yield Grade.WARN, f"The venue refused {_number(refused, 'subscription')}."
    if one["crashes"]:
        yield Grade.WARN, f"A bug of k2conn ended it {_number(one['crashes'], 'time')}: the log has the traceback."


def _data(
    one: BoardConnector, streams: Sequence[BoardStream], errors: Sequence[BoardError]
) -> Iterator[tuple[Grade, str]]:
    for stream in streams:
        if stream["received"] and stream["dead_letters"] and not stream["published"] and not stream["duplicates"]:
            yield Grade.BAD, (f"Every record of stream {stream['stream']} becomes a dead letter: "
                              f"{_dead_because(one, stream, errors)}.")
    if one["frames"] and not one["received"] and one["state"] == ConnectionState.LIVE:
        yield Grade.WARN, "Frames come, and there is no record in them that the connector file knows."
    for text in one["bad_data"]:
        yield Grade.WARN, f"In the last minute: {text}."
    for stream in streams:
        if stream["reason"] and stream["state"] not in _NO_NEWS:
            yield Grade.WARN, f"Stream {stream['stream']}: {stream['reason']}."
        elif stream["silent"] and stream["state"] != SilenceState.DEAD:
            yield Grade.WARN, f"Stream {stream['stream']}: {_number(stream['silent'], 'symbol')} silent."
    if one["lost"]:
        yield Grade.BAD, f"{_number(one['lost'], 'record')} lost: the log says why."
    if not one["balanced"]:
        yield Grade.BAD, "Its books do not balance: more came out than went in."
    if one["missing"]:
        yield Grade.OK, f"{_number(one['missing'], 'record')} missing, in {_number(one['gaps'], 'gap')}."


def _dead_because(one: BoardConnector, stream: BoardStream, errors: Sequence[BoardError]) -> str:
    """What is known of the latest of a stream that was told; else all reasons of the connector."""
    for error in errors:
        if (error["connector"], error["stream"], error["kind"]) == (
            one["connector"], stream["stream"], TroubleKind.DEAD_LETTER
        ):
            return f"{error['reason']} ({error['text']})"
    return ", ".join(list(one["dead_letter_reasons"])[:_NAMED])


def _sink(board: Board) -> Iterator[tuple[Grade, str]]:
    sink = board["sink"]
    if sink["reachable"] is False:
        error = f": {sink['last_error']}" if sink["last_error"] else ""
        kept = " Records wait on disk." if sink["spool"] else ""
        yield Grade.BAD, f"The sink {sink['name']} cannot be reached{error}.{kept}"


def _number(count: int, of: str) -> str:
    return f"{count:,} {of}{'' if count == 1 else 's'}"
