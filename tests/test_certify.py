"""Certification: connectors of every kind pass it, and what is wrong does not."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k2conn.avro import ContainerWriter, load_schema
from k2conn.avro.reading import read_container
from k2conn.certify.harvest import Harvest
from k2conn.certify.haste import hasty
from k2conn.certify.ordeals import ORDEALS, Scene, chosen, packs
from k2conn.certify.page import page
from k2conn.certify.proof import prove
from k2conn.certify.reference import Reference
from k2conn.certify.report import complaints, document
from k2conn.certify.stage import Outcome, Stage
from k2conn.cli.certify import NOT_PROVEN, Options, run
from k2conn.cli.loading import load
from k2conn.envelope import Envelope
from k2conn.errors import SettingsError
from k2conn.mock.exchange import MockExchange
from k2conn.mock.faults import corrupted
from k2conn.mock.witness import Witness
from k2conn.sinks import Reject, Settle, make_sink
from k2conn.sinks.settings import SinkSettings
from tests.servers import Broker, Registry
from tests.sinks import TRADE

NAMES = ("binance", "kraken", "coinbase", "bybit", "bitfinex", "htx", "kucoin")


def stage(name: str, folder: Path, faults: str, rate: float = 20.0, **given: Any) -> Stage:
    return Stage(load(name), SinkSettings(kind="file", folder=folder), chosen(faults), duration=0, rate=rate, **given)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """All connectors at once, through all ordeals."""
    folder = tmp_path_factory.mktemp("certify")

    async def main() -> list[Outcome]:
        return list(await asyncio.gather(*(stage(name, folder / name, "all").run() for name in NAMES)))

    return {outcome.connector: outcome for outcome in asyncio.run(main())}


@pytest.mark.parametrize("name", NAMES)
def test_it_passes(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert complaints(outcome) == []
    assert outcome.passed
    assert {row.stream for row in outcome.proof.rows} == {"trade", "quote"}
    for row in outcome.proof.rows:
        assert row.sent == row.published + row.deduplicated + row.filtered + row.quarantined
        assert row.published > 50
        assert row.quarantined > 0
        assert row.lost == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_ordeal_was_gone_through(outcomes: dict[str, Outcome], name: str) -> None:
    done = {trial.name for trial in outcomes[name].trials if not trial.skipped}
    scene = Scene(load(name), MockExchange(load(name)))
    assert done == {ordeal.name for ordeal in ORDEALS if not ordeal.needs(scene)}
    assert done >= {one.name for one in ORDEALS} - {"bomb", "broker", "no-pong", "lost-acks"}
    assert ("bomb" in done) is packs(scene.plan)


def test_what_was_skipped_is_in_gap_records(outcomes: dict[str, Outcome]) -> None:
    for name, outcome in outcomes.items():
        rules = {one.name: one.sequence.rule for one in load(name).streams if one.enabled and one.sequence}
        assert (outcome.gaps > 0) is ("contiguous" in rules.values()), name


def test_repeats_are_published_once_where_they_can_be_told(outcomes: dict[str, Outcome]) -> None:
    for name, outcome in outcomes.items():
        for row in outcome.proof.rows:
            assert (row.deduplicated > 0) is (load(name).stream(row.stream).identity is not None), (name, row.stream)


def test_the_reports(outcomes: dict[str, Outcome]) -> None:
    found = json.loads(json.dumps(document(list(outcomes.values()))))
    assert found["passed"] is True
    assert [one["connector"] for one in found["connectors"]] == list(NAMES)
    assert found["connectors"][0]["totals"]["lost"] == 0
    text = page(list(outcomes.values()))
    assert text.count("<h2>") == len(NAMES)
    assert "http" not in text.replace("HTTP", "").replace("http-429", "")  # it needs nothing else


# -- what is wrong does not pass


class Leaky:
    """A sink that says of one record that it is durable and never writes it."""

    def __init__(self, settings: SinkSettings, settle: Settle, reject: Reject) -> None:
        self.inner = make_sink(settings, settle, reject)
        self.settle = settle
        self.put_so_far = 0
        self.dropped: list[str] = []

    def put(self, envelope: Envelope) -> None:
        self.put_so_far += envelope.schema is not None
        if self.put_so_far == 30 and envelope.schema is not None and not self.dropped:
            self.dropped.append(envelope.schema.decode_plain(envelope.value)["trade_id"])
            asyncio.get_running_loop().call_soon(self.settle, [envelope])
        else:
            self.inner.put(envelope)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def only_trades(folder: Path) -> str:
    """A shipped file without its quotes by default."""
    text = Path("connectors/coinbase.yaml").read_text().replace("  quote:\n", "  quote:\n    default: false\n", 1)
    path = folder / "coinbase.yaml"
    path.write_text(text)
    return str(path)


def test_a_sink_that_loses_one_record_is_caught(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sinks: list[Leaky] = []

    def leaky(settings: SinkSettings, settle: Settle, reject: Reject) -> Any:
        sinks.append(Leaky(settings, settle, reject))
        return sinks[0]

    reports = [tmp_path / f"report.{form}" for form in ("txt", "json", "html")]
    options = Options([only_trades(tmp_path)], duration="1s", faults="duplicates", reports=reports, rate=40)
    assert run(options, leaky) == NOT_PROVEN
    said = capsys.readouterr().out
    (lost,) = sinks[0].dropped
    assert f"lost: {lost}" in said
    assert "NOT PROVEN" in said
    assert f"lost: {lost}" in reports[0].read_text()
    found = json.loads(reports[1].read_bytes())
    assert found["passed"] is False
    assert sum(row["lost"] for row in found["connectors"][0]["rows"]) == 1
    assert [row["missing_ids"] for row in found["connectors"][0]["rows"] if row["lost"]] == [[lost]]
    assert lost in reports[2].read_text()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, Harvest]:
    """A small certification, and what it read back."""
    one = stage("coinbase", tmp_path_factory.mktemp("played"), "gap,garbage")
    asyncio.run(one.run())
    return one, asyncio.run(one._harvest())


def verdict(played: tuple[Stage, Harvest], change: Callable[[Harvest], None]) -> list[str]:
    """The complaints about a harvest that was tampered with."""
    one, harvest = played
    copy = Harvest(list(harvest.records), list(harvest.gaps), list(harvest.letters))
    change(copy)
    proof = prove(Reference(one.scene.plan, one.streams, one.exchange), copy, one._ledger)
    outcome = Outcome("coinbase", "COINBASE", "file", 0, 20, 1.0, [], proof, 0, {}, [])
    assert outcome.passed is not complaints(outcome)
    return complaints(outcome)


def test_nothing_is_said_against_an_honest_harvest(played: tuple[Stage, Harvest]) -> None:
    assert verdict(played, lambda harvest: None) == []


def test_a_record_that_is_there_twice(played: tuple[Stage, Harvest]) -> None:
    record = played[1].records[3]
    own = record.get("trade_id") or record["quote_id"]
    assert any(f"there twice: {own}" in text for text in verdict(played, lambda h: h.records.append(record)))


def test_a_record_that_nobody_sent(played: tuple[Stage, Harvest]) -> None:
    record = {**played[1].records[3], "message_id": "00000000-0000-5000-8000-000000000000"}
    assert any("never printed it" in text for text in verdict(played, lambda h: h.records.append(record)))


def test_a_gap_that_is_not_reported(played: tuple[Stage, Harvest]) -> None:
    assert any("missing without a gap record" in text for text in verdict(played, lambda h: h.gaps.clear()))


def test_a_dead_letter_that_is_missing(played: tuple[Stage, Harvest]) -> None:
    assert any("have no dead letter" in text for text in verdict(played, lambda h: h.letters.pop()))


def test_a_dead_letter_too_many(played: tuple[Stage, Harvest]) -> None:
    letter = {**played[1].letters[0], "frame": "{}"}
    assert any("were not sent broken" in text for text in verdict(played, lambda h: h.letters.append(letter)))


# -- its parts


def test_haste_changes_waits_and_nothing_else() -> None:
    plan = load("kraken")
    quick = hasty(plan)
    assert quick.streams == plan.streams
    assert quick.symbols == plan.symbols
    before, after = plan.connections[0], quick.connections[0]
    assert after.urls == before.urls
    assert [step.text for step in after.steps] == [step.text for step in before.steps]
    assert after.limits.connect is None
    assert after.limits.send == before.limits.send
    assert before.heartbeat is not None
    assert after.heartbeat is not None
    assert after.heartbeat.every({}) <= 1.0 < before.heartbeat.every({})


def test_unknown_faults_and_sinks_are_refused() -> None:
    with pytest.raises(SettingsError, match="there is no earthquake; known are gap"):
        chosen("gap,earthquake")
    with pytest.raises(SettingsError, match="must be read back"):
        run(Options(["kraken"], sink="console"))
    with pytest.raises(SettingsError, match=r"ends in \.txt, \.json or \.html"):
        run(Options(["kraken"], reports=[Path("report.pdf")]))


@pytest.mark.parametrize("frame", ['{"a":1}', "[1]", '"x"', "pong", b"\x1f\x8b\x08\x00"])
def test_a_corrupted_frame_is_another(frame: str | bytes) -> None:
    assert corrupted(frame) != frame
    assert type(corrupted(frame)) is type(frame)


def test_what_is_under_way_at_a_cut_is_in_doubt_and_the_rest_is_sure() -> None:
    plan = load("binance")

    async def main() -> None:
        from tests.test_mock import Listener

        witness = Witness()
        async with MockExchange(plan, rate=0, witness=witness) as exchange:
            listener = Listener(plan, ("BTCUSDT",), ("trade",))
            task = asyncio.create_task(listener.run(exchange))
            await exchange.wait_for(lambda: exchange.subscriptions)
            await exchange.play("trade", "BTCUSDT", 20)
            await exchange.wait_for(lambda: witness.settled)
            exchange.freeze_clients()
            exchange.clients[0].socket.transport.abort()
            await task
            (leg,) = witness.legs
            assert [one.ids for one in leg.doubtful()] == []
            assert Counter(own for one in leg.sure() for own in one.ids) == Counter(exchange.sent["trade", "BTCUSDT"])

    asyncio.run(main())


def test_containers_are_read_back_up_to_a_torn_tail(tmp_path: Path) -> None:
    schema = load_schema("trade")
    path = tmp_path / "x.avro"
    with path.open("wb") as file:
        writer = ContainerWriter(file, schema)
        for number in range(3):
            writer.append(schema.encode(list((TRADE | {"trade_id": f"X-{number}"}).values())))
            writer.flush()
    records = list(read_container(path))
    assert records[1] == schema.decode_plain(schema.encode(list((TRADE | {"trade_id": "X-1"}).values())))
    whole = path.read_bytes()
    for cut in (0, 3, 40, len(whole) - 30, len(whole) - 200):
        path.write_bytes(whole[:cut])
        assert list(read_container(path)) == records[: len(list(read_container(path)))]
        assert len(list(read_container(path))) < 3
    path.write_bytes(b"PAR1" + whole)
    with pytest.raises(ValueError, match="no Avro container"):
        list(read_container(path))


# -- the real broker


@pytest.mark.kafka
def test_against_the_real_broker(broker: Broker, registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    faults = "gap,duplicates,garbage,corrupt,cut,busy,broker"
    options = Options(["kraken"], duration="1s", rate=40, kafka=broker.bootstrap, registry=registry.url, faults=faults,
                      broker_pid=broker.pid)
    code = run(options)
    said = capsys.readouterr().out
    assert code == 0, said
    assert "kraken: passed" in said
    assert "freezes" in said
