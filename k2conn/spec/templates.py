"""What is sent: YAML with ``$names`` in it, compiled to functions of a SendScope.

A whole value ``$name`` keeps its type (a counter is a number, ``$symbols`` a list); inside text it is written
``{$name}``. ``$symbol.base`` and the like reach into a symbol, ``$state.token`` into what was captured,
``$env.NAME`` into the environment. ``{$each_symbol: ...}`` and ``{$each_topic: ...}`` make a list with one entry each.
A literal dollar sign at the start of a value, or after a brace, is written twice.

Names: $symbol $symbols $topic $topics $counter $uuid $now_s $now_ms $now_us $state.NAME $env.NAME $message.PATH
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from k2conn import exactjson
from k2conn.errors import MissingVariable, RecordError
from k2conn.plan import Scope, SendScope, Symbol, Template
from k2conn.spec.expressions import ExpressionError, compile_expression
from k2conn.spec.problems import known

SIMPLE = ("symbol", "symbols", "topic", "topics", "counter", "uuid", "now_s", "now_ms", "now_us")
NAMES = (*SIMPLE, "state.NAME", "env.NAME", "message.PATH", "signature")
_SYMBOL_PARTS = ("native", "record", "base", "quote", "lower", "upper")
_WHOLE = re.compile(r"\$([a-z_]+)((?:\.[A-Za-z0-9_\-\[\]]+)*)\Z")
_INSIDE = re.compile(r"\{(\$\$?)([^{}]*)\}")
_LOOPS = {"$each_symbol": "symbol", "$each_topic": "topic"}


class TemplateError(ValueError):
    """A placeholder that does not exist or has no meaning here; ``code`` is a problem code."""

    def __init__(self, text: str, code: str = "unknown-placeholder", path: tuple[str | int, ...] = ()) -> None:
        super().__init__(text)
        self.code = code
        self.path = path


class Compiled:
    """A template and the names it uses."""

    __slots__ = ("names", "render", "text")

    def __init__(self, render: Template, names: frozenset[str], text: str) -> None:
        self.render = render
        self.names = names
        self.text = text


def compile_template(value: Any, allowed: tuple[str, ...] | None = None) -> Compiled:
    """Compiles a YAML value with placeholders; raises TemplateError with the path inside the value.

    ``allowed`` names the placeholders that have a meaning here; None allows all.
    """
    names: set[str] = set()
    render = _Compiler(names, allowed).compile(value, ())
    text = value if isinstance(value, str) else exactjson.encode(value).decode()
    return Compiled(render, frozenset(names), text)


class _Compiler:
    def __init__(self, names: set[str], allowed: tuple[str, ...] | None) -> None:
        self.names = names
        self.allowed = allowed

    def compile(self, value: Any, path: tuple[str | int, ...]) -> Template:
        try:
            if isinstance(value, str):
                return self._text(value)
            if isinstance(value, list):
                return self._list([self.compile(item, (*path, at)) for at, item in enumerate(value)])
            if isinstance(value, dict):
                return self._map(value, path)
        except TemplateError as error:
            if not error.path:
                error.path = path
            raise
        return lambda scope: value

    @staticmethod
    def _list(items: list[Template]) -> Template:
        return lambda scope: [item(scope) for item in items]

    def _map(self, value: dict[str, Any], path: tuple[str | int, ...]) -> Template:
        if len(value) == 1 and next(iter(value)) in _LOOPS:
            ((key, inner),) = value.items()
            return self._loop(_LOOPS[key], self.compile(inner, (*path, key)))
        pairs = [(self._text(key), self.compile(item, (*path, key))) for key, item in value.items()]
        return lambda scope: {exactjson.spell(key(scope)): item(scope) for key, item in pairs}

    def _loop(self, over: str, inner: Template) -> Template:
        self._use(over + "s")
        if over == "symbol":
            return lambda scope: [inner(scope._replace(symbols=(one,))) for one in scope.symbols]
        return lambda scope: [inner(scope._replace(topics=(one,))) for one in scope.topics]

    def _text(self, text: str) -> Template:
        if text.startswith("$$"):
            rest = text[1:]
            return lambda scope: rest
        if text.startswith("$"):
            return self._name(text)
        if not _INSIDE.search(text):
            if "{$" in text:
                raise TemplateError(f"'{text}' has an open placeholder: write {{$name}}")
            return lambda scope: text
        return self._joined(text)

    def _joined(self, text: str) -> Template:
        parts: list[Template] = []
        at = 0
        for place in _INSIDE.finditer(text):
            parts.append(_constant(text[at : place.start()]))
            if place.group(1) == "$$":
                parts.append(_constant("{$" + place.group(2) + "}"))
            else:
                parts.append(self._name("$" + place.group(2)))
            at = place.end()
        parts.append(_constant(text[at:]))
        return lambda scope: "".join([_inline(part(scope)) for part in parts])

    def _use(self, name: str) -> None:
        self.names.add(name)
        if self.allowed is not None and name not in self.allowed:
            raise TemplateError(f"${name} has no meaning here{known(name, self.allowed)}")

    def _name(self, text: str) -> Template:
        found = _WHOLE.match(text)
        name, tail = (found.group(1), found.group(2)[1:]) if found else (text[1:], "")
        if not found or name not in (*SIMPLE, "state", "env", "message"):
            raise TemplateError(f"unknown placeholder {text}{known(text.lstrip('$'), NAMES)}")
        self._use(name)
        if name == "symbol":
            return _symbol(tail or "native")
        if name == "symbols":
            return _symbols(tail or "native")
        if name in ("state", "message"):
            return _path(name, tail)
        if name == "env":
            return _environment(tail)
        if tail:
            raise TemplateError(f"${name} has no parts: .{tail}")
        return _SIMPLE[name]


def _constant(text: str) -> Template:
    return lambda scope: text


def _inline(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_inline, value))
    return "" if value is None else exactjson.spell(value)


def _only_topic(scope: SendScope) -> Any:
    return scope.topics[0] if scope.topics else None


_SIMPLE: Mapping[str, Template] = {
    "topic": _only_topic,
    "topics": lambda scope: list(scope.topics),
    "counter": lambda scope: scope.counter(),
    "uuid": lambda scope: scope.uuid(),
    "now_s": lambda scope: scope.now_us // 1_000_000,
    "now_ms": lambda scope: scope.now_us // 1000,
    "now_us": lambda scope: scope.now_us,
}


def _part(name: str) -> Callable[[Symbol], str]:
    if name not in _SYMBOL_PARTS:
        return lambda symbol: dict(symbol.parts).get(name, "")
    if name == "lower":
        return lambda symbol: symbol.native.lower()
    if name == "upper":
        return lambda symbol: symbol.native.upper()
    return lambda symbol: str(getattr(symbol, name))


def _symbol(tail: str) -> Template:
    chain = [_part(name) for name in tail.split(".")[:1]]
    case = tail.split(".")[1:]
    if case not in ([], ["lower"], ["upper"]):
        raise TemplateError(f"unknown part .{tail} of $symbol{known(tail, _SYMBOL_PARTS)}")

    def render(scope: SendScope) -> Any:
        if not scope.symbols:
            return None
        text = chain[0](scope.symbols[0])
        return getattr(text, case[0])() if case else text

    return render


def _symbols(tail: str) -> Template:
    one = _symbol(tail)
    return lambda scope: [one(scope._replace(symbols=(symbol,))) for symbol in scope.symbols]


def _path(name: str, tail: str) -> Template:
    if not tail and name == "state":
        raise TemplateError("$state needs a name: $state.NAME")
    try:
        get = compile_expression(tail or "@").get
    except ExpressionError as error:
        raise TemplateError(str(error), error.code) from None
    nowhere = Scope()
    if name == "message":
        return lambda scope: get(scope.message, nowhere)

    def state(scope: SendScope) -> Any:
        found = get(dict(scope.state), nowhere)
        if found is None:
            raise RecordError(None, f"$state.{tail}", None, "missing-field", "nothing was captured under that name")
        return found

    return state


def _environment(name: str) -> Template:
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
        raise TemplateError("an environment variable is written $env.NAME in capitals")

    def variable(scope: SendScope) -> Any:
        found = scope.environment.get(name)
        if not found:
            raise MissingVariable(name)
        return found

    return variable

