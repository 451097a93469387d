"""Plain paths, signatures of routes and carried numbers: C gives what the Python beside it gives."""

from __future__ import annotations

import gc
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2conn import native
from k2conn.avro import fixed_bytes
from k2conn.compat.jmespath import parse
from k2conn.compiler.converters.decimals import decimals, plain_decimal, quick_rounded
from k2conn.compiler.expressions.closures import ClosureCompiler
from k2conn.compiler.expressions.plain_paths import Name
from k2conn.engine.conversation.routing import _signature
from k2conn.engine.mapping.native_mapper import CONVERSION_ERRORS
from k2conn.scope import Scope
from tests.unit.engine.test_native import DECIMAL, STRING, mapper_of, message_id
from tests.unit.engine.test_native import KINDS as HOWS
from tests.unit.engine.test_native import at as place

pytestmark = pytest.mark.skipif(native.Getter is None, reason="k2conn/native is not built here (no C compiler)")

KEYS = ("a", "b", "c")
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["", "a", "x", "ping"]),
    st.sampled_from([Decimal("0"), Decimal("1.0"), Decimal("-7.25")]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=12,
)
PATHS = st.sampled_from([
    "a", "a.b", "a.b.c", "[0]", "[-1]", "[1].a", "a[0].b[-2]", "@", "$message", "$message.a", "$message[0].b",
    "$state.a", "$key", "$received_at", "a || b", "a.b || b.a || c", "a || $message.a || $key", "$state.a.b || c",
    "a | [0]", "a.b.c.a.b.c.a.b.c.a", "a || b || c || a.b || a.c", "[99999999999999999999]", "$parent.a", "a[0][0][0]",
    "a[?[1] != 'x'] | [0]", "a[?[0] != 'a'] | [0][1]", "@[?[0] != 'x'] | [0]", "$message[?[0] != ''] | [0][0] || b",
    "a.b[?[1] != 'ping'] | [0].a", "a[?[0] != 'a'] | [1]", "a[?[0] == 'a'] | [0]", "a[?[-1] != 'a'] | [0]",
])


def by_closures(monkeypatch: pytest.MonkeyPatch, text: str) -> Any:
    with monkeypatch.context() as inside:
        inside.setattr(native, "Getter", None)
        found = ClosureCompiler(True).compile(parse(text, Name))
    assert type(found).__name__ == "function"
    return found


def scope_of(message: Any, state: Any, key: str | None) -> Scope:
    found = Scope({"a": state, "b": 1})
    found.message, found.key, found.parent, found.received_at = message, key, message, 5
    return found


@settings(max_examples=400)
@given(PATHS, VALUES, VALUES, VALUES, st.none() | st.just("k"))
def test_a_path_leads_where_the_closures_lead(text: str, value: Any, message: Any, state: Any, key: Any) -> None:
    scope = scope_of(message, state, key)
    found = ClosureCompiler(True).compile(parse(text, Name))(value, scope)
    with pytest.MonkeyPatch.context() as monkeypatch:
        wanted = by_closures(monkeypatch, text)(value, scope)
    assert found is wanted or (found == wanted and type(found) is type(wanted))


@pytest.mark.parametrize(("text", "in_c"), [
    ("a.b", True), ("a || b", True), ("$key", True), ("a[*].b", False), ("a.b.c.a.b.c.a.b.c", False),
    ("a[?[1] != '0'] | [0][0]", True), ("a[?[1] == '0'] | [0][0]", False), ("a[?[1] != '\u00e9'] | [0]", False),
    ("$parent.a", False), ("$symbol.base", False), ("a == 'x'", False), ("length(a)", False),
    ("a || b || c || a.b || a.c", False),
])
def test_which_are_in_c(text: str, in_c: bool) -> None:
    assert (type(ClosureCompiler(True).compile(parse(text, Name))) is native.Getter) is in_c


LEAF = st.tuples(
    st.sampled_from(["a", "b", "a.b", "[0]", "$state.a"]), st.booleans(),
    st.none() | st.frozensets(st.integers(-2, 2) | st.booleans() | st.sampled_from(["a", "ping", ""]), max_size=3),
)


@settings(max_examples=250)
@given(st.lists(st.tuples(LEAF, st.booleans()), max_size=4), VALUES, VALUES)
def test_a_signature_is_the_routers(said: list[Any], message: Any, state: Any) -> None:
    scope = scope_of(message, state, None)
    leaves = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        for (text, presence, wanted), in_python in said:
            get = by_closures(monkeypatch, text) if in_python else ClosureCompiler(True).compile(parse(text, Name))
            leaves.append((get, presence, wanted))
    found, wanted = native.Signature(tuple(leaves))(message, scope), _signature(tuple(leaves))(message, scope)
    assert repr(found) == repr(wanted)  # 1, True and Decimal(1) are equal
    assert hash(found) == hash(wanted)


def test_what_a_getter_raises_goes_on() -> None:
    def broken(message: Any, scope: Any) -> Any:
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        native.Signature(((broken, False, None),))({}, Scope())
    with pytest.raises(AttributeError):
        native.Getter(((1, ("a",)),))({}, None)
    with pytest.raises(TypeError):
        native.Getter(((0, ("a",)),))({})


