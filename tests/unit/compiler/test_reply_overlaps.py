"""A step's `accepted` and `refused` are compared: what is certainly both is refused, what may be is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from k2conn.compiler.compiler import check_file, check_text
from tests.paths import ROOT
from tests.support.plans import HEAD, STREAMS

CONNECTION = """
connection:
  url: wss://venue.example/ws
  steps:
    - send: {{op: sub, symbols: $symbols, id: $counter}}
      for: trade
      expect: {{accepted: {accepted}, refused: {refused}}}
"""


def said(accepted: str, refused: str) -> tuple[list[str], list[str]]:
    """The texts of problems and of warnings about the two."""
    text = HEAD + CONNECTION.format(accepted=accepted, refused=refused) + STREAMS
    plan, problems = check_text("venue.yaml", text, Path())
    warnings = plan.warnings if plan is not None else ()
    return [one.text for one in problems], [one for one in warnings if "and counts as refused" in one]


@pytest.mark.parametrize(("accepted", "refused"), [
    ("{ok: true}", "{ok: false}"),
    ("{ok: true, id: $present}", "{error: $present, ok: $absent}"),
    ("{event: subscribed}", "{event: [error, alert]}"),
    ("{result: $present, error: $absent}", "{error: $present}"),
    ("{result: null, id: $present}", "{result: $missing, code: $present}"),
    ("{result: null, id: $present}", "error || code"),
    ("{result: ok}", "{result.error: $present}"),
    ('{"[0]": ok}', '{"[0]": error}'),
    ("{id: $present, code: 0}", "id && code && code != `0`"),
    ("event == 'a'", "event == 'b'"),
])
def test_replies_that_can_be_told_apart(accepted: str, refused: str) -> None:
    assert said(accepted, refused) == ([], [])


@pytest.mark.parametrize(("accepted", "refused", "reply"), [
    ("{result: null, id: $present}", "{id: $present}", '{"result":null,"id":1}'),
    ("{event: sub}", "{event: sub, error: $present}", '{"event":"sub","error":1}'),
    ("{event: sub, topic: x}", "event == 'sub'", '{"event":"sub","topic":"x"}'),
    ("id", "{id: $present, code: $present}", '{"id":1,"code":1}'),
])
def test_one_that_holds_whenever_the_other_does_is_refused_with_a_reply_as_the_proof(
    accepted: str, refused: str, reply: str
) -> None:
    (problem,), _ = said(accepted, refused)
    assert reply in problem
    assert "accepted" in problem
    assert "refused" in problem


def test_replies_that_may_be_both_are_said_and_the_file_can_be_used() -> None:
    problems, (warning,) = said("{id: $present, result: $present}", "{error: $present}")
    assert problems == []
    assert warning.startswith("venue.yaml:")
    assert ': warning[value]: a reply such as {"id":1,"result":1,"error":1} is both `accepted` and `refused`' in warning


def test_no_shipped_file_leaves_it_open() -> None:
    for path in sorted((ROOT / "connectors").glob("*.yaml")):
        plan, problems = check_file(path)
        assert plan is not None, problems
        assert plan.warnings == (), path.name
