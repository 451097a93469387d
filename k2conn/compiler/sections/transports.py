"""Compiles what a connection says about its transport (`framing`, `poll`, `program`, `initial`), and notes what means
nothing beside its address.
"""

from __future__ import annotations

from typing import Any

from k2conn import exactjson
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.durations import duration
from k2conn.compiler.sections.addresses import SET_UP, URL
from k2conn.compiler.sections.context import CompileContext
from k2conn.framing import LINES, Framing
from k2conn.plan import Poll, ProgramWords, Template
from k2conn.schemes import Family, family

FASTEST_POLL = 0.1
"""Seconds between two requests, at least."""
_SPEAKS = ("steps", "answer", "heartbeat")
"""What a connection says that sends something."""
_OF_WEBSOCKETS = ("compression", "subprotocol")
_MEANINGLESS: dict[Family, tuple[str, ...]] = {
    "websocket": ("framing", "poll", "program"),
    "http": (*_OF_WEBSOCKETS, "send_as", "program"),
    "tcp": (*_OF_WEBSOCKETS, "poll", "program", "headers"),
    "exec": (*_OF_WEBSOCKETS, "send_as", "framing", "poll", "headers", "failover", "hosts", "allow_insecure"),
    "other": ("framing", "poll", "program"),
}
_CALLED: dict[Family, str] = {
    "websocket": "a WebSocket", "http": "an HTTP answer that goes on", "tcp": "TCP", "exec": "a program",
    "other": "this transport",
}


