"""From messages to records: what is not known yet is waited for, in order; what is of no use is asked for again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from k2conn import native
from k2conn.avro import load_schema
from k2conn.consumer.decoding import decoded
from k2conn.consumer.writer_schemas import MOST, REFUSED_FOR, UnusableSchema, WriterSchemas
from k2conn.errors import RecordError, SinkError, Unreachable
from k2conn.sinks.kafka.registry import OtherKind
from tests.support.in_c import both_ways
from tests.support.topics import trades

in_c = both_ways("well_formed")
assert hasattr(native, "well_formed")


class Said:
    """A registry that says what it is told to."""

    url = "http://registry"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[int] = []

    def schema(self, number: int) -> str | None:
        self.asked.append(number)
        answer = self.answers.get(f"s{number}")
        if isinstance(answer, Exception):
            raise answer
        return answer


def schemas(now: list[float], **answers: Any) -> WriterSchemas:
    return WriterSchemas(Said(**answers), now=lambda: now[0])  # type: ignore[arg-type] # stands in for one


def framed(number: int, body: bytes) -> Any:
    return SimpleNamespace(value=b"\0" + number.to_bytes(4, "big") + body)


def test_records_up_to_one_whose_schema_is_not_known() -> None:
    known = schemas([0.0], s1=load_schema("trade").text, s2=load_schema("trade").text)
    one, two, three, four = trades(range(4))
    messages = [framed(1, one), framed(1, two), framed(2, three), framed(1, four)]
    assert decoded(messages, known) == ([], messages[0].value[:5])
    known.keep(messages[0].value[:5], known.ask(messages[0].value[:5]))
    found, head = decoded(messages, known)
    assert ([item.body for item in found], head) == ([one, two], messages[2].value[:5])
    known.keep(head, known.ask(head))
    found, head = decoded(messages[2:], known)
    assert ([item.body for item in found], head) == ([three, four], b"")


def test_a_bad_one_among_good_ones() -> None:
    known = schemas([0.0], s1=load_schema("trade").text)
    bodies = trades(range(5))
    messages = [framed(1, body) for body in bodies]
    messages[1].value += b"\0"
    messages[3].value = messages[3].value[:-1]
    known.keep(messages[0].value[:5], known.ask(messages[0].value[:5]))
    found, _ = decoded(messages, known)
    assert [item.body for item in found[::2]] == bodies[::2]
    assert all(isinstance(item.body, RecordError) and item.body.reason == "malformed-frame" for item in found[1::2])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(None, "knows no schema 1"), (OtherKind("schema 1 is of the kind JSON, not AVRO"), "JSON"), ("{", "no JSON"),
     ('{"type": "record", "name": "X", "fields": []}', "of X, which is no record type")],
)
def test_a_schema_of_no_use_is_asked_for_again_later(answer: Any, reason: str) -> None:
    now = [0.0]
    known, head = schemas(now, s1=answer), b"\0\0\0\0\1"
    found = known.ask(head)
    assert isinstance(found, UnusableSchema)
    assert reason in found.reason
    known.keep(head, found)
    letters, _ = decoded([framed(1, b"x")], known)
    assert isinstance(letters[0].body, RecordError)
    assert letters[0].body.reason == "unknown-schema"
    now[0] = REFUSED_FOR + 1
    assert decoded([framed(1, b"x")], known) == ([], head)


@pytest.mark.parametrize("error", [Unreachable("away"), SinkError("401")])
def test_a_registry_that_does_not_say_is_no_answer(error: Exception) -> None:
    with pytest.raises(type(error)):
        schemas([0.0], s1=error).ask(b"\0\0\0\0\1")


def test_what_is_remembered_is_bounded() -> None:
    known = schemas([0.0])
    for number in range(MOST + 10):
        known.keep(number.to_bytes(5, "big"), UnusableSchema("x", 9.0))
    assert known.get((5).to_bytes(5, "big")) is None
    assert known.get((MOST + 9).to_bytes(5, "big")) is not None