@pytest.mark.parametrize("described", [
    (), ((9, ("a",)),), ((0, ("a",) * 9),), ((0, (1.5,)),), ((0, (2**80,)),), (5,), ((0, ["a"]),), ((0, ("a",)),) * 5,
])
def test_no_path(described: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        native.Getter(described)


@pytest.mark.parametrize("described", [
    (5,), ((len, True),), ((5, True, None),), ((len, True, {1}),), ((len, 1, None),) * 65,
])
def test_no_signature(described: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        native.Signature(described)


# -- carried numbers

NUMBERS = st.one_of(
    st.none(), st.just(""), st.integers(-3, 10**12), st.from_regex(r"-?[0-9]{0,12}(\.[0-9]{0,12})?", fullmatch=True),
    st.decimals(allow_nan=True, allow_infinity=True), st.booleans(), st.lists(st.integers(), max_size=1),
)
CONVERT, HOW = decimals(8, 18), plain_decimal(8, 18)
KINDS = {"decimal": 1, "magnitude": 9, "signed": 10}


def carried(*keys: str | None) -> Any:
    assert HOW is not None
    return native.Carried(tuple(
        key and (((0, (key,)),), CONVERT, CONVERT, KINDS[HOW.kind], HOW.scale, HOW.factor, HOW.least, HOW.below, None)
        for key in keys
    ))


@settings(max_examples=250)
@given(st.dictionaries(st.sampled_from(KEYS), NUMBERS), st.lists(st.none() | st.just(7), min_size=3, max_size=3))
def test_numbers_are_moved_as_by_their_converters(item: dict[str, Any], before: list[Any]) -> None:
    now = list(before)
    left = carried("a", None, "b").move(now, item, Scope())
    assert left >> 1 & 1, "nobody has told C of it"
    for at, key in ((0, "a"), (2, "b")):
        value = item.get(key)
        if value is None or value == "":
            assert bool(left >> at & 1) is (before[at] is None)
            assert now[at] is before[at]
        elif left >> at & 1:
            assert now[at] is before[at]
        else:
            assert now[at] == CONVERT(value)
        if type(value) is str and not left >> at & 1 and value:
            continue
        if type(value) is int and 0 <= value < 10**9:
            assert not left >> at & 1, "an everyday number is C's"
    assert now[1] is before[1]


def test_what_is_no_carried_number() -> None:
    with pytest.raises(TypeError):
        carried("a").move([1, 2], {}, Scope())
    with pytest.raises(TypeError):
        carried("a").move((1,), {}, Scope())
    with pytest.raises(ValueError, match="numbers"):
        native.Carried(((((0, ("a",)),), int, int, 3, 0, 1, 0, 2**62, None),))
    with pytest.raises(ValueError, match="too many"):
        native.Carried((None,) * 33)
    with pytest.raises(AttributeError):
        native.Carried(((((1, ("a",)),), int, int, 1, 0, 1, 0, 9, None),)).move([1], {}, None)


def test_a_converter_of_a_moved_number_may_hold_who_moves_it() -> None:
    class Holder:
        def __call__(self, value: Any, scope: Any = None) -> Any:
            raise KeyError(value)

    before = len(gc.get_objects())
    for _ in range(50):
        holder: Any = Holder()
        holder.held = native.Signature(((holder, False, None),))
    del holder
    gc.collect()
    assert len(gc.get_objects()) - before < 50


# -- rounding

ROUNDED = st.one_of(
    st.from_regex(r"[0-9]{0,12}\.[0-9]{0,14}", fullmatch=True),
    st.from_regex(r"[0-9]{1,3}\.[0-9]{8}(5|50|51|49|4|6)0{0,3}", fullmatch=True),
    st.sampled_from([
        "9" * 10 + "." + "9" * 9, "1.000000005", ".123456789", "1e-9", "٣.123456789", "-1.123456789", "0." + "1" * 39,
        "1." + "0" * 9, "5.1234567890000000", "1..123456789", "1.12345678x", "1.123456789 ",
    ]),
    NUMBERS,
)


@settings(max_examples=250)
@given(ROUNDED)
def test_rounded_as_python_rounds(value: Any) -> None:
    assert HOW is not None
    shape = HOWS["decimal"], HOW.scale, HOW.factor, HOW.least, HOW.below, ("price", "price_exact")
    sources = ((place("w"), int, 2, 0, 1, 0, 2**62, None), (place("v"), CONVERT, *shape))
    scope = Scope()
    made = mapper_of(DECIMAL, CONVERT, HOW, sources=sources)({"i": 7, "v": value, "w": 1}, scope)
    try:
        number, noted = CONVERT(value), False
    except CONVERSION_ERRORS:
        rounded = quick_rounded(value, 8, 18)
        if rounded is None:
            assert made is None
            assert scope.rounded is None
            assert not scope.notes
            return
        number, noted = rounded, True
    assert made is not None
    ids = fixed_bytes(STRING, message_id("7")) + fixed_bytes(STRING, "X-7")
    assert made[3].value.startswith(ids + fixed_bytes(DECIMAL, number))
    assert scope.rounded == (("price", value) if noted else None)
    assert (b"price_exact" in made[3].value) is noted
    assert not scope.notes
