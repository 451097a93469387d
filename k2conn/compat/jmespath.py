"""What jmespath's parser and functions are told that their public side has no words for: exact numbers (the package
makes binary floats of them), and the engine's own names, which start with ``$``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, ClassVar

from jmespath import exceptions, functions, lexer, parser

from k2conn import exactjson

VERSIONS = ">=1.1,<2"


def parse(text: str, name: Callable[[str], Any]) -> Any:
    """The tree of an expression; ``name`` makes its node of a name that starts with ``$`` (without that). Raises
    JMESPathError.
    """
    return _Parser().read(text, name)


class _Lexer(lexer.Lexer):
    """The package's lexer, with exact numbers and with names that start with ``$``."""

    START_IDENTIFIER = lexer.Lexer.START_IDENTIFIER | {"$"}

    def __init__(self, name: Callable[[str], Any]) -> None:
        super().__init__()
        self._name = name

    def tokenize(self, expression: str) -> Iterator[Any]:
        for token in super().tokenize(expression):
            if token["type"] == "unquoted_identifier" and token["value"].startswith("$"):
                token = {**token, "value": self._name(token["value"][1:])}
            yield token

    def _consume_literal(self) -> Any:
        """A literal with exact numbers (the package's own would make a binary float of them)."""
        inner: Any = self
        start = inner._position
        lexeme = inner._consume_until("`").replace("\\`", "`")
        for text in (lexeme, f'"{lexeme.lstrip()}"'):
            try:
                value = exactjson.decode(text)
            except exactjson.JsonError:
                continue
            return {"type": "literal", "value": value, "start": start, "end": inner._position - start}
        raise exceptions.LexerError(start, inner._expression[start:], f"`{lexeme}` is no JSON value")


class _Parser(parser.Parser):
    """The package's parser over our lexer, without its cache of trees."""

    _CACHE: ClassVar[dict[str, Any]] = {}

    def read(self, text: str, name: Callable[[str], Any]) -> Any:
        """The tree of one text."""
        self.tokenizer = _Lexer(name).tokenize(text)
        self._tokens = list(self.tokenizer)
        self._index = 0
        inner: Any = self
        parsed = inner._expression(binding_power=0)
        if inner._current_token() != "eof":
            token = inner._lookahead_token(0)
            raise exceptions.ParseError(token["start"], token["value"], token["type"], "unexpected")
        return parsed


class DecimalFunctions(functions.Functions):
    """The standard functions, which take a Decimal where they take a number."""

    def _get_allowed_pytypes(self, types: Any) -> Any:
        inherited: Any = super()
        allowed, allowed_subtypes = inherited._get_allowed_pytypes(types)
        if "float" in allowed:
            allowed = [*allowed, "Decimal"]
        return allowed, [(*names, "Decimal") if "float" in names else names for names in allowed_subtypes]

    def _convert_to_jmespath_type(self, pyobject: str) -> Any:
        inherited: Any = super()
        return "number" if pyobject == "Decimal" else inherited._convert_to_jmespath_type(pyobject)

    @functions.signature({"types": []})
    def _func_type(self, arg: Any) -> Any:
        inherited: Any = super()
        return "number" if isinstance(arg, Decimal) else inherited._func_type(arg)
