"""`run --record` and `replay` as processes: the records of a recording are those of the run that made it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.plans import HEAD, STREAMS
from tests.support.recordings import bodies, k2conn, mock
from tests.support.rest import Answer, rest
from tests.support.small_venue import small_venue
from tests.support.venues import CONNECTION

TROUBLE = ("--rate", 60, "--close-after", 150, "--duplicate-every", 7, "--garbage-every", 23)


def recorded(tmp_path: Path, name: str, *words: object, **variables: str) -> str:
    """Runs against a simulated venue that misbehaves, into `out` and `rec`; what the run said. Without backfill: a
    replay asks nobody.
    """
    with mock(tmp_path, name, *TROUBLE) as venue:
        done = k2conn(tmp_path, "run", name, "--folder", "out", "--record", "rec", "--duration", "2s", "--port", "-1",
                      *words, K2_BACKFILL="false", **venue, **variables)
    assert done.returncode == 0, done.stderr
    assert "recorded" in done.stderr, done.stderr
    return done.stderr


def replayed(tmp_path: Path, name: str, *words: object, **variables: str) -> str:
    done = k2conn(tmp_path, "replay", "rec", "--connector", name, "--folder", "again", *words, **variables)
    assert done.returncode in (0, 65), done.stderr
    return done.stderr


def figures(said: str) -> str:
    """The equation in what a run or a replay says at its end."""
    found = re.search(r"received \d+ = published \d+ \+ duplicates \d+ \+ dead letters \d+", said)
    assert found, said
    return found[0]


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("kraken", {"K2_KRAKEN_REPLICAS": "2"}),
        ("bybit", {}),  # two sockets
        ("bitfinex", {"K2CONN_PURE_PYTHON": "1"}),  # what a message is, only the reply to a subscription says
        ("kucoin", {}),  # a call before the connection
        ("mexc", {}),  # binary frames
    ],
    ids=lambda one: one if isinstance(one, str) else "+".join(one) or "plain",
)
def test_a_replay_gives_the_records_of_the_run(tmp_path: Path, name: str, variables: dict[str, str]) -> None:
    """Over reconnects, repeats and broken frames."""
    said = recorded(tmp_path, name, **variables)
    again = replayed(tmp_path, name, **variables)
    assert figures(said) == figures(again)
    assert int(re.search(r"published (\d+)", said)[1]) > 100, said  # type: ignore[index]
    assert int(re.search(r"dead letters (\d+)", said)[1]) > 0, said  # type: ignore[index]
    assert int(re.search(r"reconnects (\d+)", said)[1]) > 0, said  # type: ignore[index]
    first, second = bodies(tmp_path / "out"), bodies(tmp_path / "again")
    assert first.keys() == second.keys()
    for place, data in first.items():
        assert data == second[place], place


SEVERAL = """
connector: venue
exchange: VENUE
asset_class: crypto
docs: https://docs.example/ws
symbols:
  default: [XXBTZUSD]
  form: "{base}-{quote}"
  list: {http: GET https://example.com/all, each: data, symbol: id, base: b, quote: q}
"""
def listed(tmp_path: Path, port: int, rest_url: str) -> None:
    """A connector file whose symbols only the venue's own list explains."""
    text = SEVERAL.replace("https://example.com", rest_url) + CONNECTION % port + STREAMS
    (tmp_path / "venue.yaml").write_text(text)


def test_what_the_venue_listed_is_replayed_without_the_venue(tmp_path: Path) -> None:
    rows = [{"id": "XXBTZUSD", "b": "XBT", "q": "USD"}]
    with small_venue("XXBTZUSD") as port, rest(lambda asked: Answer({"data": rows})) as api:
        listed(tmp_path, port, api.url)
        done = k2conn(tmp_path, "run", "venue.yaml", "--folder", "out", "--record", "rec", "--max-records", 20,
                      "--port", "-1", K2_VENUE_ALLOW_PRIVATE_HOSTS="true")
        assert done.returncode == 0, done.stderr
        asked = len(api.asked)
        replayed(tmp_path, "venue.yaml", "--until", "2999-01-01T00:00:00Z")
        assert len(api.asked) == asked
    first, second = bodies(tmp_path / "out"), bodies(tmp_path / "again")
    (place,) = first
    assert len(first[place]) > 5
    assert second[place][: len(first[place])] == first[place]  # the run was told to stop with frames left


def test_every_tool_reads_it_and_a_cut_is_said(tmp_path: Path) -> None:
    spec = tmp_path / "venue.yaml"
    with small_venue() as port:
        spec.write_text(HEAD + CONNECTION % port + STREAMS)
        done = k2conn(tmp_path, "record", "venue.yaml", "--to", "rec", "--streams", "trade", "--max-records", 50)
    assert done.returncode == 0, done.stderr
    mapped = k2conn(tmp_path, "map", "venue.yaml", "rec")
    assert (mapped.returncode, mapped.stdout.count("VENUE-")) == (0, 50), mapped.stderr
    tested = k2conn(tmp_path, "test", "venue.yaml", "--from", "rec")
    assert tested.returncode == 0, tested.stdout
    drafted = k2conn(tmp_path, "new", "draft", "--url", "wss://v.example", "--sample", "rec", "--output", "-")
    assert "trade:" in drafted.stdout, drafted.stderr
    certify = ("certify", "venue.yaml", "--faults", "duplicates,cut", "--duration", "1s")
    without, proven = k2conn(tmp_path, *certify), k2conn(tmp_path, *certify, "--recorded", "rec")
    assert (without.returncode, "no tests with records" in without.stderr) == (2, True), without.stderr
    assert proven.returncode == 0, proven.stdout + proven.stderr
    assert re.search(r"venue: passed; sent [1-9]\d+ = published [1-9]\d+ ", proven.stdout), proven.stdout
    broken = tmp_path / "broken" / "venue.yaml"
    broken.parent.mkdir()
    broken.write_text(spec.read_text().replace("price: p", "price: px"))
    assert k2conn(tmp_path, "test", broken, "--from", "rec").returncode == 1

    (path,) = (tmp_path / "rec").glob("*.jsonl.*")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 20])
    cut = k2conn(tmp_path, "replay", "rec", "--connector", "venue.yaml", "--sink", "none")
    assert cut.returncode == 66, cut.stderr
    assert "ends in the middle" in cut.stderr
