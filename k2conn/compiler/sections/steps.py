"""Compiles ``steps:``: what is sent after connecting, in which order, and which replies are expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from k2conn import exactjson
from k2conn.compiler.converters.patterns import PLACE, text_parts, text_pattern
from k2conn.compiler.converters.readers import cut_out
from k2conn.compiler.expressions.templates import Compiled
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.durations import duration, size
from k2conn.compiler.sections.addresses import URL
from k2conn.compiler.sections.context import CompileContext
from k2conn.compiler.sections.parts import SectionCompiler
from k2conn.compiler.sections.periods import compile_period, is_learnt
from k2conn.compiler.sections.reply_overlaps import certain_overlap, possible_overlap
from k2conn.plan import Expect, Getter, Json, Renewal, Retry, Step
from k2conn.scope import Scope

_SPOKEN = ("symbol", "topic", "reply_to", "reason")
_ASKED = frozenset({"symbol", "symbols", "topic", "topics", "each_symbol", "each_topic"})
"""The placeholders that say what is asked for."""
FASTEST_RENEWAL, SLOWEST_RENEWAL = 10.0, 86_400.0
"""Seconds between two renewals, at least and at most, where the venue says how many."""
FIRST_DATA = "first-data"
"""Stands for a reply where the venue sends none."""


class StepCompiler(SectionCompiler):
    """Compiles the steps of one connection.

    ``declared`` are the connector's streams and whether each has a `topic`, ``carried`` those of this connection;
    ``sent`` are the placeholders that have a meaning in what is sent.
    """

    def __init__(
        self, note: CompileContext, declared: Mapping[str, bool], carried: tuple[str, ...], sent: tuple[str, ...]
    ) -> None:
        super().__init__(note)
        self._declared = declared
        self._carried = carried
        self._sent = sent
        self._calls = False
        """Whether the connection makes calls before."""

    def steps(self, said: dict[str, Any], path: Path) -> Iterator[Step]:
        """All usable steps of a connection."""
        self._calls = bool(said.get("before"))
        for one, place in self.note.entries(said, "steps", path):
            step = self._step(one, place)
            if step:
                yield step

    def _step(self, said: dict[str, Any], path: Path) -> Step | None:
        send = self.note.template(said["send"], (*path, "send"), self._sent) if "send" in said else None
        later = self._later(said, send, path) if "later" in said else None
        undo = self.note.template(said["undo"], (*path, "undo"), URL) if "undo" in said else None
        expect = self._expect(said.get("expect"), (*path, "expect"))
        symbols = self._match(said, "symbols", path)
        if "send" in said and send is None:
            return None
        if send is None and said.get("expect") in (None, FIRST_DATA):
            self.note(path, "missing", "a step says what it sends with `send:`, or what it waits for with `expect:`")
            return None
        names = send.names if send else frozenset()
        covered = self._covered(said, path, names)
        per = said.get("per") or next((name for name in ("symbol", "topic") if name in names), None)
        if covered is None:
            return None
        renew = self._renew(said, path, covered)
        return Step(
            send=send.render if send else None,
            text=send.text if send else "",
            streams=covered,
            per=per,
            batch=said.get("batch"),
            batch_bytes=size(said["batch_bytes"]) if "batch_bytes" in said else None,
            uses_counter="counter" in names or (later is not None and "counter" in later.names),
            expect=expect,
            undo=undo.render if undo else None,
            undo_text=undo.text if undo else "",
            name=said.get("name", f"step {int(path[-1]) + 1}"),
            pause=duration(said.get("pause", "0")),
            symbols=symbols,
            renew=renew,
            later=later.render if later else None,
            later_text=later.text if later else "",
        )

    def _later(self, said: dict[str, Any], send: Compiled | None, path: Path) -> Compiled | None:
        """What is sent after the step's first frame; None after noting a problem."""
        later = self.note.template(said["later"], (*path, "later"), self._sent)
        if later is None or ("send" in said and send is None):
            return None
        asked = (send.names if send else frozenset()) & _ASKED
        if not asked:
            text = "`later` is for steps that subscribe: `send` names no symbols and no topics"
            self.note((*path, "later"), "value", text, at_key=True)
        elif asked != later.names & _ASKED:
            words = ", ".join(f"${name}" for name in sorted(asked))
            self.note((*path, "later"), "value", f"`later` asks for the same as `send`, which has {words}")
        return later

    def _renew(self, said: dict[str, Any], path: Path, streams: tuple[str, ...]) -> Renewal | None:
        """How a step is sent again; None where it is not, or after noting a problem."""
        if "renew" not in said:
            return None
        whole, place = said["renew"], (*path, "renew")
        if streams:
            text = "`renew` is for steps that set up a connection (a login): what is subscribed stands as long as that"
            self.note(place, "value", text, at_key=True)
        if not {"send"} & (set(said) | set(whole)):
            self.note(place, "missing", "nothing says what is sent again: say `send:`", at_key=True)
        if whole.get("before") and not self._calls:
            text = "there are no calls that could be made again: say `before:` in the connection"
            self.note((*place, "before"), "missing", text, at_key=True)
        every = compile_period(self.note, whole["every"], (*place, "every"), FASTEST_RENEWAL, SLOWEST_RENEWAL)
        early = duration(whole.get("early", "0"))
        if every is not None and not is_learnt(whole["every"]) and early >= every({}) > 0:
            self.note((*place, "early"), "value", f"'{whole['early']}' sooner than every {whole['every']} is always")
        send = self.note.template(whole["send"], (*place, "send"), self._sent) if "send" in whole else None
        if every is None:
            return None
        return Renewal(
            every=every,
            every_text=whole["every"],
            learnt=is_learnt(whole["every"]),
            early=early,
            send=send.render if send else None,
            text=send.text if send else "",
            before=whole.get("before", False),
        )

    def _covered(self, said: dict[str, Any], path: Path, sent: frozenset[str]) -> tuple[str, ...] | None:
        """Which streams a step subscribes; None after noting a problem."""
        named = self._names(said, "for", path, self._declared)
        if {"topic", "topics"} & sent:
            wanted = named or tuple(name for name in self._carried if self._declared[name])
            missing = [name for name in wanted if not self._declared[name]]
            for name in missing:
                text = f"this step sends topics, but stream '{name}' has none: say `topic:` in the stream"
                self.note((*path, "for"), "missing", text)
            if not wanted:
                text = "this step sends topics, but no stream has one: say `topic:` in the streams"
                self.note((*path, "send"), "missing", text)
            return None if missing else wanted
        if named is None and {"symbol", "symbols"} & sent:
            example = next(iter(self._declared), "trade")
            text = f"a step that sends symbols says for which streams, such as `for: {example}`"
            self.note(path, "missing", text)
            return None
        return named or ()

    def _expect(self, said: Any, path: Path) -> Expect | None:
        if said is None:
            return None
        if said == FIRST_DATA:
            return Expect(within=10.0, first_data=True)
        first_data = said["accepted"] == FIRST_DATA
        accepted = None if first_data else self._match(said, "accepted", path)
        refused = self._match(said, "refused", path)
        if accepted and refused:
            if problem := certain_overlap(said, accepted, refused):
                self.note((*path, "refused"), "value", problem)
            elif warning := possible_overlap(said, accepted, refused):
                self.note.warn((*path, "refused"), "value", warning)
        return Expect(
            within=self._positive(said, "within", path, 10.0),
            first_data=first_data,
            data=said.get("data", False),
            accepted=accepted,
            refused=refused,
            symbol=self._spoken_of(said, "symbol", path),
            topic=self._spoken_of(said, "topic", path),
            reply_to=self._getter(said, "reply_to", path),
            reason=self._getter(said, "reason", path),
            final=self._match(said, "final", path),
            retry=self._retry(said.get("retry", {}), (*path, "retry")),
            symbol_text=_written(said, "symbol"),
            topic_text=_written(said, "topic"),
            reply_to_text=_written(said, "reply_to"),
            reason_text=_written(said, "reason"),
            spoken=tuple((key, _whole(said[key])) for key in _SPOKEN if key in said),
        )

    def _retry(self, said: dict[str, Any], path: Path) -> Retry:
        times = {key: self.note.positive(said[key], (*path, key)) for key in ("after", "longest") if key in said}
        return Retry(times.get("after"), times.get("longest"), said.get("attempts"))

    def _spoken_of(self, said: dict[str, Any], key: str, path: Path) -> Getter | None:
        """Where a reply has the symbol or topic; of a list of places the first that has something."""
        value = said.get(key)
        if not isinstance(value, list):
            return self._place(said, key, path, key)
        places = [self._place({str(at): one}, str(at), (*path, key), key, at) for at, one in enumerate(value)]
        getters = tuple(place for place in places if place)

        def first(message: Json, scope: Scope) -> Json:
            return next((found for get in getters if (found := get(message, scope)) is not None), None)

        return first

    def _place(
        self, said: dict[str, Any], key: str, path: Path, name: str, at: int | None = None
    ) -> Getter | None:
        """One place: an expression, or one with the pattern that cuts the word out of a text. A topic that is a map is
        cut out by its keys.
        """
        value, place = said.get(key), (*path, key if at is None else at)
        if not isinstance(value, dict):
            if value is None:
                return None
            expression = self.note.expression(value, place, lenient=True)
            return expression.get if expression else None
        get = self._getter(value, "from", place)
        names = PLACE.findall(value["pattern"])
        try:
            if name == "topic" and "topic" not in names:
                return cut_out(get, text_parts(value["pattern"])) if get else None
            return cut_out(get, text_pattern(value["pattern"], name)) if get else None
        except ValueError as error:
            self.note((*place, "pattern"), "pattern", str(error))
            return None


def _whole(value: Any) -> str:
    return value if isinstance(value, str) else exactjson.spell(value)


def _written(said: dict[str, Any], key: str) -> str:
    """An expression as it is written, of a list the first; nothing where it needs a pattern."""
    value = said.get(key, "")
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str):
            return one
    return ""
