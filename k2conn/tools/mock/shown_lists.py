"""A venue's instrument list as a mock serves it: what the connector's tests show, call by call and page by page."""

from __future__ import annotations

from urllib.parse import parse_qs, parse_qsl, urlsplit

from k2conn import exactjson
from k2conn.codecs.bodies import body_writer
from k2conn.engine.instrument_list import next_of
from k2conn.plan import InstrumentList, Json


def call_of(listing: InstrumentList, path: str, query: str) -> int | None:
    """Which of the list's calls an address is of; None for none of them. Of several with its path the one with most of
    its parameters: one that is counted or followed page by page has more than the file says.
    """
    given = set(parse_qsl(query, keep_blank_values=True))
    fits: list[tuple[int, int]] = []
    for at, request in enumerate(listing.requests):
        parts = urlsplit(request.url_text)
        own = {one for one in parse_qsl(parts.query, keep_blank_values=True) if "{$" not in one[1]}
        if parts.path in (path, path.rstrip("/")) and (len(listing.requests) == 1 or own <= given):
            fits.append((-len(own), at))
    return min(fits)[1] if fits else None


def shown_answers(listing: InstrumentList, call: int = 0) -> tuple[Json, ...]:
    """The answers to one call, one for each page. Where several tests show entries of a list in one page, it has them
    all.
    """
    lists = [_of_call(listing, one.answers, call) for one in listing.shown]
    if len(lists) < 2 or listing.each_path is None or any(len(one) > 1 for one in lists):
        return lists[0] if lists else ()
    entries = [row for (answer,) in lists for row in listing.entries(answer) or ()]
    return (_wrapped(listing, entries),)


def _of_call(listing: InstrumentList, answers: tuple[Json, ...], call: int) -> tuple[Json, ...]:
    """What a test shows of one call: its own answers, where there are some for each; else the first call gives all."""
    parts = _parts(listing, answers)
    if len(parts) == len(listing.requests):
        return parts[call]
    return answers if call == 0 or listing.each_path is None else (_wrapped(listing, []),)


def _parts(listing: InstrumentList, answers: tuple[Json, ...]) -> list[tuple[Json, ...]]:
    """Answers as those of one call after the other: one each, or its pages up to one that names no next page."""
    if listing.pages is not None and listing.pages.next is None:
        return [answers]
    parts: list[tuple[Json, ...]] = [()]
    for answer in answers:
        parts[-1] += (answer,)
        if listing.pages is None or not next_of(listing.pages, answer):
            parts.append(())
    return parts[:-1] if not parts[-1] else parts


def shown_body(listing: InstrumentList, query: str, call: int = 0) -> bytes | None:
    """The body of the page that an address of a call with this query asks for; None where there is none."""
    answers = shown_answers(listing, call)
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
        following = next_of(pages, answer)
        wanted = given.get(pages.query) == [following] if pages.query else urlsplit(following).query == query
        if wanted:
            return at + 1
    return 0
