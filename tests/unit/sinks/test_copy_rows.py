"""Records as rows of a binary COPY: C and Python say the same bytes, and no body is more than a refusal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2conn import native
from k2conn.avro import load_schema
from k2conn.sinks.batching import BatchRefused
from k2conn.sinks.postgres.rows import HEAD, TAIL, RowFormat, numeric
from tests.support.every_kind import ALL, RECORDS
from tests.support.sinks import TRADE, trade

both = pytest.mark.skipif(native.rows is None, reason="k2conn/native is not built here (no C compiler)")


def in_python(form: RowFormat, bodies: list[bytes]) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "rows", None)
        return form.rows(bodies)


@both
@given(st.lists(RECORDS, max_size=4), st.lists(st.sampled_from([field.name for field in ALL.fields]), max_size=3))
def test_c_and_python_say_the_same_in_the_same_order(records: list[tuple[Any, ...]], key: list[str]) -> None:
    form, bodies = RowFormat(ALL, key), [ALL.encode(record) for record in records]
    assert native.rows(form._columns, tuple(bodies), form._keys) == in_python(form, bodies)


@both
@given(RECORDS, st.data())
def test_a_damaged_body_is_refused_or_read_the_same(record: tuple[Any, ...], data: st.DataObject) -> None:
    """Cut short, lengthened, or with a byte changed: no more is read than is there (see also the sanitizers)."""
    body, form = bytearray(ALL.encode(record)), RowFormat(ALL)
    what = data.draw(st.sampled_from(["cut", "longer", "changed"]))
    at = data.draw(st.integers(0, len(body) - 1))
    if what == "cut":
        del body[at:]
    elif what == "longer":
        body += b"\0"
    else:
        body[at] = data.draw(st.integers(0, 255))
    made = native.rows(form._columns, (bytes(body),), ())
    if what != "changed":
        assert made is None
        with pytest.raises(BatchRefused):
            form.rows([bytes(body)])
        return
    try:
        known = in_python(form, [bytes(body)])
    except BatchRefused:
        known = None
    assert made is None or made == known


@both
def test_text_that_is_no_utf_8_and_a_key_that_is_there_twice_are_left_to_python() -> None:
    record: tuple[Any, ...] = (
        "00112233-4455-6677-8899-aabbccddeeff", "text", "t", b"\xff", None, 0, None, 0, 0, None, 0, None, 0, 0, "A",
        ["in texts"], {"key": "in more"},
    )
    form, body = RowFormat(ALL), ALL.encode(record)
    for text in (b"\x08text", b"\x10in texts", b"\x06key", b"\x0ein more"):
        assert body.count(text) == 1
        wrong = body.replace(text, text[:-1] + b"\xff")
        assert native.rows(form._columns, (wrong,), ()) is None
        with pytest.raises(BatchRefused):
            form.rows([wrong])
    twice = body.replace(b"\x02\x06key\x0ein more", b"\x04\x06key\x02x\x06key\x02y")
    assert native.rows(form._columns, (twice,), ()) is None
    assert b'\x01{"key":"y"}' in form.rows([twice])
    many = ALL.encode((*record[:-1], {str(number): "v" for number in range(100)}))
    assert native.rows(form._columns, (many,), ()) is None
    assert form.rows([many]) == in_python(form, [many])


@both
def test_arguments_of_other_types_are_errors() -> None:
    columns = RowFormat(load_schema("trade"))._columns
    for wrong in ((), (columns,), (columns, [b""]), (list(columns), (b"",)), (columns, ("",)),
                  ((1,), (b"",)),
                  (((99, 0, 0, 0, 0, ()),), (b"",)), (((10, 0, 0, 0, 0, ("a",)),), (b"\0",)),
                  (((9, 0, 0, 1, -1, ()),), (b"",)),
                  (((9, 0, 0, 1, 2, ()),), (b"",)), (((0, 0, 0, 0, 0, ()),) * 300, (b"",))):
        with pytest.raises((TypeError, ValueError)):
            native.rows(*wrong, *([()] if len(wrong) == 2 else []))
    for keys in ([0], (len(columns),), (-1,), ("0",), (0,) * 9):
        with pytest.raises((TypeError, ValueError)):
            native.rows(columns, (b"",), keys)


def test_rows_are_in_the_order_of_their_key_and_stay_as_they_came_where_it_is_the_same() -> None:
    """Without it, two that write the same keys could wait for each other in a circle."""
    ids = [3, 1, 2, 1]
    bodies = [trade(at, "t", message_id=str(UUID(int=one))).value for at, one in enumerate(ids)]
    form, plain = RowFormat(load_schema("trade"), ["message_id"]), RowFormat(load_schema("trade"))
    assert form.rows(bodies) == plain.rows([bodies[at] for at in (1, 3, 2, 0)])


@pytest.mark.parametrize(
    ("unscaled", "scale", "digits", "weight"),
    [
        (0, 8, [0, 0], -1),
        (1, 8, [0, 1], -1),
        (6_400_010_000_000, 8, [6, 4000, 1000, 0], 1),
        (12_345, 0, [1, 2345], 1),
        (12_345, 5, [1234, 5000], -1),
        (-10_000 * 10**8, 8, [1, 0, 0, 0], 1),
    ],
)
def test_a_numeric_is_written_in_digits_to_the_base_10000(
    unscaled: int, scale: int, digits: list[int], weight: int
) -> None:
    words = [int.from_bytes(numeric(unscaled, scale)[at : at + 2], "big") for at in range(4, 12 + 2 * len(digits), 2)]
    assert words == [len(digits), weight % 65536, 0x4000 if unscaled < 0 else 0, scale, *digits]


def test_no_row_is_a_copy_of_nothing() -> None:
    assert RowFormat(load_schema("trade")).rows([]) == HEAD + TAIL


@pytest.mark.parametrize("in_c", [True, False])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"message_id": "no uuid"}, "message_id: 'no uuid' is no UUID"),
        ({"message_id": "x" * 36}, "message_id: badly formed"),
        ({"timestamp": -(2**63)}, "timestamp: "),
    ],
)
def test_what_fits_no_column_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, in_c: bool, fields: dict[str, Any], words: str
) -> None:
    if not in_c:
        monkeypatch.setattr(native, "rows", None)
    with pytest.raises(BatchRefused, match=words):
        RowFormat(load_schema("trade")).rows([trade(1, "t").value, trade(2, "t", **fields).value])


def test_a_decimal_of_38_digits_is_not_rounded_on_its_way() -> None:
    schema = load_schema("candle")
    assert Decimal(10**38 - 1) != +Decimal(10**38 - 1), "the context would round it"
    assert schema.fields[schema.index("volume")].precision == 38
    assert numeric(10**38 - 1, 18).count((9999).to_bytes(2, "big")) == 9
    assert TRADE["price"] == 6_400_010_000_000
