"""``tests:`` read: dialogues in the words of the language, to be played by `k2conn test` and the mock exchange."""

from __future__ import annotations

from typing import Any

from k2conn.errors import RecordError
from k2conn.plan import Example, Exchange
from k2conn.spec.document import Document, Path
from k2conn.spec.durations import duration
from k2conn.spec.problems import known
from k2conn.spec.times import times

_RECEIVED_AT = 1_767_323_045_000_000
"""2026-01-02T03:04:05Z: when examples that do not say it are received."""
_KINDS = ("url", "after", "sent", "received", "closed")
"""In one turn, time passes first."""


def read_examples(document: Document, streams: tuple[str, ...], defaults: tuple[str, ...]) -> tuple[Example, ...]:
    """All examples of one file; problems are noted in the document."""
    found: list[Example] = []
    for at, said in enumerate(document.value.get("tests", ())):
        path: Path = ("tests", at)
        if ("dialogue" in said) == ("received" in said):
            document.problem(path, "value", "a test has either a `dialogue` or one `received` frame")
            continue
        for place, name in enumerate(said.get("streams", ())):
            if name not in streams:
                text = f"'{name}' is no stream of this connector{known(name, streams)}"
                document.problem((*path, "streams", place), "unknown-stream", text)
        turns = _turns(document, said, path)
        received_at = _moment(document, said, path)
        found.append(
            Example(
                name=said["name"],
                line=document.place(path)[0],
                turns=turns,
                symbols=tuple(said.get("symbols", defaults)),
                streams=tuple(said["streams"]) if "streams" in said else None,
                received_at=received_at,
            )
        )
    return tuple(found)


def _moment(document: Document, said: dict[str, Any], path: Path) -> int:
    if "received_at" not in said:
        return _RECEIVED_AT
    try:
        return times("iso8601", "UTC")(said["received_at"])
    except RecordError as error:
        document.problem((*path, "received_at"), "value", error.detail)
        return _RECEIVED_AT


def _turns(document: Document, said: dict[str, Any], path: Path) -> tuple[Exchange, ...]:
    turns: list[Exchange] = []
    entries = [(one, (*path, "dialogue", at)) for at, one in enumerate(said.get("dialogue", ()))] or [(said, path)]
    for one, place in entries:
        before = len(turns)
        for kind in _KINDS:
            if kind not in one:
                continue
            value = one[kind]
            if kind == "after":
                value = duration(value)
            records, dead = (one.get("records"), one.get("dead_letters")) if kind == "received" else (None, None)
            turns.append(
                Exchange(
                    kind,
                    value,
                    document.place((*place, kind))[0],
                    tuple(records) if records is not None else None,
                    tuple(dead) if dead is not None else None,
                )
            )
        if len(turns) == before:
            document.problem(place, "value", f"a turn says one of {', '.join(_KINDS)}")
    return tuple(turns)
