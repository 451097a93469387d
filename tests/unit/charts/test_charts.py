"""Charts of any numbers: within their room, exact in what they say, and valid XML whatever the texts are."""

from __future__ import annotations

from decimal import Decimal
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2conn.charts import Bar, Grid, as_svg, in_terminal, plain_number

SVG = "{http://www.w3.org/2000/svg}"


def bar(first: str, high: str, low: str, last: str, volume: str = "1", label: str = "12:00:00") -> Bar:
    return Bar(label, Decimal(first), Decimal(high), Decimal(low), Decimal(last), Decimal(volume))


BARS = (bar("100", "110", "95", "105", "2"), bar("105", "106", "90", "92", "4", "12:00:01"),
        bar("92", "92", "92", "92", "0", "12:00:02"))

numbers = st.decimals(min_value="-1E20", max_value="1E20", allow_nan=False, places=18)


@st.composite
def any_bars(draw: st.DrawFn) -> list[Bar]:
    found = []
    for _ in range(draw(st.integers(1, 30))):
        low, first, last, high = sorted(draw(st.tuples(numbers, numbers, numbers, numbers)))
        if draw(st.booleans()):
            first, last = last, first
        found.append(Bar(draw(st.text(max_size=12)), first, high, low, last, abs(draw(numbers))))
    return found


def test_a_chart_in_a_terminal() -> None:
    assert in_terminal(BARS, width=30, height=11, title="BTCUSD") == [
        "BTCUSD",
        "110 ┤ │",
        "    │ │",
        "105 ┤░░░ ███",
        "    │░░░ ███",
        "    │░░░ ███",
        "100 ┤░░░ ███",
        "    │ │  ███",
        "    │ │  ███",
        " 95 ┤ │  ███",
        "    │    ███ ░░░",
        " 90 ┤     │",
        "vol │▄▄▄ ███",
        "     12:00:00",
    ]


def test_what_a_terminal_cannot_say_is_ascii() -> None:
    lines = in_terminal(BARS, width=30, height=11, encoding="ascii")
    assert "\n".join(lines).isascii()
    assert any("ooo ###" in line for line in lines)


def test_where_there_is_no_room_the_newest_are_shown() -> None:
    many = [bar("1", "2", "1", "2", label=f"at {number}") for number in range(500)]
    lines = in_terminal(many, width=40)
    assert max(map(len, lines)) <= 40
    assert lines[-1].endswith("at 499")


@pytest.mark.parametrize("size", [(10, 16), (80, 3)])
def test_too_little_room_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="more room"):
        in_terminal(BARS, *size)


def test_no_bars_are_refused() -> None:
    with pytest.raises(ValueError, match="a bar at least"):
        as_svg((), "nothing")


@settings(deadline=None)  # a busy machine is no finding
@given(any_bars(), st.integers(60, 120), st.sampled_from(["utf-8", "latin-1", "no such"]))
def test_any_numbers_fit_the_terminal(bars: list[Bar], width: int, encoding: str) -> None:
    lines = in_terminal(bars, width=width, height=12, encoding=encoding)
    assert len(lines) == 14
    assert max(map(len, lines)) <= width
    assert all(line.isprintable() for line in lines)


@settings(deadline=None)  # a busy machine is no finding
@given(any_bars(), st.text(max_size=60), st.text(max_size=60))
def test_any_texts_and_numbers_make_valid_xml(bars: list[Bar], title: str, source: str) -> None:
    root = ElementTree.fromstring(as_svg(bars, title, source).encode())
    assert len(root.findall(f"{SVG}g")) == len(bars)
    _, _, width, height = map(int, root.attrib["viewBox"].split())
    for shape in root.iter(f"{SVG}rect"):
        place = {name: int(shape.get(name, "0")) for name in ("x", "y", "width", "height")}
        assert 0 <= place["x"] <= place["x"] + place["width"] <= width
        assert 0 <= place["y"] <= place["y"] + place["height"] <= height


def test_a_picture_holds_no_markup_of_others() -> None:
    text = as_svg(BARS, "<script>&\x1b", '"><image href="x"/>')
    root = ElementTree.fromstring(text.encode())
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {"svg", "title", "desc", "rect", "text",
                                                                           "line", "g"}
    name = root.find(f"{SVG}title")
    assert name is not None
    assert name.text == r"<script>&\x1b"


def test_a_picture_says_the_exact_numbers_and_needs_no_colours() -> None:
    root = ElementTree.fromstring(as_svg(BARS, "t").encode())
    rising, falling = (group.findall(f"{SVG}rect")[0].get("fill") for group in root.findall(f"{SVG}g")[:2])
    assert rising == "#fff" != falling
    said = [title.text for title in root.iter(f"{SVG}title")]
    assert said[2] == "12:00:01: open 105, high 106, low 90, close 92, volume 4"


@settings(deadline=None)  # a busy machine is no finding
@given(numbers, numbers, st.integers(1, 400))
def test_a_place_is_within_and_in_order(low: Decimal, other: Decimal, last: int) -> None:
    low, high = sorted((low, other))
    grid = Grid([Bar("", low, high, low, high, Decimal(0))])
    assert 0 <= grid.place(low, last) <= grid.place(high, last) <= last
    levels = grid.levels(5)
    assert levels == sorted(set(levels))
    assert len(levels) <= 5
    assert all(low <= one <= high for one in levels)


@pytest.mark.parametrize(("number", "text"), [("1.500", "1.5"), ("100", "100"), ("1E+3", "1000"), ("0.00", "0"),
                                              ("-0.10", "-0.1")])
def test_a_number_is_said_plainly(number: str, text: str) -> None:
    assert plain_number(Decimal(number)) == text
