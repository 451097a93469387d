"""`k2conn test`: plays the examples of connector files, with a field-by-field difference."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from k2conn import exactjson
from k2conn.batch.replayed_sessions import mapped
from k2conn.cli.check_budget import BudgetExceeded, check_budget
from k2conn.cli.loading import load, load_connected, shipped
from k2conn.cli.screen import Console, Styled, line, screen
from k2conn.engine.accounting.ledger import equation, total
from k2conn.engine.connector_state import ConnectorState
from k2conn.plan import Plan
from k2conn.recording.reader import Recording
from k2conn.tools.connector_tests import run_test
from k2conn.tools.letter_places import letter_place

_SHOWN = 5
"""Dead letters that are shown."""


def run(connectors: Sequence[str], verbose: bool, recording: Path | None = None) -> int:
    """Plays all examples, or a recording; returns 0, or 1 where one fails."""
    console = screen()
    if recording is not None:
        names = connectors or list(Recording([recording]).connectors())
        return max([_on_recording(console, load_connected(name), recording) for name in names], default=1)
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


def _on_recording(console: Console, plan: Plan, path: Path) -> int:
    """Whether every frame of a recording is understood: none is malformed or unrecognised, no item a dead letter."""
    recording = Recording([path])
    states: dict[int, ConnectorState] = {}
    letters: list[str] = []
    for _, envelopes, state in mapped(recording, plan, None, os.environ):
        states[id(state)] = state
        for one in envelopes:
            if one.account is not None:
                one.account.settled(one.dead)
            if one.dead and len(letters) < 2 * _SHOWN:
                letter = one.value.decode("utf-8", "replace")
                where = letter_place(plan, exactjson.decode(one.value))
                letters += [letter, f"  {where}"] if where else [letter]
    ledgers = [one.ledger for one in states.values()]
    frames, unknown = sum(one.frames for one in ledgers), sum(one.unrecognised for one in ledgers)
    totals = total(one.totals() for one in ledgers)
    failed = bool(unknown or totals["dead_letters"] or not totals["published"])
    mark = Styled("fails", "red") if failed else Styled("passes", "green")
    line(console, mark, f" {plan.name} on {path}: frames {frames}, unrecognised {unknown}; {equation(totals)}")
    for text in letters:
        line(console, f"    {text}")
    for text in recording.troubles:
        line(console, Styled(f"    {text}", "yellow"))
    return 1 if failed else 0
