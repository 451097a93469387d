"""The condition of a listener, compiled as those of connector files are: bounded, on exact numbers."""

from __future__ import annotations

from k2conn.compiler.expressions.closures import ExpressionError
from k2conn.compiler.expressions.expressions import compile_expression
from k2conn.errors import SettingsError
from k2conn.monitoring.tap.query import Condition
from k2conn.scope import Json, Scope

LONGEST = 2000
"""Characters of a condition."""


def compiled_condition(text: str) -> Condition:
    """A condition on the lines of `/tap`. SettingsError where the text is none."""
    if len(text) > LONGEST:
        raise SettingsError(f"more than {LONGEST} characters")
    try:
        expression = compile_expression(text, True)
    except ExpressionError as error:
        raise SettingsError(str(error)) from None

    def holds(line: Json, scope: Scope) -> bool:
        scope.message = line
        found = expression.get(line, scope)
        return found is not None and found is not False and found != "" and found != [] and found != {}

    return holds
