"""``connection:`` compiled: where to connect, what is said in which order, and what may be heard."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import urlsplit

from k2conn.plan import (
    Answer,
    Backoff,
    Capture,
    Codec,
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
    Stream,
    Template,
)
from k2conn.spec.conditions import Note, any_of, compile_match, compile_matches
from k2conn.spec.document import Path
from k2conn.spec.durations import duration, rate, size
from k2conn.spec.expressions import ExpressionError, compile_expression
from k2conn.spec.problems import known
from k2conn.spec.templates import Compiled, TemplateError, compile_template

_SET_UP = ("counter", "uuid", "now_s", "now_ms", "now_us", "state", "env")
_URL = (*_SET_UP, "symbol", "symbols", "topic", "topics")
_SEND = (*_URL, "message")


class ConnectionCompiler:
    """Compiles the sockets of one connector, given its streams."""

    def __init__(self, note: Note, folder: FilePath, streams: tuple[Stream, ...]) -> None:
        self.note = note
        self.folder = folder
        self.streams = streams

    def connection(self, said: dict[str, Any], path: Path) -> Connection | None:
        """One kind of socket; None after noting what is wrong with its address."""
        urls = self._urls(said, path)
        streams = self._streams(said, "streams", path) or tuple(stream.name for stream in self.streams)
        steps = tuple(self._steps(said, path, streams))
        if not urls:
            return None
        codec = self._codec(said.get("codec", "json"), (*path, "codec"))
        reconnect = said.get("reconnect", {})
        return Connection(
            name=said.get("name", "main"),
            urls=tuple(url.render for url in urls),
            url_texts=tuple(url.text for url in urls),
            streams=streams,
            symbols=compile_match(said["symbols"], (*path, "symbols"), self.note) if "symbols" in said else None,
            headers=self._template(said, "headers", path, _SET_UP),
            codec=codec,
            each=self._getter(said, "each", path),
            limits=_limits(said.get("limits", {})),
            before=tuple(self.http(one, (*path, "before", at)) for at, one in enumerate(said.get("before", ()))),
            steps=steps,
            captures=self._captures(said, path),
            answers=self._answers(said, path),
            heartbeat=self._heartbeat(said, path),
            ignore=compile_matches(said.get("ignore", []), (*path, "ignore"), self.note),
            notices=self._notices(said, path),
            backoff=Backoff(
                duration(reconnect.get("base", "1s")),
                _number(reconnect.get("factor", 2)),
                duration(reconnect.get("cap", "60s")),
                reconnect.get("attempts"),
            ),
            max_frame=size(said.get("max_frame", "16 MiB")),
            stale_after=duration(said.get("stale_after", "60s")) or None,
            url_uses_topics=any({"topics", "topic", "symbols"} & url.names for url in urls),
            per_symbol=said.get("per") == "symbol",
        )

    # -- addresses

    def _urls(self, said: dict[str, Any], path: Path) -> list[Compiled]:
        found: list[Compiled] = []
        places: list[tuple[str, Path]] = [(said["url"], (*path, "url"))]
        places += [(url, (*path, "failover", at)) for at, url in enumerate(said.get("failover", ()))]
        for url, place in places:
            compiled = self._compiled(url, place, _URL)
            if compiled and self._checked_url(url, place, bool(said.get("allow_insecure"))):
                found.append(compiled)
        return found

    def _checked_url(self, url: str, path: Path, insecure: bool) -> bool:
        if url.startswith("{$state."):
            return True
        if not re.match(r"wss?://[^/{}\s]+", url):
            self.note(path, "url", "an address starts with wss:// and a host")
            return False
        parts = urlsplit(url)
        if parts.username or parts.password:
            self.note(path, "secret", "no credentials in an address; use {$env.NAME}")
            return False
        if parts.scheme == "ws" and not insecure and not is_loopback(parts.hostname or ""):
            self.note(path, "insecure", "ws:// sends everything in the clear: use wss://, or say allow_insecure: true")
            return False
        return True

    # -- steps

    def _steps(self, said: dict[str, Any], path: Path, streams: tuple[str, ...]) -> list[Step]:
        found: list[Step] = []
        for at, step in enumerate(said.get("steps", ())):
            compiled = self._step(step, (*path, "steps", at), streams)
            if compiled:
                found.append(compiled)
        return found

    def _step(self, said: dict[str, Any], path: Path, streams: tuple[str, ...]) -> Step | None:
        send = self._compiled(said["send"], (*path, "send"), _SEND[:-1])
        undo = self._template(said, "undo", path, _SEND[:-1])
        expect = self._expect(said.get("expect"), (*path, "expect"))
        if send is None:
            return None
        covered = self._covered(said, path, send, streams)
        per = said.get("per") or ("symbol" if "symbol" in send.names else "topic" if "topic" in send.names else None)
        if covered is None:
            return None
        return Step(
            send=send.render,
            text=send.text,
            streams=covered,
            per=per,
            batch=said.get("batch"),
            batch_bytes=size(said["batch_bytes"]) if "batch_bytes" in said else None,
            uses_counter="counter" in send.names,
            expect=expect,
            undo=undo,
            name=said.get("name", f"step {path[-1] if isinstance(path[-1], str) else int(path[-1]) + 1}"),
            pause=duration(said.get("pause", "0")),
            symbols=compile_match(said["symbols"], (*path, "symbols"), self.note) if "symbols" in said else None,
        )

    def _covered(
        self, said: dict[str, Any], path: Path, send: Compiled, streams: tuple[str, ...]
    ) -> tuple[str, ...] | None:
        """Which streams a step subscribes; None after noting a problem."""
        named = self._streams(said, "for", path)
        topics = bool({"topic", "topics"} & send.names)
        symbols = bool({"symbol", "symbols"} & send.names)
        if topics:
            wanted = named or tuple(s.name for s in self.streams if s.topic and s.name in streams)
            missing = [s.name for s in self.streams if s.name in wanted and s.topic is None]
            for name in missing:
                self.note(("streams", name), "missing", f"step '{said.get('name', '')}' sends topics: say `topic:`")
            return None if missing else wanted
        if named is not None:
            return named
        if symbols:
            self.note(path, "missing", "a step that sends symbols says for which streams: `for: trade`")
            return None
        return ()

    def _streams(self, said: dict[str, Any], key: str, path: Path) -> tuple[str, ...] | None:
        if key not in said:
            return None
        names = [said[key]] if isinstance(said[key], str) else said[key]
        declared = [stream.name for stream in self.streams]
        for at, name in enumerate(names):
            if name not in declared:
                place = (*path, key) if isinstance(said[key], str) else (*path, key, at)
                self.note(place, "unknown-stream", f"'{name}' is no stream of this connector{known(name, declared)}")
        return tuple(name for name in names if name in declared)

    def _expect(self, said: Any, path: Path) -> Expect | None:
        if said is None:
            return None
        if said == "first-data":
            return Expect(within=10.0, first_data=True)
        return Expect(
            within=duration(said.get("within", "10s")),
            accepted=compile_match(said["accepted"], (*path, "accepted"), self.note),
            refused=compile_match(said["refused"], (*path, "refused"), self.note) if "refused" in said else None,
            symbol=self._getter(said, "symbol", path),
            topic=self._getter(said, "topic", path),
            reply_to=self._getter(said, "reply_to", path),
            reason=self._getter(said, "reason", path),
        )

    # -- what is heard

    def _captures(self, said: dict[str, Any], path: Path) -> tuple[Capture, ...]:
        found: list[Capture] = []
        for at, one in enumerate(said.get("capture", ())):
            place = (*path, "capture", at)
            when = compile_match(one["when"], (*place, "when"), self.note)
            value = self._getter(one, "value", place)
            key = self._getter(one, "key", place)
            if when and value:
                found.append(Capture(one["into"], value, key, when))
        return tuple(found)

    def _answers(self, said: dict[str, Any], path: Path) -> tuple[Answer, ...]:
        found: list[Answer] = []
        for at, one in enumerate(said.get("answer", ())):
            place = (*path, "answer", at)
            when = compile_match(one["when"], (*place, "when"), self.note)
            send = self._compiled(one["send"], (*place, "send"), (*_SET_UP, "message"))
            if when and send:
                found.append(Answer(when, send.render, send.text))
        return tuple(found)

    def _notices(self, said: dict[str, Any], path: Path) -> tuple[Notice, ...]:
        found: list[Notice] = []
        for key, reconnect in (("reconnect", True), ("errors", False)):
            one = said.get(key, {})
            if "when" in one:
                match = any_of(compile_matches(one["when"], (*path, key, "when"), self.note))
                reason = self._getter(one, "reason", (*path, key))
                if match:
                    found.append(Notice(match, reason, reconnect, duration(one.get("delay", "0"))))
        return tuple(found)

    def _heartbeat(self, said: dict[str, Any], path: Path) -> Heartbeat | None:
        if "heartbeat" not in said:
            return None
        one, place = said["heartbeat"], (*path, "heartbeat")
        every = self._every(one["every"], (*place, "every"))
        send = self._compiled(one["send"], (*place, "send"), _SET_UP) if "send" in one else None
        answer = compile_match(one["answer"], (*place, "answer"), self.note) if "answer" in one else None
        if every is None or "send" in one and send is None:
            return None
        return Heartbeat(
            every=every,
            every_text=one["every"],
            send=send.render if send else None,
            text=send.text if send else "WebSocket ping",
            answer=answer,
            within=duration(one["within"]) if "within" in one else None,
        )

    def _every(self, text: str, path: Path) -> Callable[[Mapping[str, Any]], float] | None:
        if "{$" not in text:
            try:
                seconds = duration(text)
            except ValueError as error:
                self.note(path, "value", str(error))
                return None
            return lambda state: seconds
        compiled = self._compiled(text, path, ("state",))
        if compiled is None:
            return None
        render = compiled.render
        return lambda state: duration(str(render(_state_scope(state))))

    # -- codecs, HTTP

    def _codec(self, said: Any, path: Path) -> Codec:
        if isinstance(said, str):
            binary = () if said == "json" else (said,)
            return Codec(text=("json",), binary=(*binary, "json"))
        text = said.get("text", "json")
        binary = said.get("binary", "json")
        limit = size(said.get("limit", "8 MiB"))
        if binary == "protobuf":
            return self._protobuf(said, path, _steps_of(text), limit)
        return Codec(_steps_of(text), _steps_of(binary), limit)

    def _protobuf(self, said: dict[str, Any], path: Path, text: tuple[str, ...], limit: int) -> Codec:
        name = said.get("descriptor", "")
        file = (self.folder / name).resolve()
        if not name or "message" not in said:
            self.note(path, "missing", "protobuf needs `descriptor:` (a file beside this one) and `message:`")
        elif file.parent != self.folder.resolve():
            self.note((*path, "descriptor"), "path", "the descriptor lies beside the connector file")
        elif not file.is_file() or file.stat().st_size > 1 << 20:
            self.note((*path, "descriptor"), "path", f"'{name}' is no file of at most 1 MiB beside this one")
        else:
            return Codec(text, ("protobuf",), limit, file.read_bytes(), said["message"])
        return Codec(text, (), limit)

    def http(self, said: dict[str, Any], path: Path) -> HttpRequest:
        """One HTTP call."""
        method, _, url = said["http"].partition(" ")
        if not url.startswith("https://") and not is_loopback(urlsplit(url).hostname or ""):
            self.note((*path, "http"), "insecure", "an HTTP call goes to https://")
        compiled = self._compiled(url, (*path, "http"), _SET_UP)
        captures: list[Capture] = []
        for name in said.get("capture", {}):
            value = self._getter(said["capture"], name, (*path, "capture"))
            if value:
                captures.append(Capture(name, value))
        return HttpRequest(
            method=method,
            url=compiled.render if compiled else lambda scope: url,
            url_text=url,
            headers=self._template(said, "headers", path, _SET_UP),
            body=self._template(said, "body", path, _SET_UP),
            capture=tuple(captures),
            within=duration(said.get("within", "10s")),
        )

    # -- small parts

    def _getter(self, said: dict[str, Any], key: str, path: Path) -> Getter | None:
        if key not in said:
            return None
        try:
            return compile_expression(said[key], True).get
        except ExpressionError as error:
            self.note((*path, key), error.code, str(error))
            return None

    def _template(self, said: dict[str, Any], key: str, path: Path, allowed: tuple[str, ...]) -> Template | None:
        if key not in said:
            return None
        compiled = self._compiled(said[key], (*path, key), allowed)
        return compiled.render if compiled else None

    def _compiled(self, value: Any, path: Path, allowed: tuple[str, ...]) -> Compiled | None:
        try:
            return compile_template(value, allowed)
        except TemplateError as error:
            self.note((*path, *error.path), error.code, str(error))
            return None


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _steps_of(name: str) -> tuple[str, ...]:
    if name == "refuse":
        return ()
    return tuple(part for part in name.split("+") if part != "json") + ("json",)


def _limits(said: dict[str, Any]) -> Limits:
    return Limits(
        connect=rate(said["connect"]) if "connect" in said else None,
        send=rate(said["send"]) if "send" in said else None,
        symbols=said.get("symbols"),
        topics=said.get("topics"),
        frame_bytes=size(said["frame"]) if "frame" in said else None,
        connections=said.get("connections"),
        lifetime=duration(said["lifetime"]) if "lifetime" in said else None,
    )


def _number(value: Any) -> float:
    numerator, denominator = value.as_integer_ratio()
    result: float = numerator / denominator
    return result


def _state_scope(state: Mapping[str, Any]) -> SendScope:
    return SendScope(counter=lambda: 0, uuid=lambda: "", now_us=0, state=state, environment={})


__all__ = ["ConnectionCompiler", "Match", "is_loopback"]
