"""``connection:`` compiled: where to connect, what is said in which order, and what may be heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from k2conn.errors import RecordError
from k2conn.plan import (
    Answer,
    Backoff,
    Capture,
    Connection,
    Expect,
    Getter,
    Heartbeat,
    HttpRequest,
    Limits,
    Match,
    Notice,
    SendScope,
    Step,
    Template,
)
from k2conn.spec.addresses import SET_UP, URL, http_request, websocket_url
from k2conn.spec.codecs import compile_codec
from k2conn.spec.conditions import any_of, compile_match, compile_matches
from k2conn.spec.document import Path
from k2conn.spec.durations import duration, rate, size
from k2conn.spec.notes import Notes
from k2conn.spec.patterns import text_pattern
from k2conn.spec.problems import known
from k2conn.spec.readers import cut_out
from k2conn.spec.signatures import compile_signature
from k2conn.spec.templates import Compiled

_LISTS = ("steps", "before", "capture", "answer", "failover", "limits")
"""Keys whose entries are looked at one by one, so that one of wrong shape does not hide the others."""


class ConnectionCompiler:
    """Compiles the sockets of one connector. ``streams`` are the declared ones, and whether each has a `topic`."""

    def __init__(self, note: Notes, folder: FilePath, streams: Mapping[str, bool]) -> None:
        self.note = note
        self.folder = folder
        self.streams = streams
        self._set_up: tuple[str, ...] = SET_UP
        self._sent: tuple[str, ...] = URL

    def connection(self, whole: dict[str, Any], path: Path) -> Connection | None:
        """One kind of socket; None after noting what is wrong with its address."""
        said = self.note.pruned(whole, path, _LISTS)
        signed = ("signature",) if "sign" in said else ()
        self._set_up, self._sent = (*SET_UP, *signed), (*URL, *signed)
        urls = self._urls(said, path)
        streams = self._names(said, "streams", path) or tuple(self.streams)
        steps = tuple(self._steps(said, path, streams))
        reconnect, back = said.get("reconnect", {}), (*path, "reconnect")
        codec = compile_codec(said.get("codec", "json"), (*path, "codec"), self.folder, self.note)
        parts: dict[str, Any] = {
            "symbols": self._match(said, "symbols", path),
            "headers": self._template(said, "headers", path, self._set_up),
            "sign": compile_signature(said["sign"], (*path, "sign"), self.note) if "sign" in said else None,
            "each": self._getter(said, "each", path),
            "limits": self._limits(said.get("limits", {}), (*path, "limits")),
            "before": tuple(self._before(said, path)),
            "captures": tuple(self._captures(said, path)),
            "answers": tuple(self._answers(said, path)),
            "heartbeat": self._heartbeat(said["heartbeat"], (*path, "heartbeat")) if "heartbeat" in said else None,
            "ignore": compile_matches(said.get("ignore", []), (*path, "ignore"), self.note),
            "notices": tuple(self._notices(said, path)),
            "backoff": Backoff(
                self._positive(reconnect, "base", back, 1.0),
                _number(reconnect.get("factor", 2)),
                self._positive(reconnect, "cap", back, 60.0),
                reconnect.get("attempts"),
            ),
        }
        if not urls:
            return None
        return Connection(
            name=said.get("name", "main"),
            urls=tuple(url.render for url in urls),
            url_texts=tuple(url.text for url in urls),
            streams=streams,
            codec=codec,
            steps=steps,
            max_frame=size(said.get("max_frame", "16 MiB")),
            stale_after=duration(said.get("stale_after", "60s")) or None,
            url_uses_topics=any({"topics", "topic", "symbols"} & url.names for url in urls),
            per_symbol=said.get("per") == "symbol",
            **parts,
        )

    def captured(self, whole: dict[str, Any], path: Path) -> set[str]:
        """The names under which a connection keeps something, as far as they can be read."""
        names = {one["into"] for one, _ in self.note.entries(whole, "capture", path)}
        for one, _ in self.note.entries(whole, "before", path):
            names.update(one.get("capture", {}))
        return names

    def _urls(self, said: dict[str, Any], path: Path) -> list[Compiled]:
        entries = [(said["url"], (*path, "url"))] if "url" in said else []
        entries += self.note.entries(said, "failover", path)
        insecure = said.get("allow_insecure") is True
        found: list[Compiled] = []
        for url, place in entries:
            compiled = websocket_url(url, place, insecure, self.note)
            if compiled and "symbol" in compiled.names and said.get("per") != "symbol":
                text = "an address with $symbol is for one symbol: say `per: symbol` beside it, or use {$symbols}"
                self.note(place, "missing", text)
            elif compiled:
                found.append(compiled)
        return found

    # -- steps

    def _steps(self, said: dict[str, Any], path: Path, streams: tuple[str, ...]) -> Iterator[Step]:
        for one, place in self.note.entries(said, "steps", path):
            step = self._step(one, place, streams)
            if step:
                yield step

    def _step(self, said: dict[str, Any], path: Path, streams: tuple[str, ...]) -> Step | None:
        send = self.note.template(said["send"], (*path, "send"), self._sent) if "send" in said else None
        undo = self._template(said, "undo", path, URL)
        expect = self._expect(said.get("expect"), (*path, "expect"))
        symbols = self._match(said, "symbols", path)
        if "send" in said and send is None:
            return None
        if send is None and said.get("expect") in (None, "first-data"):
            self.note(path, "missing", "a step says what it sends with `send:`, or what it waits for with `expect:`")
            return None
        names = send.names if send else frozenset()
        covered = self._covered(said, path, names, streams)
        per = said.get("per") or next((name for name in ("symbol", "topic") if name in names), None)
        if covered is None:
            return None
        return Step(
            send=send.render if send else None,
            text=send.text if send else "",
            streams=covered,
            per=per,
            batch=said.get("batch"),
            batch_bytes=size(said["batch_bytes"]) if "batch_bytes" in said else None,
            uses_counter="counter" in names,
            expect=expect,
            undo=undo,
            name=said.get("name", f"step {int(path[-1]) + 1}"),
            pause=duration(said.get("pause", "0")),
            symbols=symbols,
        )

    def _covered(
        self, said: dict[str, Any], path: Path, sent: frozenset[str], streams: tuple[str, ...]
    ) -> tuple[str, ...] | None:
        """Which streams a step subscribes; None after noting a problem."""
        named = self._names(said, "for", path)
        if {"topic", "topics"} & sent:
            wanted = named or tuple(name for name in streams if self.streams[name])
            missing = [name for name in wanted if not self.streams[name]]
            for name in missing:
                text = f"this step sends topics, but stream '{name}' has none: say `topic:` in the stream"
                self.note((*path, "for"), "missing", text)
            if not wanted:
                text = "this step sends topics, but no stream has one: say `topic:` in the streams"
                self.note((*path, "send"), "missing", text)
            return None if missing else wanted
        if named is None and {"symbol", "symbols"} & sent:
            example = next(iter(self.streams), "trade")
            text = f"a step that sends symbols says for which streams, such as `for: {example}`"
            self.note(path, "missing", text)
            return None
        return named or ()

    def _names(self, said: dict[str, Any], key: str, path: Path) -> tuple[str, ...] | None:
        """The streams that are named under a key; None where none are."""
        if key not in said:
            return None
        place = (*path, key)
        named = [(said[key], place)]
        if isinstance(said[key], list):
            named = [(name, (*place, at)) for at, name in enumerate(said[key])]
        for name, where in named:
            if name not in self.streams:
                text = f"'{name}' is no stream of this connector{known(name, self.streams)}"
                self.note(where, "unknown-stream", text)
        return tuple(name for name, _ in named if name in self.streams)

    def _expect(self, said: Any, path: Path) -> Expect | None:
        if said is None:
            return None
        if said == "first-data":
            return Expect(within=10.0, first_data=True)
        return Expect(
            within=self._positive(said, "within", path, 10.0),
            accepted=self._match(said, "accepted", path),
            refused=self._match(said, "refused", path),
            symbol=self._spoken_of(said, "symbol", path),
            topic=self._spoken_of(said, "topic", path),
            reply_to=self._getter(said, "reply_to", path),
            reason=self._getter(said, "reason", path),
            symbol_text=_written(said, "symbol"),
            topic_text=_written(said, "topic"),
            reply_to_text=_written(said, "reply_to"),
            reason_text=_written(said, "reason"),
        )

    def _spoken_of(self, said: dict[str, Any], key: str, path: Path) -> Getter | None:
        """Where a reply has the symbol or topic: an expression, or one with the pattern that cuts it out of a text."""
        value = said.get(key)
        if not isinstance(value, dict):
            return self._getter(said, key, path)
        get = self._getter(value, "from", (*path, key))
        try:
            return cut_out(get, text_pattern(value["pattern"], key)) if get else None
        except ValueError as error:
            self.note((*path, key, "pattern"), "pattern", str(error))
            return None

    # -- what is heard

    def _before(self, said: dict[str, Any], path: Path) -> Iterator[HttpRequest]:
        for one, place in self.note.entries(said, "before", path):
            request = http_request(one, place, self.note, "sign" in said)
            if request:
                yield request

    def _captures(self, said: dict[str, Any], path: Path) -> Iterator[Capture]:
        for one, place in self.note.entries(said, "capture", path):
            when = self._match(one, "when", place)
            value = self._getter(one, "value", place)
            key = self._getter(one, "key", place)
            if when and value:
                yield Capture(one["into"], value, key, when)

    def _answers(self, said: dict[str, Any], path: Path) -> Iterator[Answer]:
        for one, place in self.note.entries(said, "answer", path):
            when = self._match(one, "when", place)
            send = self.note.template(one["send"], (*place, "send"), (*SET_UP, "message"))
            if when and send:
                yield Answer(when, send.render, send.text)

    def _notices(self, said: dict[str, Any], path: Path) -> Iterator[Notice]:
        for key, reconnect in (("reconnect", True), ("errors", False)):
            one, place = said.get(key, {}), (*path, key)
            reason = self._getter(one, "reason", place)
            if "when" in one:
                match = any_of(compile_matches(one["when"], (*place, "when"), self.note))
                if match:
                    yield Notice(match, reason, reconnect, duration(one.get("delay", "0")))
                continue
            for word in ("reason", "delay"):
                if word in one:
                    text = f"`{word}` belongs to a `when`: say which message"
                    self.note((*place, word), "missing", text, at_key=True)

    def _heartbeat(self, said: dict[str, Any], path: Path) -> Heartbeat | None:
        every = self._every(said["every"], (*path, "every"))
        send = self.note.template(said["send"], (*path, "send"), SET_UP) if "send" in said else None
        answer = self._match(said, "answer", path)
        within = self._positive(said, "within", path, 0.0) if "within" in said else None
        if "within" in said and "answer" not in said and "send" in said:
            self.note((*path, "within"), "missing", "`within` waits for an answer: say `answer:`", at_key=True)
        if every is None or ("send" in said and send is None):
            return None
        return Heartbeat(
            every=every,
            every_text=said["every"],
            send=send.render if send else None,
            text=send.text if send else "WebSocket ping",
            answer=answer,
            within=within,
        )

    def _every(self, text: str, path: Path) -> Callable[[Mapping[str, Any]], float] | None:
        if "{$" not in text:
            seconds = self.note.read(duration, text, path)
            if seconds == 0:
                self.note(path, "value", f"'{text}' is no time at all: say how long, such as 30s")
            return None if seconds is None else lambda state: seconds
        compiled = self.note.template(text, path, ("state",))
        if compiled is None:
            return None
        render = compiled.render

        def every(state: Mapping[str, Any]) -> float:
            found = str(render(_state_scope(state)))
            try:
                return duration(found) or 1.0
            except ValueError as error:
                raise RecordError("heartbeat.every", text, found, "bad-type", str(error)) from None

        return every

    # -- small parts

    def _limits(self, whole: dict[str, Any], path: Path) -> Limits:
        said = self.note.pruned(whole, path)
        rates = {key: self.note.read(rate, said[key], (*path, key)) for key in ("connect", "send") if key in said}
        return Limits(
            connect=rates.get("connect"),
            send=rates.get("send"),
            symbols=said.get("symbols"),
            topics=said.get("topics"),
            frame_bytes=size(said["frame"]) if "frame" in said else None,
            connections=said.get("connections"),
            lifetime=self._positive(said, "lifetime", path, 0.0) if "lifetime" in said else None,
        )

    def _positive(self, said: dict[str, Any], key: str, path: Path, default: float) -> float:
        return self.note.positive(said[key], (*path, key)) if key in said else default

    def _match(self, said: dict[str, Any], key: str, path: Path) -> Match | None:
        return compile_match(said[key], (*path, key), self.note) if key in said else None

    def _getter(self, said: dict[str, Any], key: str, path: Path) -> Getter | None:
        if key not in said:
            return None
        expression = self.note.expression(said[key], (*path, key), lenient=True)
        return expression.get if expression else None

    def _template(self, said: dict[str, Any], key: str, path: Path, allowed: tuple[str, ...]) -> Template | None:
        if key not in said:
            return None
        compiled = self.note.template(said[key], (*path, key), allowed)
        return compiled.render if compiled else None


def _written(said: dict[str, Any], key: str) -> str:
    """An expression as it is written; nothing where it needs a pattern."""
    value = said.get(key, "")
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float:
    numerator, denominator = value.as_integer_ratio()
    result: float = numerator / denominator
    return result


def _state_scope(state: Mapping[str, Any]) -> SendScope:
    return SendScope(counter=lambda: 0, uuid=lambda: "", now_us=0, state=state, environment={})

