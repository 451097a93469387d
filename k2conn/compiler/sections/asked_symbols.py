"""Compiles what `symbols` says of those that are asked for: the venue's word for `all`, and what becomes of those that
are `unlisted`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from k2conn.compiler.language.problems import short
from k2conn.compiler.sections.context import CompileContext
from k2conn.plan import SymbolRule


def with_asked_symbols(rule: SymbolRule, said: dict[str, Any], note: CompileContext) -> SymbolRule:
    """The rule with both; ``said`` is all that `symbols` says."""
    if "unlisted" in said and "list" not in said:
        text = "`unlisted` is about what the venue's list does not have: say `list:`"
        note(("symbols", "unlisted"), "missing", text, at_key=True)
    every = said.get("all", "")
    if every and (rule.resolve(every) is not None or every in said["default"]):
        text = f"'{short(every)}' is a symbol by the rules of this file: the word for all must not be one"
        note(("symbols", "all"), "value", text)
    return replace(rule, all=every, unlisted=said.get("unlisted", "try"))
