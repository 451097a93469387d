"""`k2conn test`: plays the examples of connector files, with a field-by-field difference."""

from __future__ import annotations

from collections.abc import Sequence

from k2conn.cli.check_budget import BudgetExceeded, check_budget
from k2conn.cli.loading import load, shipped
from k2conn.cli.screen import Styled, line, screen
from k2conn.tools.connector_tests import run_test


def run(connectors: Sequence[str], verbose: bool) -> int:
    """Plays all examples; returns 0, or 1 where one fails."""
    console = screen()
    passed = failed = 0
    for name in connectors or [str(path) for path in shipped()]:
        plan = load(name)
        if not plan.tests:
            line(console, Styled(f"{plan.name}: has no tests", "yellow"))
        try:
            with check_budget():
                played = [(example, run_test(plan, example)) for example in plan.tests]
        except BudgetExceeded as error:
            line(console, Styled(str(error.problem(plan.path)), "red"))
            failed += 1
            continue
        for example, differences in played:
            passed += not differences
            failed += bool(differences)
            if differences or verbose:
                mark = Styled("fails", "red") if differences else Styled("passes", "green")
                line(console, mark, f" {plan.path}:{example.line}: {example.name}")
            for one in differences:
                line(console, f"    line {one.line}, {one.what}")
                line(console, Styled(f"      expected {one.expected}", "green"))
                line(console, Styled(f"      found    {one.found}", "red"))
    line(console, f"{passed} passed, {failed} failed")
    return 1 if failed else 0
