"""A connector file played on frames, as one document: problems by place, and for each frame what became of it.

Pure but for the clock of the check's own budget: no network, no environment, and no file but those that lie in the
folder that it is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.cli.check_budget import BudgetExceeded, check_budget
from k2conn.cli.loading import secure
from k2conn.cli.tracing import Tracer, rows
from k2conn.compiler.compiler import check_text
from k2conn.compiler.language.problems import Problem
from k2conn.engine.connector_state import ConnectorState
from k2conn.envelope import Envelope
from k2conn.plan import Plan
from k2conn.tools.connector_tests import run_test
from k2conn.tools.drafting.playing import RECEIVED_AT, fresh
from k2conn.tools.drafting.recording import frames
from k2conn.tools.letter_places import letter_place

FILE = "connector"
"""What the file is called in its problems; without an ending, so that its name need not be the connector's."""
FRAMES = 300
"""Frames that are played."""
SHOWN = 400
"""Records and dead letters of all frames that are shown; the others are counted."""
TRACED = 60
"""Records of which each field's way is shown."""
TEXT = 4000
"""Characters of a frame, a value or a detail."""
PROBLEMS = 100
_WARNING = re.compile(rf"{FILE}:(\d+):(\d+): warning\[([\w-]+)\]: (.*)", re.DOTALL)


def played(spec: str, sample: str, folder: Path) -> dict[str, Any]:
    """What a connector file makes of frames, one a line."""
    try:
        with check_budget():
            plan, problems = check_text(FILE, spec, folder, secure)
    except BudgetExceeded as error:
        plan, problems = None, [error.problem(FILE)]
    document: dict[str, Any] = {
        "problems": [_problem(one) for one in problems[:PROBLEMS]],
        "more_problems": max(0, len(problems) - PROBLEMS),
        "warnings": [],
        "frames": [],
    }
    if plan is None:
        return document
    document["warnings"] = [_warning(text) for text in plan.warnings[:PROBLEMS]]
    if plan.reads_files:
        document["problems"] = [{"line": 1, "column": 1, "code": "value", "text": "it reads files, not frames: "
                                 "k2conn map NAME FILE shows what becomes of their rows"}]
        return document
    return {**document, **_Play(plan).of(sample), "tests": list(_tests(plan))}


def _problem(one: Problem) -> dict[str, Any]:
    return {"line": one.line, "column": one.column, "code": one.code, "text": one.text[:TEXT]}


def _warning(text: str) -> dict[str, Any]:
    """A warning as the plan tells it: ``file:line:column: warning[code]: text``."""
    found = _WARNING.match(text)
    if found is None:
        return {"line": 1, "column": 1, "code": "warning", "text": text[:TEXT]}
    return {"line": int(found[1]), "column": int(found[2]), "code": found[3], "text": found[4][:TEXT]}


def _tests(plan: Plan) -> Iterator[dict[str, Any]]:
    """The tests that the file brings, each with what came out otherwise."""
    for example in plan.tests:
        found = run_test(plan, example)
        yield {"name": example.name, "line": example.line, "different": [str(one)[:TEXT] for one in found[:10]]}


class _Play:
    """Frames of one connection after the other."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._state = ConnectorState(plan, [stream.name for stream in plan.streams], window=0)
        self._pipelines = [fresh(plan, self._state, connection) for connection in plan.connections]
        self._tracer = Tracer(plan)
        self._shown = 0
        self._traced = 0

    def of(self, sample: str) -> dict[str, Any]:
        """The whole of it."""
        lines = [line for line in sample.splitlines() if line.strip()]
        found = [self._frame(number, line) for number, line in enumerate(lines[:FRAMES], 1)]
        return {
            "connector": self._plan.name,
            "streams": [stream.name for stream in self._plan.streams],
            "frames": found,
            "more_frames": max(0, len(lines) - FRAMES),
            "equation": self._state.ledger.equation(),
        }

    def _frame(self, number: int, line: str) -> dict[str, Any]:
        frame, = frames([line.encode("utf-8", "replace")], None)
        shown: dict[str, Any] = {"number": number, "text": frame.text[:TEXT], "records": [], "letters": [], "more": 0}
        if frame.sent:
            return {**shown, "kind": "sent"}
        kind, envelopes, captured = self._received(frame.text, RECEIVED_AT + number)
        for one in envelopes:
            if one.account is not None:
                one.account.settled(one.dead)
            if self._shown >= SHOWN:
                shown["more"] += 1
                continue
            self._shown += 1
            if one.schema is None:
                shown["letters"].append(self._letter(exactjson.decode(one.value)))
            else:
                shown["records"].append(self._record(one, frame.text, RECEIVED_AT + number, captured))
        return {**shown, "kind": kind}

    def _received(self, text: str, wall: int) -> tuple[str, list[Envelope], Mapping[str, Any]]:
        """What kind of frame it is, and what it gave: to the first connection that knows it."""
        kind = "unrecognised"
        for pipeline in self._pipelines:
            session, ledger = pipeline.session, self._state.ledger
            control, unknown, malformed = session.control, session.unrecognised, ledger.malformed
            envelopes, _ = pipeline.receive([text], 0.0, wall)
            if session.unrecognised > unknown:
                continue
            if ledger.malformed > malformed:
                kind = "malformed"
            else:
                kind = "conversation" if session.control > control and not envelopes else "mapped"
            return kind, envelopes, session.scope.captured()
        return kind, [], {}

    def _record(self, one: Envelope, text: str, wall: int, captured: Mapping[str, Any]) -> dict[str, Any]:
        assert one.schema is not None
        record = one.schema.decode_plain(one.value)
        trace: Sequence[Any] = ()
        if self._traced < TRACED:
            self._traced += 1
            source = {"frames": [{"text": text}], "time": wall, "state": dict(captured)}
            found = self._tracer.trace(record, source)
            trace = rows(found[1]) if found is not None else ()
        stream = getattr(one.account, "stream", one.schema.name)
        return {"stream": stream, "type": one.schema.name, "record": record, "trace": list(trace)}

    def _letter(self, letter: Mapping[str, Any]) -> dict[str, Any]:
        said = {name: letter.get(name) for name in ("stream", "field", "expression", "value", "reason", "detail")}
        shown = {name: exactjson.excerpt(value, TEXT) if value is not None else None for name, value in said.items()}
        stream = next((one for one in self._plan.streams if one.name == letter.get("stream")), None)
        line = stream.lines.get(str(letter.get("field"))) if stream is not None else None
        return {**shown, "line": line, "where": letter_place(self._plan, letter)[:TEXT]}