class TransportWords:
    """Those of one connection; ``said`` is all it says, ``path`` its place."""

    def __init__(self, note: CompileContext, said: dict[str, Any], path: Path) -> None:
        self._note = note
        self._said = said
        self._path = path
        url = said.get("url")
        self.family: Family = family(url) if isinstance(url, str) else "websocket"
        self._polls = self.family == "http" and "poll" in said

    def parts(self) -> dict[str, Any]:
        """The parts of a `plan.Connection`; problems are noted."""
        self._check_meaning()
        self._check_failover()
        return {
            "framing": self._framing(),
            "poll": self._poll(),
            "initial": self._initial(),
            "initial_texts": {name: _spelled(one) for name, one in self._said.get("initial", {}).items()},
            "program": self._program(),
        }

    def stale_after(self) -> float | None:
        """Seconds without a sign of life after which the connection is dead; None for never."""
        poll = self._poll_seconds()
        if "stale_after" not in self._said:
            return 60.0 if poll is None else max(60.0, 3 * sum(poll))
        said = duration(self._said["stale_after"])
        if poll is not None and said and said <= sum(poll):
            text = (f"a connection that asks every {poll[0]:g} s, and waits {poll[1]:g} s for an answer, would be dead "
                    f"between two of them: say more than {sum(poll):g}s")
            self._note((*self._path, "stale_after"), "value", text)
        return said or None

    # -- what means nothing

    def _check_meaning(self) -> None:
        words = _MEANINGLESS[self.family]
        called = "an address that is asked again and again" if self._polls else _CALLED[self.family]
        if self._polls:
            words = (*words, "framing", *_SPEAKS)
        elif self.family == "http":
            words = (*words, "answer", "heartbeat")
        for word in words:
            if word in self._said:
                self._meaningless(word, called)
        if self.family == "http" and not self._polls:
            self._check_steps()
        if self.family == "tcp" and self._said.get("send_as", "codec") != "codec":
            text = "on TCP there are no kinds of frames: only `send_as: codec` says something there"
            self._note((*self._path, "send_as"), "value", text, at_key=True)
        beat = self._said.get("heartbeat")
        if self.family in ("tcp", "exec") and isinstance(beat, dict) and "send" not in beat:
            text = f"a heartbeat of {called} is a frame: say `send:` (only a WebSocket has pings of its own)"
            self._note((*self._path, "heartbeat"), "missing", text)
        limits = self._said.get("limits")
        if not self._polls and isinstance(limits, dict) and "requests" in limits:
            text = "`requests` limits how often an address is asked: it means something beside `poll:` only"
            self._note((*self._path, "limits", "requests"), "value", text, at_key=True)

    def _meaningless(self, word: str, called: str) -> None:
        why = ": nothing can be sent on it" if word in _SPEAKS else ""
        self._note((*self._path, word), "value", f"`{word}` means nothing for {called}{why}", at_key=True)

    def _check_steps(self) -> None:
        for step, place in self._note.entries(self._said, "steps", self._path):
            if "send" in step or "undo" in step:
                text = ("nothing can be sent on an HTTP answer that goes on: name symbols in the address ({$symbols}), "
                        "or connect to wss://")
                self._note((*place, "send" if "send" in step else "undo"), "value", text, at_key=True)

    def _check_failover(self) -> None:
        for url, place in self._note.entries(self._said, "failover", self._path):
            if family(url) != self.family:
                text = "the addresses of a connection are of one transport: this one is of another than `url`"
                self._note(place, "url", text)

    # -- parts

    def _framing(self) -> Framing | None:
        said = self._said.get("framing")
        path = (*self._path, "framing")
        if self.family == "exec" or (self.family == "http" and said is None and not self._polls):
            return LINES
        if self.family not in ("http", "tcp") or self._polls:
            return None
        if said is None:
            text = "'framing' is missing: where frames begin and end, such as `lines` or {length: 4, byte_order: big}"
            self._note(self._path, "missing", text)
            return None
        if isinstance(said, str):
            return self._named_framing(said, path)
        if "delimiter" in said:
            return Framing("delimiter", said["delimiter"].encode())
        if "byte_order" not in said:
            self._note(path, "missing", "'byte_order' is missing: `big` or `little`")
        return Framing(
            "length", size=said["length"], big_endian=said.get("byte_order") != "little",
            inclusive=said.get("inclusive", False),
        )

    def _named_framing(self, said: str, path: Path) -> Framing:
        if said != "lines" and self.family != "http":
            self._note(path, "value", "server-sent events are HTTP's")
        if said == "lines":
            return LINES
        return Framing("events" if said == "events" else "named-events")

    def _poll_seconds(self) -> tuple[float, float] | None:
        """How often, and how long an answer may take; None where the address is not asked again and again."""
        said = self._said.get("poll")
        if not self._polls or said is None:
            return None
        if isinstance(said, str):
            return duration(said), 10.0
        return duration(said["every"]), duration(said.get("within", "10s"))

    def _poll(self) -> Poll | None:
        seconds, said = self._poll_seconds(), self._said.get("poll")
        if seconds is None:
            return None
        every, within = seconds
        path = (*self._path, "poll")
        if every < FASTEST_POLL:
            where = path if isinstance(said, str) else (*path, "every")
            self._note(where, "value", f"a venue is asked every {FASTEST_POLL:g}s at most")
        more: dict[str, Any] = said if isinstance(said, dict) else {}
        if within <= 0:
            self._note((*path, "within"), "value", "'0' is no time at all: say how long, such as 10s")
        body = None
        if "body" in more:
            if more.get("method", "GET") == "GET":
                self._note((*path, "body"), "value", "a GET has no body: say `method: POST`", at_key=True)
            signed = ("signature",) if "sign" in self._said else ()
            compiled = self._note.template(more["body"], (*path, "body"), (*URL, *signed))
            body = compiled.render if compiled else None
        return Poll(every, within, more.get("method", "GET"), body)

    def _initial(self) -> dict[str, Template]:
        found: dict[str, Template] = {}
        allowed = tuple(name for name in URL if name != "state")
        for name, value in self._said.get("initial", {}).items():
            path = (*self._path, "initial", name)
            compiled = self._note.template(value, path, allowed)
            if compiled and "symbol" in compiled.names and self._said.get("per") != "symbol":
                text = ("what $state holds at first is of one symbol only where a connection is: say `per: symbol` "
                        "beside it, or use $symbols")
                self._note(path, "missing", text)
            elif compiled:
                found[name] = compiled.render
        return found

    def _program(self) -> ProgramWords | None:
        said = self._said.get("program")
        if self.family != "exec" or said is None:
            return None
        path = (*self._path, "program")
        arguments = environment = None
        if "arguments" in said:
            no_secrets = tuple(name for name in URL if name != "env")
            arguments = self._note.template(said["arguments"], (*path, "arguments"), no_secrets)
        if "environment" in said:
            environment = self._note.template(said["environment"], (*path, "environment"), SET_UP)
        return ProgramWords(arguments.render if arguments else None, environment.render if environment else None)


def _spelled(value: Any) -> str:
    """A value as the file says it: text as it stands, all else as JSON."""
    return value if isinstance(value, str) else exactjson.spell(value)
