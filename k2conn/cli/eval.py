"""`k2conn eval`: one JMESPath expression, as the engine evaluates it, on exact numbers."""

from __future__ import annotations

import sys
from pathlib import Path

from k2conn import exactjson
from k2conn.cli.messages import show, show_json
from k2conn.compiler.expressions.closures import ExpressionError
from k2conn.compiler.expressions.expressions import compile_expression
from k2conn.errors import RecordError, SettingsError
from k2conn.scope import Scope
from k2conn.tools.recorded_lines import recorded_lines


def run(text: str, file: str, condition: bool) -> int:
    """Evaluates on each line (or on the one JSON text of a file); returns 0, 65 where a value is refused."""
    try:
        expression = compile_expression(text, condition)
    except ExpressionError as error:
        show(text, f"{' ' * error.offset}^", error=True)
        raise SettingsError(str(error)) from None
    code = 0
    for document in _documents(file):
        scope = Scope()
        scope.message = document
        try:
            show_json(expression.get(document, scope))
        except RecordError as error:
            show(f"k2conn: {error.detail}", error=True)
            code = 65
    show(f"speed: {expression.speed}", error=True)
    return code


def _documents(file: str) -> list[object]:
    """The whole text as one document, or else each line as one."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None
    lines = [line for line in recorded_lines(data.split(b"\n"), file) if line.strip()]
    try:
        return [exactjson.decode(b"\n".join(lines))]
    except exactjson.JsonError as whole:
        try:
            return [exactjson.decode(line) for line in lines]
        except exactjson.JsonError:
            raise SettingsError(f"no JSON: {whole}") from None
