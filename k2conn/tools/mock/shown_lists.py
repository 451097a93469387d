"""A venue's instrument list as a mock serves it: what the connector's tests show, page by page."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from k2conn import exactjson
from k2conn.codecs.bodies import body_writer
from k2conn.plan import InstrumentList, Json
from k2conn.scope import Scope


def shown_answers(listing: InstrumentList) -> tuple[Json, ...]:
    """The answers, one for each page. Where several tests show entries of a list in one page, it has them all."""
    lists = [one.answers for one in listing.shown]
    if len(lists) < 2 or listing.each_path is None or any(len(one) > 1 for one in lists):
        return lists[0] if lists else ()
    entries = [row for (answer,) in lists for row in listing.entries(answer) or ()]
    return (_wrapped(listing, entries),)


def shown_body(listing: InstrumentList, query: str) -> bytes | None:
    """The body of the page that an address with this query asks for; None where there is none."""
    answers = shown_answers(listing)
    at = _page(listing, answers, query)
    write = body_writer(listing.encoding)
    if at is not None and at < len(answers):
        return write(exactjson.encode(answers[at]))
    if answers and listing.pages is not None and listing.pages.next is None and listing.each_path is not None:
        return write(exactjson.encode(_wrapped(listing, [])))  # behind the last
    return None


def _wrapped(listing: InstrumentList, entries: list[Json]) -> Json:
    whole: Json = entries
    for key in reversed(listing.each_path or ()):
        whole = {key: whole}
    return whole


def _page(listing: InstrumentList, answers: tuple[Json, ...], query: str) -> int | None:
    """Which answer is asked for; None where none is."""
    pages = listing.pages
    if pages is None:
        return 0
    given = parse_qs(query, keep_blank_values=True)
    if pages.next is None:
        number = (given.get(pages.query) or [str(pages.first)])[-1]
        return int(number) - pages.first if number.isdecimal() and int(number) >= pages.first else None
    for at, answer in enumerate(answers[:-1]):
        scope = Scope()
        scope.message = answer
        following = exactjson.spell(pages.next(answer, scope))
        wanted = given.get(pages.query) == [following] if pages.query else urlsplit(following).query == query
        if wanted:
            return at + 1
    return 0
