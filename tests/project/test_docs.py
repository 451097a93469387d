"""`k2conn docs`: pages that say what the connector files say, and a check that finds old ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from k2conn.cli.dictionary import dictionary
from k2conn.cli.dictionary import run as write_dictionary
from k2conn.cli.docs import INDEX, run
from k2conn.cli.loading import shipped
from k2conn.compiler.compiler import check_text
from k2conn.records import known_records, load_record
from k2conn.tools.connector_tests import run_test
from tests.paths import ROOT

SPEC = """\
connector: venue
exchange: VENUE
asset_class: crypto
docs: https://docs.example.com/ws
notes: Sizes are contracts.
symbols:
  default: [BTC-USD]
  form: "{base}-{quote}"
  aliases: {XBT: BTC}
connection:
  url: wss://ws.example.com
  limits: {connect: 5 per 1s}
  headers: {X-Key: $env.K2_VENUE_KEY}
  steps:
    - name: subscribe
      send: {op: subscribe, args: $symbols, id: $counter}
      for: trade
      expect: {accepted: {op: ok}, refused: {op: error}}
  heartbeat: {every: 20s, send: {op: ping}, answer: {op: pong}}
  reconnect: {when: {op: bye}}
streams:
  trade:
    when: {ch: trade}
    each: data
    sequence: {from: id, rule: contiguous, per: symbol}
    snapshot: {type: snapshot}
    fields:
      symbol: $message.sym || `x`
      trade_id: id
      price: p
      quantity: {from: q, absent: 0}
      timestamp: {from: t, unit: ms}
      side: {from: s, map: {b: BUY, s: SELL}}
    vendor_data: [x]
tests:
  - name: a trade
    received: {ch: trade, sym: BTC-USD, data: [{id: 1, p: 2.50, q: 1, t: 1700000000000, s: b}]}
    records: [{trade_id: VENUE-1, price: "2.5"}]
"""


@pytest.fixture
def connector(tmp_path: Path) -> Path:
    path = tmp_path / "venue.yaml"
    path.write_text(SPEC)
    return path


def test_a_page_says_what_the_file_says(connector: Path, tmp_path: Path) -> None:
    assert run([str(connector)], tmp_path / "pages", False) == 0
    page = (tmp_path / "pages" / "venue.md").read_text()
    for text in (
        "Trades of VENUE (spot, crypto). [The exchange's documentation](https://docs.example.com/ws).",
        "Sizes are contracts.", "Authentication: keys: K2_VENUE_KEY.", "| `BTC-USD` | `BTCUSD` | USD |", "XBT is BTC",
        "- connects to `wss://ws.example.com`", "- the venue's limits: connect 5 per 1s",
        '- heartbeat every 20s: `{"op":"ping"}`', "- connects again when `op = bye`",
        '{"op":"subscribe","args":["BTC-USD"],"id":1}', "| subscribe | `op = ok` | `op = error` | 10 s |",
        "Trade records to the Kafka topic `market.crypto.trades.venue`.", "- recognised by `ch = trade`",
        "- items: `data`", "- the recent past when `type = snapshot`: tagged", "- sequence `id`: contiguous per symbol",
        "| symbol | `` $message.sym \\|\\| `x` `` |", "| quantity | `q` | decimal(18,8) | 0 | plain |",
        '"p":2.50', '{"trade_id":"VENUE-1","price":"2.5"}',
    ):
        assert text in page


def test_check_finds_a_page_out_of_date_and_writes_nothing(connector: Path, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    assert run([str(connector)], pages, True) == 1
    assert not pages.exists()
    assert run([str(connector)], pages, False) == 0
    assert run([str(connector)], pages, True) == 0
    connector.write_text(SPEC.replace("20s", "25s"))
    assert run([str(connector)], pages, True) == 1
    assert "every 20s" in (pages / "venue.md").read_text()


def test_all_shipped_connectors_have_a_page_and_a_row_and_none_changes_from_run_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([], tmp_path, False) == 0
    names = {path.stem for path in shipped()}
    assert {path.stem for path in tmp_path.glob("*.md")} == names | {Path(INDEX).stem}
    table = (tmp_path / INDEX).read_text()
    assert all(f"[{name}]({name}.md)" in table for name in names)
    (tmp_path / "gone.md").write_text("of no connector")
    assert run([], tmp_path, True) == 1
    said = capsys.readouterr().err
    assert "gone.md is of no connector" in said
    assert "out of date" not in said


def test_the_connector_of_the_guide_validates_and_its_test_passes() -> None:
    guide = (ROOT / "docs" / "add-an-exchange.md").read_text()
    text = next(block for block in guide.split("```yaml\n") if block.startswith("connector:")).split("```")[0]
    plan, problems = check_text("bitso.yaml", text, Path())
    assert problems == []
    assert plan is not None
    assert [difference for example in plan.tests for difference in run_test(plan, example)] == []


def test_the_data_dictionary_is_what_the_schemas_say() -> None:
    page = ROOT / "docs" / "data-dictionary.md"
    assert page.read_text() == dictionary(), "k2conn docs --dictionary docs/data-dictionary.md"
    for name in known_records():
        for field in load_record(name).schema.fields:
            assert f"| `{field.name}` | " in page.read_text(), (name, field.name)


def test_the_command_writes_and_checks_the_data_dictionary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "fields.md"
    assert write_dictionary(page, check=True) == 1
    assert write_dictionary(page, check=False) == 0
    assert write_dictionary(page, check=True) == 0
    page.write_text(page.read_text().replace("microseconds", "seconds"))
    assert write_dictionary(page, check=True) == 1
    assert "is out of date" in capsys.readouterr().err
