"""How many accounts a connector's ledger has: enough for the symbols that are asked for, few for names nobody knows."""

from __future__ import annotations

import pytest

from k2conn.engine.accounting.ledger import MOST_SYMBOLS
from k2conn.runner import Job, Overrides
from k2conn.runner.connector import NAMED, state_for
from tests.support.plans import plan_of

STREAMS = 2
"""Of the plan."""


@pytest.mark.parametrize(
    ("symbols", "given", "accounts", "listed"),
    [
        (None, None, NAMED, MOST_SYMBOLS),
        (("BTC-USD",), None, NAMED, MOST_SYMBOLS),
        (("all",), None, MOST_SYMBOLS, MOST_SYMBOLS),
        (tuple(f"S{n}-USD" for n in range(3000)), None, 2 * 3000 * STREAMS, MOST_SYMBOLS),
        (("BTC-USD",), 7, 7, 7),
    ],
)
def test_as_many_as_the_symbols_need(
    symbols: tuple[str, ...] | None, given: int | None, accounts: int, listed: int
) -> None:
    state = state_for(Job(plan_of(), symbols, overrides=Overrides(most_symbols=given)))
    assert state.ledger.most == accounts
    assert state.most_listed == listed
    assert all(mapping.contexts.most == accounts for mapping in state.mappings.values())
    assert state.for_plan(plan_of()).most_listed == listed
