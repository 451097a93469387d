"""Compiles ``connection:``: the address, the requests and their order, and the messages to expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from k2conn.compiler.expressions.expressions import compile_expression
from k2conn.compiler.expressions.item_forms import split_path
from k2conn.compiler.expressions.templates import Compiled
from k2conn.compiler.language.document import Path
from k2conn.compiler.language.durations import duration, rate, size
from k2conn.compiler.sections.addresses import SET_UP, URL, connection_url, http_request
from k2conn.compiler.sections.codecs import CodecCompiler
from k2conn.compiler.sections.conditions import any_of, compile_matches
from k2conn.compiler.sections.context import CompileContext
from k2conn.compiler.sections.handshakes import handshake_parts
from k2conn.compiler.sections.learnt_authorities import learnt_authority
from k2conn.compiler.sections.parts import SectionCompiler
from k2conn.compiler.sections.periods import compile_period, learnt_names
from k2conn.compiler.sections.signatures import compile_signature, signature_text
from k2conn.compiler.sections.steps import StepCompiler
from k2conn.compiler.sections.transports import TransportWords
from k2conn.plan import (
    Answer,
    Backoff,
    Capture,
    Connection,
    Heartbeat,
    HttpRequest,
    Limits,
    Notice,
)
from k2conn.schemes import FILES

FASTEST_PING, SLOWEST_PING = 1.0, 3600.0
"""Seconds between our pings, at least and at most, where the venue says how many."""
_LISTS = ("steps", "before", "capture", "answer", "failover", "limits")
"""Keys whose entries are looked at one by one, so that one of wrong shape does not hide the others."""


_OF_FILES = ("url", "codec", "ignore")
"""What a connection says that reads files."""


class ConnectionCompiler(SectionCompiler):
    """Compiles the sockets of one connector. ``streams`` are the declared ones, and whether each has a `topic`."""

    def __init__(self, note: CompileContext, folder: FilePath, streams: Mapping[str, bool]) -> None:
        super().__init__(note)
        self.folder = folder
        self.streams = streams
        self._set_up: tuple[str, ...] = SET_UP

    def connection(self, whole: dict[str, Any], path: Path) -> Connection | None:
        """One kind of socket; None after noting what is wrong with its address."""
        said = self.note.pruned(whole, path, _LISTS)
        signed = ("signature",) if "sign" in said else ()
        self._set_up = (*SET_UP, *signed)
        urls = self._urls(said, path)
        streams = self._names(said, "streams", path, self.streams) or tuple(self.streams)
        steps = tuple(StepCompiler(self.note, self.streams, streams, (*URL, *signed)).steps(said, path))
        reconnect, back = said.get("reconnect", {}), (*path, "reconnect")
        files = said.get("url") == FILES
        codecs = CodecCompiler(self.note, self.folder)
        if files:
            self._check_files(said, path)
            codec = codecs.of_rows(said.get("codec"), (*path, "codec") if "codec" in said else path)
        else:
            codec = replace(codecs.encoding(said.get("codec", "json"), (*path, "codec")), table="poll" in said)
        parts: dict[str, Any] = {
            "symbols": self._match(said, "symbols", path),
            **handshake_parts(self.note, said, path, self._set_up),
            "sign": compile_signature(said["sign"], (*path, "sign"), self.note) if "sign" in said else None,
            "sign_text": signature_text(said["sign"]) if "sign" in said else "",
            "each": self._getter(said, "each", path),
            "limits": self._limits(said.get("limits", {}), (*path, "limits")),
            "before": tuple(self._before(said, path)),
            "capture": tuple(self._captures(said, path)),
            "answer": tuple(self._answers(said, path)),
            "heartbeat": self._heartbeat(said["heartbeat"], (*path, "heartbeat"), self._known_before(said, path))
            if "heartbeat" in said else None,
            "ignore": compile_matches(said.get("ignore", []), (*path, "ignore"), self.note),
            "notices": tuple(self._notices(said, path)),
            "reconnect": Backoff(
                self._positive(reconnect, "base", back, 1.0),
                _number(reconnect.get("factor", 2)),
                self._positive(reconnect, "cap", back, 60.0),
                reconnect.get("attempts"),
            ),
        }
        words = TransportWords(self.note, said, path)
        if urls and not files:
            parts |= words.parts()
        if not urls:
            return None
        return Connection(
            name=said.get("name", "main"),
            urls=tuple(url.render for url in urls),
            url_texts=tuple(url.text for url in urls),
            streams=streams,
            codec=codec,
            steps=steps,
            max_frame=size(said.get("max_frame", "8 MiB")),
            stale_after=words.stale_after(),
            allow_insecure=said.get("allow_insecure") is True,
            url_uses_topics=any({"topics", "topic", "symbol", "symbols"} & url.names for url in urls),
            named_by_venue=frozenset[str]().union(*map(_learnt_names, urls)),
            hosts=tuple(host.lower() for host in said.get("hosts", ())),
            each_text=said.get("each", ""),
            split=split_path(compile_expression(said["each"]).tree) if parts["each"] is not None else None,
            per=said.get("per"),
            replicas=said.get("replicas", 1),
            **parts,
        )

    def _check_files(self, said: dict[str, Any], path: Path) -> None:
        """Notes what a connection has that reads files and talks to nobody."""
        for key in said:
            if key not in _OF_FILES:
                text = f"files are read, nobody is talked to: `{key}` means nothing beside `url: {FILES}`"
                self.note((*path, key), "value", text, at_key=True)
        if path[0] == "connections":
            self.note(path, "value", f"a connector that reads files has one `connection:`, of `url: {FILES}`")

    def captured(self, whole: dict[str, Any], path: Path) -> set[str]:
        """The names under which a connection keeps something, as far as they can be read."""
        return {one["into"] for one, _ in self.note.entries(whole, "capture", path)} | self._known_before(whole, path)

    def _known_before(self, whole: dict[str, Any], path: Path) -> set[str]:
        """Those of them that are known before the connection is made."""
        names = set(whole["initial"]) if isinstance(whole.get("initial"), dict) else set()
        for one, _ in self.note.entries(whole, "before", path):
            names.update(one.get("capture", {}))
        return names

    def _urls(self, said: dict[str, Any], path: Path) -> list[Compiled]:
        entries = [(said["url"], (*path, "url"))] if "url" in said else []
        entries += self.note.entries(said, "failover", path)
        insecure = said.get("allow_insecure") is True
        found: list[Compiled] = []
        for url, place in entries:
            compiled = connection_url(url, place, insecure, self.note)
            learnt = learnt_authority(url)
            declared = "hosts" in said or not self.note.sound((*path, "hosts"))
            if compiled and learnt is not None and learnt.host and not declared:
                text = "where the venue names the host, say which ones it may be: `hosts: [\"*.example.com\"]`"
                self.note(place, "missing", text)
            if compiled and "symbol" in compiled.names and said.get("per") != "symbol":
                text = "an address with $symbol is for one symbol: say `per: symbol` beside it, or use {$symbols}"
                self.note(place, "missing", text)
            elif compiled:
                found.append(compiled)
        return found

    # -- what is heard

    def _before(self, said: dict[str, Any], path: Path) -> Iterator[HttpRequest]:
        for one, place in self.note.entries(said, "before", path):
            request = http_request(one, place, self.note, "sign" in said)
            if request:
                yield request

    def _captures(self, said: dict[str, Any], path: Path) -> Iterator[Capture]:
        values = {name for one, _ in self.note.entries(said, "before", path) for name in one.get("capture", {})}
        entries = list(self.note.entries(said, "capture", path))
        values |= {one["into"] for one, _ in entries if "key" not in one}
        for one, place in entries:
            if "key" in one and one["into"] in values:
                text = f"$state.{one['into']} is a value elsewhere, and with a `key` a table: take two names"
                self.note((*place, "into"), "value", text)
            when = self._match(one, "when", place)
            value = self._getter(one, "value", place)
            key = self._getter(one, "key", place)
            if when and value:
                yield Capture(
                    one["into"], value, key, when, data=one.get("data", False), keep=one.get("keep", False),
                    text=one["value"], key_text=one.get("key", ""),
                )

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
                    yield Notice(match, reason, reconnect, duration(one.get("delay", "0")), one.get("reason", ""))
                continue
            for word in ("reason", "delay"):
                if word in one:
                    text = f"`{word}` belongs to a `when`: say which message"
                    self.note((*place, word), "missing", text, at_key=True)

    def _heartbeat(self, said: dict[str, Any], path: Path, known_before: set[str]) -> Heartbeat | None:
        """Our own ping. ``known_before``: what `$state` has before the connection is made."""
        every = compile_period(self.note, said["every"], (*path, "every"), FASTEST_PING, SLOWEST_PING)
        if "send" not in said:
            self._check_known_at_connect(said["every"], known_before, (*path, "every"))
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

    def _check_known_at_connect(self, every: str, known_before: set[str], path: Path) -> None:
        """Notes a period of WebSocket pings that is learnt too late: they begin with the connection."""
        for name in sorted(learnt_names(every) - known_before):
            text = f"a WebSocket ping's period is known before the connection is made, and $state.{name} is captured " \
                   "on it: say `send:` (a frame waits until it is known), or a period"
            self.note(path, "unknown-state", text)

    # -- small parts

    def _limits(self, whole: dict[str, Any], path: Path) -> Limits:
        said = self.note.pruned(whole, path)
        rates = {key: self.note.read(rate, said[key], (*path, key)) for key in ("connect", "send", "requests")
                 if key in said}
        return Limits(
            connect=rates.get("connect"),
            send=rates.get("send"),
            requests=rates.get("requests"),
            symbols=said.get("symbols"),
            topics=said.get("topics"),
            frame=size(said["frame"]) if "frame" in said else None,
            connections=said.get("connections"),
            unanswered=said.get("unanswered"),
            lifetime=self._positive(said, "lifetime", path, 0.0) if "lifetime" in said else None,
            per=said.get("per", "connection"),
        )


def _learnt_names(url: Compiled) -> frozenset[str]:
    """The names under which an address's host and port are captured."""
    learnt = learnt_authority(url.text)
    return learnt.names if learnt is not None else frozenset()


def _number(value: Any) -> float:
    numerator, denominator = value.as_integer_ratio()
    result: float = numerator / denominator
    return result

