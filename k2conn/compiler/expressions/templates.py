"""Templates of what is sent: YAML with ``$names`` in it, compiled to functions of a SendScope.

A whole value ``$name`` keeps its type (a counter is a number, ``$symbols`` a list); inside text it is written
``{$name}``. ``$symbol.base`` and the like reach into a symbol, ``$state.token`` into what was captured,
``$env.NAME`` into the environment. ``{$each_symbol: ...}`` and ``{$each_topic: ...}`` make a list with one entry each.
A literal dollar sign at the start of a value, or after a brace, is written twice.

Names: $symbol $symbols $topic $topics $counter $uuid $now_s $now_ms $now_us $signature $state.NAME $env.NAME
$message.PATH, and in a `backfill` those of `k2conn.compiler.expressions.missing_ranges`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from k2conn import exactjson
from k2conn.compiler.expressions.closures import ExpressionError
from k2conn.compiler.expressions.expressions import compile_expression
from k2conn.compiler.expressions.missing_ranges import PLACES
from k2conn.compiler.language.problems import known, short
from k2conn.errors import MissingVariable, RecordError, SettingsError
from k2conn.plan import SendScope, Symbol, Template
from k2conn.scope import Scope
from k2conn.variables import is_name

_SIMPLE_NAMES = (
    "symbol", "symbols", "topic", "topics", "counter", "uuid", "now_s", "now_ms", "now_us", "signature", *PLACES,
)
_SPELLED = {"state": "$state.NAME", "env": "$env.NAME", "message": "$message.PATH"}
NAMES = (*_SIMPLE_NAMES, *_SPELLED)
SYMBOL_PARTS = ("native", "record", "base", "quote", "lower", "upper")
_WHOLE = re.compile(r"\$([a-z_]+)((?:\[-?[0-9]+\])*(?:\.[A-Za-z0-9_\-\[\]]+)*)\Z")
_INSIDE = re.compile(r"\{(\$\$?)([^{}]*)\}")
_CONTROL = re.compile("[\\x00-\\x1f\\x7f]")
_BEYOND = re.compile("[^\\x00-\\xff]")
"""What no header can carry."""
_LOOPS = {"$each_symbol": "symbol", "$each_topic": "topic"}


class TemplateError(ValueError):
    """A placeholder that does not exist or has no meaning here.

    ``code`` is a problem code, ``path`` leads into the value, ``offset`` into its text, ``at_key`` says that it is
    the key of ``path`` that is wrong.
    """

    def __init__(self, text: str, code: str = "unknown-placeholder") -> None:
        super().__init__(text)
        self.code = code
        self.path: tuple[str | int, ...] = ()
        self.offset = 0
        self.at_key = False


class Compiled:
    """A template and the names it uses."""

    __slots__ = ("names", "refused", "render", "states", "text", "variables")

    def __init__(
        self, render: Template, names: frozenset[str], states: frozenset[str], text: str,
        variables: Mapping[str, tuple[tuple[str | int, ...], ...]], refused: tuple[TemplateError, ...],
    ) -> None:
        self.refused = refused
        """A problem for each environment variable that may not be read here."""
        self.variables = variables
        """The names that stand behind ``$env.``, each with the paths in the value where it is read."""
        self.render = render
        self.names = names
        self.states = states
        """The names that stand behind ``$state.``"""
        self.text = text

    def rendered_by(self, render: Template) -> Compiled:
        """The same, filled in by another function."""
        return Compiled(render, self.names, self.states, self.text, self.variables, self.refused)


def compile_template(
    value: Any,
    allowed: tuple[str, ...] | None = None,
    parts: tuple[str, ...] = (),
    headers: bool = False,
    refusal: Callable[[str], str] = lambda name: "",
) -> Compiled:
    """Compiles a YAML value with placeholders; raises TemplateError.

    ``allowed`` names the placeholders that have a meaning here; None allows all. ``parts`` are further parts that
    this connector's symbols have. ``headers``: the values are headers of a request. ``refusal`` says why an environment
    variable may not be read here, and nothing of one that may.
    """
    compiler = _TemplateCompiler(NAMES if allowed is None else allowed, (*SYMBOL_PARTS, *parts), headers, refusal)
    render = compiler.compile(value, ())
    text = value if isinstance(value, str) else exactjson.encode(value).decode()
    variables = {name: tuple(dict.fromkeys(paths)) for name, paths in compiler.variables.items()}
    names, states = frozenset(compiler.names), frozenset(compiler.states)
    return Compiled(render, names, states, text, variables, tuple(compiler.refused))


class _TemplateCompiler:
    def __init__(
        self, allowed: tuple[str, ...], parts: tuple[str, ...], headers: bool, refusal: Callable[[str], str]
    ) -> None:
        self.refusal = refusal
        self.variables: dict[str, list[tuple[str | int, ...]]] = {}
        self.refused: list[TemplateError] = []
        self._place: tuple[tuple[str | int, ...], bool, int] = ((), False, 0)
        """Of the name that is being compiled: its path, whether it is in the key, and where in the text it stands."""
        self.allowed = allowed
        self.parts = parts
        self.headers = headers
        self.names: set[str] = set()
        self.states: set[str] = set()

    def compile(self, value: Any, path: tuple[str | int, ...]) -> Template:
        if isinstance(value, str):
            return self._placed(value, path)
        if isinstance(value, list):
            return _list([self.compile(item, (*path, at)) for at, item in enumerate(value)])
        if isinstance(value, dict):
            return self._map(value, path)
        return lambda scope: value

    def _placed(self, text: str, path: tuple[str | int, ...], at_key: bool = False) -> Template:
        self._place = path, at_key, 0
        try:
            return self._text(text)
        except TemplateError as error:
            error.path, error.at_key = path, at_key
            raise

    def _map(self, value: dict[str, Any], path: tuple[str | int, ...]) -> Template:
        if len(value) == 1 and next(iter(value)) in _LOOPS:
            ((key, inner),) = value.items()
            return self._loop(key, inner, (*path, key))
        pairs = []
        for key, item in value.items():
            place = (*path, key)
            pairs.append((self._placed(key, place, at_key=True), self.compile(item, place)))
        return lambda scope: {exactjson.spell(key(scope)): item(scope) for key, item in pairs}

    def _loop(self, key: str, inner: Any, path: tuple[str | int, ...]) -> Template:
        """A list with an entry for each; the loop's own ``$symbol`` does not make a frame for each symbol."""
        over = _LOOPS[key]
        outside = over in self.names
        try:
            self._use(over + "s")
        except TemplateError as error:
            error.path, error.at_key = path, True
            raise
        each = self.compile(inner, path)
        if not outside:
            self.names.discard(over)
        if over == "symbol":
            return lambda scope: [each(scope._replace(symbols=(one,))) for one in scope.symbols]
        return lambda scope: [each(scope._replace(topics=(one,))) for one in scope.topics]

    def _text(self, text: str) -> Template:
        if text.startswith("$$"):
            rest = text[1:]
            return lambda scope: rest
        if text.startswith("$"):
            return self._name(text)
        if "{$" not in text:
            return lambda scope: text
        return self._joined(text)

    def _joined(self, text: str) -> Template:
        parts: list[Template] = []
        at = 0
        for place in _INSIDE.finditer(text):
            parts.append(_closed(text[at : place.start()], text, at))
            if place.group(1) == "$$":
                parts.append(_constant("{$" + place.group(2) + "}"))
            else:
                parts.append(self._name_at("$" + place.group(2), place.start() + 1))
            at = place.end()
        parts.append(_closed(text[at:], text, at))
        return lambda scope: "".join([_inline(part(scope)) for part in parts])

    def _name_at(self, name: str, offset: int) -> Template:
        self._place = *self._place[:2], offset
        try:
            return self._name(name)
        except TemplateError as error:
            error.offset = offset
            raise

    def _use(self, name: str) -> None:
        if name not in self.allowed:
            spelled = [_spelled(one) for one in self.allowed]
            raise TemplateError(f"{_spelled(name)} has no meaning here; known: {', '.join(spelled)}")
        self.names.add(name)

    def _name(self, text: str) -> Template:
        found = _WHOLE.match(text)
        name, tail = (found.group(1), found.group(2).removeprefix(".")) if found else (text[1:], "")
        if not found or name not in NAMES or (tail[:1] == "[" and name != "message"):
            names = known(text, [_spelled(one) for one in self.allowed])
            hint = "" if "did you mean" in names else "; a literal $ is written $$"
            raise TemplateError(f"unknown placeholder {short(text)}{names}{hint}")
        self._use(name)
        if name == "symbol":
            return self._symbol(name, tail)
        if name == "symbols" and tail == "count" and tail not in self.parts:
            return lambda scope: len(scope.symbols)
        if name == "topics" and tail == "count":
            return lambda scope: len(scope.topics)
        if name == "symbols":
            one = self._symbol(name, tail)
            return lambda scope: [one(scope._replace(symbols=(symbol,))) for symbol in scope.symbols]
        if name == "state":
            return self._state(tail)
        if name == "message":
            return _message(tail)
        if name == "env":
            return self._variable(tail)
        if tail:
            raise TemplateError(f"${name} has no parts, such as .{tail}")
        return _SIMPLE[name]

    def _symbol(self, name: str, tail: str) -> Template:
        part, _, case = (tail or "native").partition(".")
        if part not in self.parts:
            raise TemplateError(f"${name} has no part .{part}{known(part, self.parts)}")
        if case not in ("", "lower", "upper"):
            raise TemplateError(f"${name}.{part} has no part .{case}{known(case, ('lower', 'upper'))}")
        read = _part(part)

        def render(scope: SendScope) -> Any:
            if not scope.symbols:
                return None
            text = read(scope.symbols[0])
            return text.lower() if case == "lower" else text.upper() if case == "upper" else text

        return render

    def _variable(self, name: str) -> Template:
        if not is_name(name):
            raise TemplateError("an environment variable is written $env.NAME, in capitals")
        path = self._place[0]
        if why := self.refusal(name):
            error = TemplateError(why, "variable")
            error.path, error.at_key, error.offset = self._place
            self.refused.append(error)
        self.variables.setdefault(name, []).append(path)
        return _environment(name, self.headers)

    def _state(self, tail: str) -> Template:
        if not tail:
            raise TemplateError("$state is followed by a name that was captured: $state.NAME")
        self.states.add(re.split(r"[.\[]", tail, maxsplit=1)[0])
        get = _getter(tail)
        nowhere = Scope()

        def state(scope: SendScope) -> Any:
            found = get(dict(scope.state), nowhere)
            if found is None:
                detail = "nothing was captured under that name"
                raise RecordError(None, f"$state.{tail}", None, "missing-field", detail)
            return found

        return state


