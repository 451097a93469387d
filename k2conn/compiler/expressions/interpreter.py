"""The reference evaluator: jmespath's own interpreter, which walks the tree for every value.

Not used by a running connector. Tests compare the closures with it (same tree, same functions, another evaluation), and
benchmarks measure against it.
"""

from __future__ import annotations

from typing import Any

from jmespath.exceptions import JMESPathError
from jmespath.visitor import Options, TreeInterpreter

from k2conn.compiler.expressions.closures import Name
from k2conn.compiler.expressions.functions import ExactFunctions
from k2conn.errors import RecordError
from k2conn.plan import Getter
from k2conn.scope import Scope


class _Interpreter(TreeInterpreter):
    """jmespath's interpreter, with the engine's names."""

    def __init__(self) -> None:
        super().__init__(Options(custom_functions=ExactFunctions()))
        self.scope = Scope()

    def visit_field(self, node: Any, value: Any) -> Any:
        name = node["value"]
        if not isinstance(name, Name):
            return super().visit_field(node, value)
        if name == "symbol":
            return self.scope.symbol._asdict() if self.scope.symbol else None
        return getattr(self.scope, str(name))


def interpret(node: Any, lenient: bool) -> Getter:
    """A getter that interprets one tree."""
    machine = _Interpreter()

    def get(value: Any, scope: Scope) -> Any:
        machine.scope = scope
        try:
            return machine.visit(node, value)
        except JMESPathError as error:
            if lenient:
                return None
            raise RecordError(None, None, None, "bad-type", str(error)) from None
        except TypeError as error:
            if lenient:
                return None
            raise RecordError(None, None, None, "bad-type", str(error)) from None

    return get
