"""The reference evaluator: jmespath's own interpreter, which walks the tree for every value.

Not used by a running connector. Tests compare the closures with it (same tree, same functions, another evaluation), and
benchmarks measure against it.
"""

from __future__ import annotations

from typing import Any

from jmespath.exceptions import JMESPathError
from jmespath.visitor import Options, TreeInterpreter

from k2conn.compiler.expressions.functions import ExactFunctions
from k2conn.compiler.expressions.plain_paths import Name
from k2conn.errors import RecordError
from k2conn.plan import Getter
from k2conn.scope import Scope

_ERRORS = (JMESPathError, TypeError, ValueError, ArithmeticError)
"""What the package raises where a value is not of the type that a function or a comparison takes."""


class _Interpreter(TreeInterpreter):
    """jmespath's interpreter, with the engine's names; ``lenient`` as the closures are."""

    def __init__(self, lenient: bool) -> None:
        super().__init__(Options(custom_functions=ExactFunctions()))
        self.scope = Scope()
        self._lenient = lenient

    def visit_field(self, node: Any, value: Any) -> Any:
        name = node["value"]
        if not isinstance(name, Name):
            return super().visit_field(node, value)
        if name == "symbol":
            return self.scope.symbol.described() if self.scope.symbol else None
        return getattr(self.scope, str(name))

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        try:
            return super().visit_function_expression(node, value)
        except _ERRORS:
            if not self._lenient:
                raise
            return False if node["value"] in ("starts_with", "ends_with") else None

    def visit_comparator(self, node: Any, value: Any) -> Any:
        try:
            return super().visit_comparator(node, value)
        except TypeError:
            if not self._lenient:
                raise
            return None


def interpret(node: Any, lenient: bool) -> Getter:
    """A getter that interprets one tree."""
    machine = _Interpreter(lenient)

    def get(value: Any, scope: Scope) -> Any:
        machine.scope = scope
        try:
            return machine.visit(node, value)
        except _ERRORS as error:
            raise RecordError(None, None, None, "bad-type", str(error)) from None

    return get
