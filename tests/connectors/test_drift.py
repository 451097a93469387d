"""Changes of a venue's messages are found in recordings of real ones, and nothing is found where nothing changed.

A recording is short, and a venue goes on: so each is played many times over. What is played after a change is changed
in every message, as it is when a venue releases a new version.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from k2conn import exactjson
from k2conn.drift.detector import Drift, DriftDetector
from k2conn.drift.field_paths import FieldPath, field_paths, same
from k2conn.drift.structure import Path as Place
from k2conn.drift.structure import kind_of, spelled, structure
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.plan import Plan, Stream
from tests.support.fair import on_the_wire
from tests.support.shipped import load

FILES: dict[str, str] = yaml.safe_load((Path(__file__).parent / "corpus.yaml").read_text())
SILENT = {"blockchain.recorded.jsonl"}
"""Without a message of a stream."""
LEAST = 150
"""Messages of each stream, and of its snapshots, that are learnt of, at least."""
MOST = 200
"""Messages of a changed stream until the change must have been told."""
MUTATIONS = 100


class Seen(NamedTuple):
    """One message of a recording; no stream: no rule knows it."""

    stream: Stream | None
    message: Any
    snapshot: bool


class Mutation(NamedTuple):
    """One change of a mapped field's place in all messages of a stream."""

    name: str
    stream: str
    place: Place
    field: str
    apply: Callable[[Any], Any]


@cache
def recording(corpus: Path, name: str) -> tuple[Plan, tuple[Seen, ...]]:
    """The messages of a recording, classified as a connection does."""
    plan = load(FILES[name])
    state = ConnectorState(plan, [stream.name for stream in plan.streams], window=0)
    symbols = [found for one in plan.symbols.default if (found := plan.symbols.resolve(one))]
    found: list[Seen] = []
    session, pipelines = object(), []
    for text in (corpus / name).read_bytes().splitlines():
        line, raw = exactjson.decode(text), exactjson.members(text)["raw"]
        if line.get("session") != session:
            session = line.get("session")
            pipelines = [FramePipeline(state, one, symbols, SessionContext(lambda: "", {})) for one in plan.connections]
        for frame in on_the_wire(line, exactjson.decode(raw) if raw[:1] == b'"' else raw.decode()):
            seen: list[Seen] = []
            for pipeline in pipelines:
                pipeline.receive([frame], 0.0, 1)
                seen = [Seen(*one) for one in pipeline.classify(frame)]
                if all(one.stream is not None for one in seen):
                    break
            found += seen
    return plan, tuple(found)


def learnt(corpus: Path, name: str) -> DriftDetector:
    """A detector that knows a recording."""
    plan, seen = recording(corpus, name)
    detector = DriftDetector(plan.streams, {symbol.native for symbol in _symbols(plan)})
    counts = Counter((one.stream.name, one.snapshot) for one in seen if one.stream is not None)
    for _ in range(-(-LEAST // min(counts.values()))):
        for one in seen:
            show(detector, one)
    return detector


def _symbols(plan: Plan) -> Iterator[Any]:
    yield from (found for one in plan.symbols.default if (found := plan.symbols.resolve(one)))


def show(detector: DriftDetector, one: Seen) -> list[Drift]:
    if one.stream is None:
        return detector.see_unknown(one.message)
    return detector.see(one.stream.name, one.message, one.snapshot)


@pytest.mark.parametrize("name", sorted(FILES.keys() - SILENT))
def test_a_recording_that_was_not_touched_shows_no_drift(corpus: Path, name: str) -> None:
    assert learnt(corpus, name).findings == []


@pytest.mark.deploy
def test_each_mutation_of_a_mapped_field_is_told(corpus: Path) -> None:
    every = [(name, one) for name in sorted(FILES) for one in mutations(corpus, name)]
    kinds = sorted({one.name for _, one in every})
    chance = random.Random(2026)
    chosen = [one for kind in kinds  # as many of each: of new words there are few
              for one in chance.sample([pair for pair in every if pair[1].name == kind], MUTATIONS // len(kinds))]
    assert len(kinds) >= 4
    assert len({name for name, _ in chosen}) >= 20
    missed = [f"{name} {one.stream}: {one.name} of {spelled(one.place)} ({one.field})"
              for name, one in chosen if not told(corpus, name, one)]
    assert not missed, f"{len(missed)} of {MUTATIONS}\n" + "\n".join(missed)


def told(corpus: Path, name: str, mutation: Mutation) -> list[Drift]:
    """What a detector says that names the field, once its stream has changed."""
    detector = learnt(corpus, name)
    before = len(detector.findings)
    _, seen = recording(corpus, name)
    changed = [one._replace(message=mutation.apply(copy.deepcopy(one.message))) for one in seen
               if one.stream is not None and one.stream.name == mutation.stream]
    for at in range(MOST):
        show(detector, changed[at % len(changed)])
    return [one for one in detector.findings[before:] if mutation.field in one.fields]


def mutations(corpus: Path, name: str) -> Iterator[Mutation]:
    """All that can be done to the places of a recording's mapped fields."""
    plan, seen = recording(corpus, name)
    for stream in plan.streams:
        messages = [one.message for one in seen if one.stream is stream]
        found: dict[Place, set[str]] = {}
        for message in messages:
            for place, kinds in structure(message).items():
                found.setdefault(place, set()).update(kinds)
        always = {place for place in found if place and all(place in structure(one) for one in messages)}
        for read in field_paths(stream):
            for place in sorted(always, key=str):
                if same(place, read.path):
                    yield from _of_place(stream, read, place, found[place])


def _of_place(stream: Stream, read: FieldPath, place: Place, kinds: set[str]) -> Iterator[Mutation]:
    last = place[-1]

    def made(name: str, do: Callable[[Any], Any]) -> Mutation:
        return Mutation(name, stream.name, place, read.field.name, lambda one: _at(one, place, do))

    if isinstance(last, str):
        yield made("removal", lambda box: box.pop(last, None))
        yield made("new name", lambda box: box.update({f"{last}2": box.pop(last)}))
    if len(kinds) == 1:
        yield made("new type", lambda box: _retype(box, last))
    if read.field.words and kinds == {"text"}:
        yield made("new word", lambda box: box.__setitem__(last, "auction"))


def _at(message: Any, place: Place, do: Callable[[Any], Any]) -> Any:
    """Does something to all that holds what is at a place."""
    boxes = [message]
    for step in place[:-1]:
        boxes = [inner for box in boxes for inner in (box if step == -1 else [box[step]] if _has(box, step) else [])]
    for box in boxes:
        if _has(box, place[-1]):
            do(box)
    return message


def _has(box: Any, step: Any) -> bool:
    return step in box if isinstance(box, dict) else isinstance(box, list) and isinstance(step, int) and step < len(box)


def _retype(box: Any, key: Any) -> None:
    value = box[key]
    others = {"number": lambda: str(value), "digits": lambda: Decimal(value), "bool": lambda: str(value).lower()}
    box[key] = others.get(kind_of(value), lambda: 7)()