def _list(items: list[Template]) -> Template:
    return lambda scope: [item(scope) for item in items]


def _spelled(name: str) -> str:
    return _SPELLED.get(name, f"${name}")


def _constant(text: str) -> Template:
    return lambda scope: text


def _closed(text: str, whole: str, at: int) -> Template:
    """Text between placeholders, which must not hold the beginning of one."""
    if "{$" in text:
        error = TemplateError(f"'{short(whole)}' has an open placeholder: it is written {{$name}}")
        error.offset = at + text.index("{$")
        raise error
    return _constant(text)


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
    "signature": lambda scope: scope.sign(scope) if scope.sign else None,
    **PLACES,
}


def _part(name: str) -> Callable[[Symbol], str]:
    if name not in SYMBOL_PARTS:
        return lambda symbol: dict(symbol.parts).get(name, "")
    if name == "lower":
        return lambda symbol: symbol.native.lower()
    if name == "upper":
        return lambda symbol: symbol.native.upper()
    return lambda symbol: str(getattr(symbol, name))


def _getter(text: str) -> Callable[[Any, Scope], Any]:
    try:
        return compile_expression(text).get
    except ExpressionError as error:
        raise TemplateError(str(error), error.code) from None


def _message(tail: str) -> Template:
    get = _getter(tail or "@")
    nowhere = Scope()
    return lambda scope: get(scope.message, nowhere)


def _environment(name: str, header: bool) -> Template:
    """A variable's value, without the white space around it, which a file or a secret's editor left there. One that
    cannot be sent is refused by the variable's name: the value, a key more often than not, is never shown.
    """

    def variable(scope: SendScope) -> Any:
        found = scope.environment.get(name, "").strip()
        if not found:
            raise MissingVariable(name)
        if _CONTROL.search(found):
            raise SettingsError(f"{name} has a line end or another control character in it")
        if header and _BEYOND.search(found):
            raise SettingsError(f"{name} has a character that a header cannot carry")
        if any("\ud800" <= letter <= "\udfff" for letter in found):  # bytes that the system could not read
            raise SettingsError(f"{name} is no UTF-8 text")
        return found

    return variable
