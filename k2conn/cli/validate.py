"""`k2conn validate`: is a connector file right? Problems of YAML, shape and meaning, and examples that do not map."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from k2conn.cli.allowed_variables import readable
from k2conn.cli.check_budget import BudgetExceeded, check_budget
from k2conn.cli.host_list import host_text, listed_hosts
from k2conn.cli.loading import find, secure
from k2conn.cli.messages import show, show_json
from k2conn.cli.variable_list import listed_variables, variable_lines
from k2conn.compiler.compiler import check_file
from k2conn.compiler.language.document import MAX_PROBLEMS
from k2conn.compiler.language.problems import Problem
from k2conn.engine.planning.forecast import broken_limits, forecast
from k2conn.errors import SettingsError, SpecError
from k2conn.plan import Plan
from k2conn.tools.connector_tests import run_test


class CheckedFile(NamedTuple):
    """A file's plan, or all its problems. What may be meant otherwise is also there where only examples do not map: it
    is often the reason.
    """

    plan: Plan | None
    problems: list[Problem]
    warnings: Sequence[str] = ()


def check(path: Path) -> CheckedFile:
    """Checks a file; a plan's examples have been played."""
    try:
        with check_budget():
            return _checked(path)
    except BudgetExceeded as error:
        return CheckedFile(None, [error.problem(str(path))])


def _checked(path: Path) -> CheckedFile:
    plan, problems = check_file(path, secure, readable())
    if plan is None:
        return CheckedFile(None, problems)
    defaults = [found for name in plan.symbols.default if (found := plan.symbols.resolve(name))]
    for broken in broken_limits(plan, forecast(plan, [s for s in plan.streams if s.default], defaults)):
        problems.append(Problem(str(path), 1, 1, "limit", f"the default symbols break a declared limit: {broken}"))
    for example in plan.tests:
        for difference in run_test(plan, example):
            text = f"example '{example.name}': {difference}"
            problems.append(Problem(str(path), difference.line, 1, "example", text))
        if len(problems) >= MAX_PROBLEMS:
            more = f"{MAX_PROBLEMS} problems or more: solve these, then the others are shown"
            problems[MAX_PROBLEMS - 1 :] = [Problem(str(path), example.line, 1, "too-many", more)]
            break
    return CheckedFile(None if problems else plan, sorted(problems), plan.warnings)


def run(files: Sequence[str], output: str) -> int:
    """Checks files; returns 0, or 78 where there are problems."""
    if output not in ("text", "json"):
        raise SettingsError(f"--format {output}: known are text, json")
    problems: list[Problem] = []
    warnings: list[str] = []
    variables: list[dict[str, object]] = []
    hosts: list[dict[str, object]] = []
    reads: list[str] = []
    good = 0
    for name in files:
        plan, found, odd = check(find(name))
        if plan is not None:
            variables += listed_variables(plan, os.environ)
            hosts += listed_hosts(plan)
            reads.append(f"{plan.path}: talks to {host_text(plan)}")
            reads += [f"{plan.path}: reads {one}" for one in variable_lines(plan, os.environ)]
        problems += found
        warnings += odd
        good += plan is not None
    if output == "json":
        show_json({"hosts": hosts, "problems": [problem.plain() for problem in problems], "valid": good,
                   "variables": variables, "warnings": warnings})
        return SpecError.exit_code if problems else 0
    show(*map(str, problems), *warnings, *reads)
    show(f"{good} of {len(files)} connector files are valid", error=True)
    return SpecError.exit_code if problems else 0
