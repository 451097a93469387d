"""A venue's instrument list asked for page by page: cursors, numbers, addresses; what ends it; what a body may be."""

from __future__ import annotations

import asyncio
import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from k2conn import exactjson
from k2conn.compiler.compiler import check_text
from k2conn.errors import TransportError
from k2conn.plan import InstrumentList, SendScope
from k2conn.runner import list_pages
from k2conn.runner.list_pages import ListAnswer, read_list
from k2conn.runner.overrides import Overrides
from k2conn.tools.mock.shown_lists import call_of
from tests.support.plans import HEAD, STREAMS, SUBSCRIBE
from tests.support.rest import Answer, Asked, rest


def listing(words: str, *http: str) -> InstrumentList:
    said = list(http) if len(http) > 1 else (http or ("GET https://v.example/list?kind=spot",))[0]
    whole = f"list: {{http: {exactjson.spell(said)}, each: data, symbol: id, tick: t, {words}}}, form:"
    text = HEAD.replace("form:", whole)
    plan, problems = check_text("venue.yaml", text + SUBSCRIBE + STREAMS, Path())
    assert plan is not None, problems
    assert plan.symbols.list is not None
    return plan.symbols.list


def read(one: InstrumentList, url: str) -> ListAnswer:
    scope = SendScope(lambda: 0, lambda: "u", 0, {}, os.environ)
    return asyncio.run(read_list(one, scope, Overrides(http_url=url), None))


def row(name: str) -> dict[str, str]:
    return {"id": name, "t": "1"}


def test_a_cursor_is_followed_until_there_is_none() -> None:
    pages = {None: ("p2", "A"), "p2": (3, "B"), "3": ("", "C")}

    def answer(asked: Asked) -> Answer:
        following, name = pages[asked.query.get("cursor")]
        return Answer({"next": following, "data": [row(name)]})

    with rest(answer) as api:
        found = read(listing("pages: {next: next, query: cursor}"), api.url)
    assert [page["data"][0]["id"] for page in found.answer] == ["A", "B", "C"]
    assert not found.cut
    assert [asked.query for asked in api.asked] == [
        {"kind": "spot"}, {"kind": "spot", "cursor": "p2"}, {"kind": "spot", "cursor": "3"}
    ]


def test_numbered_pages_end_with_an_empty_one() -> None:
    with rest(lambda asked: Answer({"data": [row(asked.query["page"])] if asked.query["page"] < "2" else []})) as api:
        found = read(listing("pages: {number: page, first: 0}"), api.url)
    assert [asked.query["page"] for asked in api.asked] == ["0", "1", "2"]
    assert [len(page["data"]) for page in found.answer] == [1, 1, 0]


def test_a_venue_that_does_not_know_the_parameter_is_asked_twice() -> None:
    with rest(lambda asked: Answer({"data": [row("A")]})) as api:
        read(listing("pages: {number: page}"), api.url)
    assert len(api.asked) == 2


def test_an_address_of_the_same_host_is_followed() -> None:
    def answer(asked: Asked) -> Answer:
        following = None if asked.query.get("after") else "https://v.example/list?after=x&kind=spot"
        return Answer({"next": following, "data": [row("A")]})

    with rest(answer) as api:
        found = read(listing("pages: {next: next}"), api.url)
    assert len(found.answer) == 2
    assert api.asked[1].query == {"after": "x", "kind": "spot"}


@pytest.mark.parametrize("address", ["https://other.example/list", "http://v.example/list", "//x.example/", "http://["])
def test_an_address_of_another_host_is_not(address: str) -> None:
    elsewhere = pytest.raises(TransportError, match="says that the next page of its list is elsewhere")
    with rest(lambda asked: Answer({"next": address, "data": [row("A")]})) as api, elsewhere:
        read(listing("pages: {next: next}"), api.url)
    assert len(api.asked) == 1


TWO = ("GET https://v.example/list?kind=spot", "GET https://v.example/list?kind=future")


def test_several_calls_are_one_list() -> None:
    def answer(asked: Asked) -> Answer:
        return Answer({"data": [row(asked.query["kind"])]})

    with rest(answer) as api:
        found = read(listing("", *TWO), api.url)
    assert found == ListAnswer([{"data": [row("spot")]}, {"data": [row("future")]}])


def test_each_of_several_calls_has_its_own_pages() -> None:
    def answer(asked: Asked) -> Answer:
        page = int(asked.query["page"])
        return Answer({"data": [row(asked.query["kind"] + str(page))] if page < 3 else []})

    with rest(answer) as api:
        found = read(listing("pages: {number: page, most: 3}", *TWO), api.url)
    assert not found.cut
    assert [asked.query["kind"] + asked.query["page"] for asked in api.asked] == [
        "spot1", "spot2", "spot3", "future1", "future2", "future3"
    ]


