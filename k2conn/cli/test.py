"""`k2conn test`: plays the examples of connector files, with a field-by-field difference."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from k2conn.cli.loading import load, shipped
from k2conn.tools.connector_tests import run_test


def run(connectors: Sequence[str], verbose: bool) -> int:
    """Plays all examples; returns 0, or 1 where one fails."""
    console = Console(highlight=False)
    passed = failed = 0
    for name in connectors or [str(path) for path in shipped()]:
        plan = load(name)
        if not plan.tests:
            console.print(f"[yellow]{plan.name}: has no tests[/]")
        for example in plan.tests:
            differences = run_test(plan, example)
            passed += not differences
            failed += bool(differences)
            if differences or verbose:
                mark = "[red]fails[/]" if differences else "[green]passes[/]"
                console.print(f"{mark} {plan.path}:{example.line}: {example.name}")
            for one in differences:
                console.print(f"    line {one.line}, {one.what}")
                console.print(f"      [green]expected {one.expected}[/]", markup=True)
                console.print(f"      [red]found    {one.found}[/]", markup=True)
    console.print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
