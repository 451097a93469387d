"""Ids: the UUIDv5 that anybody can compute, and numbers among equal rows."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from k2conn.engine.identity.message_ids import NAMESPACE, MessageIds, Ordinals


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_id_is_the_uuid5_of_the_documented_text(identity: str) -> None:
    made = MessageIds("VENUE", "trade", "BTCUSD").make(identity)
    assert made == str(uuid.uuid5(NAMESPACE, f"VENUE|trade|BTCUSD|{identity}"))
    assert uuid.UUID(made).version == 5
    assert uuid.UUID(made).variant == uuid.RFC_4122


def test_the_namespace_never_changes() -> None:
    assert str(NAMESPACE) == str(uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/k2conn/k2conn/message_id"))
    assert MessageIds("KRAKEN", "trade", "BTCUSD").make("42") == FIRST


FIRST = "0ca4cfd6-a63e-50ba-8d33-640038f231af"


def test_equal_rows_are_numbered() -> None:
    ordinals = Ordinals()
    assert [ordinals.number(row) for row in "aabab"] == [0, 1, 0, 2, 1]


def test_only_the_latest_rows_are_remembered() -> None:
    ordinals = Ordinals(limit=2)
    for row in "abcde":
        ordinals.number(row)
    assert ordinals.number("a") == 0
    assert ordinals.number("c") == 1