def test_half_of_a_list_is_none() -> None:
    def answer(asked: Asked) -> Answer:
        return Answer({"data": [row("A")]}, status=200 if asked.query["kind"] == "spot" else 500)

    with rest(answer) as api, pytest.raises(TransportError):
        read(listing("", *TWO), api.url)


@pytest.mark.parametrize(("path", "query", "call"), [
    ("/list", "kind=future", 1), ("/list", "kind=spot&cursor=x", 0), ("/list/", "kind=future", 1),
    ("/list", "kind=option", None), ("/list", "", None), ("/other", "kind=spot", None),
])
def test_the_mock_knows_which_call_is_made(path: str, query: str, call: int | None) -> None:
    assert call_of(listing("", *TWO), path, query) == call


def test_a_circle_is_no_list() -> None:
    circle = pytest.raises(TransportError, match="goes round in circles")
    with rest(lambda asked: Answer({"next": "again", "data": [row("A")]})) as api, circle:
        read(listing("pages: {next: next, query: cursor}"), api.url)
    assert len(api.asked) == 2


def numbered(asked: Asked) -> Answer:
    return Answer({"next": int(asked.query.get("cursor", 0)) + 1, "data": [row("A")] * 10})


def test_pages_without_end_are_cut() -> None:
    with rest(numbered) as api:
        found = read(listing("pages: {next: next, query: cursor, most: 4}"), api.url)
    assert (len(found.answer), found.cut) == (4, True)


@pytest.mark.parametrize("bound", [("MOST_BYTES", 200), ("MOST_LISTED_VALUES", 60)])
def test_all_pages_together_have_bounds(monkeypatch: pytest.MonkeyPatch, bound: tuple[str, int]) -> None:
    monkeypatch.setattr(list_pages, "MAX_ANSWER", 0)
    monkeypatch.setattr(list_pages, "MOST_VALUES", 0)
    monkeypatch.setattr(list_pages, *bound)
    with rest(numbered) as api:
        found = read(listing("pages: {next: next, query: cursor, most: 100}"), api.url)
    assert found.cut
    assert len(found.answer) < 10


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


CSV = b"id,t\nA,1\nB,0.5\n"


@pytest.mark.parametrize(("codec", "body", "headers"), ids=["plain", "codec", "header"], argvalues=[
    ("csv", CSV, {}), ("gzip+csv", packed(CSV), {}), ("csv", packed(CSV), {"Content-Encoding": "gzip"}),
])
def test_rows_of_a_body_are_the_list(codec: str, body: bytes, headers: dict[str, str]) -> None:
    one = listing(f"codec: {codec}")
    with rest(lambda asked: Answer(body, headers=headers)) as api:
        found = read(one, api.url)
    assert found.answer == [{"id": "A", "t": "1"}, {"id": "B", "t": "0.5"}]


@pytest.mark.parametrize(("codec", "body", "headers", "error"), ids=range(11), argvalues=[
    ("json", b"{", {}, "127.0.0.1 answered what cannot be read: "),
    ("json", b"pong", {}, "JSON"),
    ("json", b"[" * 5000 + b"]" * 5000, {}, "nested|deep"),
    ("json", b"[" + b"1," * 600_000 + b"1]", {}, "more than 500000 values"),
    ("csv", b"id,t\nA\n", {}, "line 2: the row has 1 cells"),
    ("csv", b"\xff\xfe", {}, "UTF-16"),
    ("gzip", b"{}", {}, "cannot be inflated"),
    ("gzip", packed(b"[" + b" " * (17 << 20) + b"]"), {}, "unpacks to more than"),
    ("json", b"{}", {"Content-Encoding": "gzip"}, "says that its answer is gzip, and it is none"),
    ("json", packed(b"{}")[:-9], {"Content-Encoding": "gzip"}, "ends too early"),
    ("json", packed(b" " * (17 << 20)), {"Content-Encoding": "gzip"}, "answered more than"),
])
def test_a_body_that_is_none(codec: str, body: bytes, headers: dict[str, str], error: str) -> None:
    with rest(lambda asked: Answer(body, headers=headers)) as api, pytest.raises(TransportError, match=error):
        read(listing(f"codec: {codec}"), api.url)


def test_a_post_has_its_body() -> None:
    asked: list[Any] = []
    one = listing("body: {type: meta}, headers: {X-Kind: k}", "POST https://v.example/info")
    (request,) = one.requests
    assert request.method == "POST"
    assert request.body is not None
    asked.append(request.body(SendScope(lambda: 0, lambda: "u", 0, {}, {})))
    assert asked == [{"type": "meta"}]
