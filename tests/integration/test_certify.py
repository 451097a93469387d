"""Certification: connectors of every kind pass it, and what is wrong does not."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from k2conn.avro import ContainerWriter, load_schema
from k2conn.avro.reading import read_container
from k2conn.cli.certify import NOT_PROVEN, CertifyOptions, _certification, _plans, run
from k2conn.envelope import Envelope
from k2conn.errors import SettingsError
from k2conn.sinks import Reject, Settle, make_sink
from k2conn.sinks.file import FileSettings
from k2conn.sinks.kafka.settings import KafkaSettings
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import make_spooled
from k2conn.tools.certify.certification import Certification, CertificationOutcome, ScenarioRun
from k2conn.tools.certify.cluster_faults import DEAD
from k2conn.tools.certify.connector_process import ConnectorProcess, ProcessSettings
from k2conn.tools.certify.crash_losses import CrashLosses, Kill, account_for_losses
from k2conn.tools.certify.crash_restart import CrashRestart
from k2conn.tools.certify.expected_records import ExpectedRecords
from k2conn.tools.certify.fault_scenarios import FAULT_SCENARIOS, can_expand, chosen
from k2conn.tools.certify.page import page
from k2conn.tools.certify.proof import prove
from k2conn.tools.certify.proxied_dialing import ProxiedEventLoop, reroute
from k2conn.tools.certify.proxy import FaultProxy
from k2conn.tools.certify.readback import Readback
from k2conn.tools.certify.report import document, failures, not_run_reasons
from k2conn.tools.certify.scenario import ScenarioContext
from k2conn.tools.certify.short_timeouts import with_short_timeouts
from k2conn.tools.mock.exchange import MockExchange
from k2conn.tools.mock.faults import corrupted
from k2conn.tools.mock.sent_frames import SentFrames
from tests.servers import Broker, SharedRegistry
from tests.support.shipped import load
from tests.support.sinks import TRADE

NAMES = ("binance", "kraken", "coinbase", "bybit", "bitfinex", "htx", "kucoin")


def stage(name: str, folder: Path, faults: str, rate: float = 20.0, **given: Any) -> Certification:
    settings = SinkSettings(kind="file", options=FileSettings(folder=folder))
    return Certification(load(name), settings, chosen(faults), duration=0, rate=rate, **given)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CertificationOutcome]:
    """All connectors at once, through all fault scenarios."""
    folder = tmp_path_factory.mktemp("certify")

    async def main() -> list[CertificationOutcome]:
        return list(await asyncio.gather(*(stage(name, folder / name, "all", rate=10.0).run() for name in NAMES)))

    return {outcome.connector: outcome for outcome in asyncio.run(main())}


def test_keys_are_not_needed_and_so_many_are_proven_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keyed venue, beside others; the second begins when the first has ended."""
    monkeypatch.delenv("K2_ALPACA_IEX_KEY", raising=False)
    running: list[str] = []
    most = 0
    real = Certification.run

    async def noted(self: Certification) -> CertificationOutcome:
        nonlocal most
        running.append(self.plan.name)
        most = max(most, len(running))
        found = await real(self)
        running.remove(self.plan.name)
        return found

    monkeypatch.setattr(Certification, "run", noted)
    names = ["alpaca-iex", "kraken", "coinbase"]
    options = CertifyOptions(names, duration="1s", rate=20, faults="duplicates", folder=tmp_path, at_once=2)
    assert run(options) == 0
    assert most == 2
    assert "K2_ALPACA_IEX_KEY" not in os.environ
    shown = capsys.readouterr().out
    assert [name for name in names if f"{name}: passed" in shown] == names


def test_where_equal_items_are_one_record_one_of_them_is_enough(tmp_path: Path) -> None:
    """A `distinct` identity without a time of the venue's: what comes twice is published once, and none is missing."""
    outcome = asyncio.run(stage("bitkub", tmp_path, "duplicates").run())
    assert failures(outcome) == []
    assert all(row.deduplicated > 0 and row.lost == 0 for row in outcome.proof.rows)


def test_all_are_those_that_ship_and_have_a_venue() -> None:
    names = {plan.name for plan in _plans(["all"])}
    assert {"kraken", "oanda", "lseg-rto"} <= names
    assert "asx-trades" not in names  # it reads files


def test_candles_pass(tmp_path: Path) -> None:
    """Those whose venue says which state is the last, and those that are over when the next one opens."""

    async def main() -> list[CertificationOutcome]:
        faults = "gap,duplicates,reorder,corrupt,cut"
        stages = [stage(name, tmp_path / name, faults, streams=("candle_1m",)) for name in ("okx", "kraken")]
        return list(await asyncio.gather(*(one.run() for one in stages)))

    for outcome in asyncio.run(main()):
        assert failures(outcome) == []
        assert {row.stream for row in outcome.proof.rows} == {"candle_1m"}
        assert all(row.published > 20 and row.lost == 0 for row in outcome.proof.rows)


@pytest.mark.deploy
@pytest.mark.parametrize("name", NAMES)
def test_it_passes(outcomes: dict[str, CertificationOutcome], name: str) -> None:
    outcome = outcomes[name]
    assert failures(outcome) == []
    assert outcome.passed
    assert {row.stream for row in outcome.proof.rows} == {"trade", "quote"}
    for row in outcome.proof.rows:
        assert row.sent == row.published + row.deduplicated + row.filtered + row.quarantined
        assert row.published > 50
        assert row.quarantined > 0
        assert row.lost == 0


CLUSTER = {"broker", "slow-broker", "dead-broker", "registry-away", "registry-start", "kill"}


@pytest.mark.deploy
@pytest.mark.parametrize("name", NAMES)
def test_every_fault_of_the_exchange_was_run(outcomes: dict[str, CertificationOutcome], name: str) -> None:
    done = {trial.name for trial in outcomes[name].trials if not trial.skipped}
    context = ScenarioContext(load(name), MockExchange(load(name)))
    assert done == {scenario.name for scenario in FAULT_SCENARIOS if not scenario.skipped(context)}
    assert done >= {one.name for one in FAULT_SCENARIOS} - {"bomb", "no-pong", "lost-acks"} - CLUSTER
    assert ("bomb" in done) is can_expand(context.plan)


@pytest.mark.deploy
def test_what_needs_kafka_is_never_passed_over_in_silence(outcomes: dict[str, CertificationOutcome]) -> None:
    outcome = outcomes["kraken"]
    assert set(outcome.not_run) == CLUSTER
    reasons = {trial.name: trial.skipped for trial in outcome.trials if trial.skipped}
    assert reasons["kill"] == "not run: needs --kafka HOST:PORT and --registry URL"
    assert reasons["broker"] == "not run: needs --broker-pid PID, a broker on this machine"
    assert reasons["bomb"] == "not applicable: its frames are not compressed"
    found = document([outcome])["connectors"][0]
    assert set(found["not_run"]) == CLUSTER
    verdicts = {trial["name"]: trial["verdict"] for trial in found["ordeals"]}
    assert (verdicts["kill"], verdicts["bomb"], verdicts["cut"]) == ("not run", "not applicable", "passed")
    assert "dead-broker, registry-away" in not_run_reasons(outcome)
    assert "Not run: broker (needs --broker-pid" in page([outcome])


@pytest.mark.deploy
def test_what_was_skipped_is_in_gap_records(outcomes: dict[str, CertificationOutcome]) -> None:
    for name, outcome in outcomes.items():
        rules = {one.name: one.sequence.rule for one in load(name).streams if one.default and one.sequence}
        assert (outcome.gaps > 0) is ("contiguous" in rules.values()), name


@pytest.mark.deploy
def test_repeats_are_published_once_where_they_can_be_told(outcomes: dict[str, CertificationOutcome]) -> None:
    for name, outcome in outcomes.items():
        for row in outcome.proof.rows:
            assert (row.deduplicated > 0) is (load(name).stream(row.stream).venue_id is not None), (name, row.stream)


@pytest.mark.deploy
def test_the_reports(outcomes: dict[str, CertificationOutcome]) -> None:
    found = json.loads(json.dumps(document(list(outcomes.values()))))
    assert found["passed"] is True
    assert [one["connector"] for one in found["connectors"]] == list(NAMES)
    assert found["connectors"][0]["totals"]["lost"] == 0
    text = page(list(outcomes.values()))
    assert text.count("<h2>") == len(NAMES)
    assert "http" not in re.sub("HTTP|http-429|http-equiv", "", text)  # it needs nothing else


# -- what is wrong does not pass


class Leaky:
    """A sink that says of one record that it is durable and never writes it."""

    def __init__(self, settings: SinkSettings, settle: Settle, reject: Reject) -> None:
        self.inner = make_sink(settings, settle, reject)
        self.settle = settle
        self.put_so_far = 0
        self.dropped: list[str] = []

    def put_all(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            self.put(envelope)

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
    options = CertifyOptions([only_trades(tmp_path)], duration="1s", faults="duplicates", reports=reports, rate=40)
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
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certification, Readback]:
    """A small certification, and what it read back."""
    one = stage("coinbase", tmp_path_factory.mktemp("played"), "gap,garbage")
    asyncio.run(one.run())
    return one, asyncio.run(one._read_back())


def verdict(played: tuple[Certification, Readback], change: Callable[[Readback], None]) -> list[str]:
    """The failures reported for records that were tampered with after reading them back."""
    one, readback = played
    copy = Readback(list(readback.records), list(readback.gaps), list(readback.dead_letters))
    change(copy)
    proof = prove(ExpectedRecords(one.context.plan, one.streams, one.exchange), copy, one._ledger)
    outcome = CertificationOutcome("coinbase", "COINBASE", "file", 0, 20, 1.0, [], proof, 0, {}, [])
    assert outcome.passed is not failures(outcome)
    return failures(outcome)


def test_nothing_is_reported_against_an_honest_readback(played: tuple[Certification, Readback]) -> None:
    assert verdict(played, lambda readback: None) == []


def test_a_record_that_is_there_twice(played: tuple[Certification, Readback]) -> None:
    record = played[1].records[3]
    own = record.get("trade_id") or record["quote_id"]
    assert any(f"published twice: {own}" in text for text in verdict(played, lambda h: h.records.append(record)))


def test_a_record_that_nobody_sent(played: tuple[Certification, Readback]) -> None:
    record = {**played[1].records[3], "message_id": "00000000-0000-5000-8000-000000000000"}
    assert any("never generated it" in text for text in verdict(played, lambda h: h.records.append(record)))


def test_a_gap_that_is_not_reported(played: tuple[Certification, Readback]) -> None:
    assert any("missing without a gap record" in text for text in verdict(played, lambda h: h.gaps.clear()))


def test_a_dead_letter_that_is_missing(played: tuple[Certification, Readback]) -> None:
    assert any("have no dead letter" in text for text in verdict(played, lambda h: h.dead_letters.pop()))


def test_a_dead_letter_too_many(played: tuple[Certification, Readback]) -> None:
    letter = {**played[1].dead_letters[0], "frame": "{}"}
    assert any("were not sent broken" in text for text in verdict(played, lambda h: h.dead_letters.append(letter)))


# -- its parts


def test_short_timeouts_change_timeouts_only() -> None:
    plan = load("kraken")
    quick = with_short_timeouts(plan)
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


@pytest.mark.parametrize(
    ("fault", "found", "late", "again"),
    [
        ("cut", {"wrong": ["the connector did not reconnect"]}, 0.5, True),
        ("cut", {"wrong": ["the connector did not reconnect"]}, 0.1, False),  # the machine is no excuse
        ("cut", {"reconnects": {"lost": 1}}, 0.5, False),
        ("corrupt", {"reconnects": {"lost": 1}, "dead_letters": 3}, 0.0, True),  # what was in flight is in doubt
        ("corrupt", {"dead_letters": 3}, 0.5, False),
    ],
)
def test_a_scenario_that_an_overloaded_machine_disturbed_is_run_again(
    tmp_path: Path, fault: str, found: dict[str, Any], late: float, again: bool
) -> None:
    one = stage("kraken", tmp_path, fault)
    one._longest_delay = late
    assert one._disturbed(one.scenarios[0], ScenarioRun(fault, "", **found)) is again


def test_unknown_faults_and_sinks_are_refused() -> None:
    with pytest.raises(SettingsError, match="there is no earthquake; known are gap"):
        chosen("gap,earthquake")
    with pytest.raises(SettingsError, match="must be read back"):
        run(CertifyOptions(["kraken"], sink="console"))
    with pytest.raises(SettingsError, match=r"ends in \.txt, \.json or \.html"):
        run(CertifyOptions(["kraken"], reports=[Path("report.pdf")]))


@pytest.mark.parametrize("frame", ['{"a":1}', "[1]", '"x"', "pong", b"\x1f\x8b\x08\x00"])
def test_a_corrupted_frame_is_another(frame: str | bytes) -> None:
    assert corrupted(frame) != frame
    assert type(corrupted(frame)) is type(frame)


def test_what_is_under_way_at_a_cut_is_in_doubt_and_the_rest_is_sure() -> None:
    plan = load("binance")

    async def main() -> None:
        from tests.connectors.test_mock import Listener

        sent_frames = SentFrames()
        async with MockExchange(plan, rate=0, sent_frames=sent_frames) as exchange:
            listener = Listener(plan, ("BTCUSDT",), ("trade",))
            task = asyncio.create_task(listener.run(exchange))
            await exchange.wait_for(lambda: exchange.subscriptions)
            await exchange.play("trade", "BTCUSDT", 20)
            await exchange.wait_for(lambda: sent_frames.settled)
            exchange.freeze_clients()
            exchange.clients[0].socket.transport.abort()
            await task
            (client_session,) = sent_frames.client_sessions
            assert [one.ids for one in client_session.unconfirmed_frames()] == []
            assert Counter(own for one in client_session.confirmed_frames() for own in one.ids) == Counter(
                exchange.sent["trade", "BTCUSDT"]
            )

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


# -- the proxy


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """A server that sends everything back; its port."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(100):
                writer.write(data)
        writer.transport.abort()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.sleep(0.1)  # until both ends of what was aborted are gone


class Caller:
    """A client's end of one connection."""

    def __init__(self, ends: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self.reader, self.writer = ends

    async def echo(self, text: bytes) -> bytes:
        self.writer.write(text)
        return await asyncio.wait_for(self.reader.readexactly(len(text)), 5)

    async def ended(self) -> bool:
        """Whether the other end is gone; then this one goes, too."""
        with suppress(ConnectionError):
            assert await asyncio.wait_for(self.reader.read(), 5) == b""
        self.writer.transport.abort()
        return True


def test_a_proxy_passes_on_cuts_refuses_and_slows() -> None:
    async def main() -> None:
        proxy, loop = FaultProxy(), asyncio.get_running_loop()
        async with echoing() as port:
            place = await proxy.through("127.0.0.1", port)
            assert place == ("127.0.0.1", place[1])
            assert place[1] != port
            assert await proxy.through("127.0.0.1", port) == place
            one = Caller(await asyncio.open_connection(*place))
            assert await one.echo(b"here") == b"here"
            proxy.delay = 0.2
            began = loop.time()
            assert await one.echo(b"slow") == b"slow"
            assert loop.time() - began >= 0.4  # there and back
            proxy.cut()
            assert await one.ended()
            assert (proxy.cuts, proxy.refused) == (1, 0)
            assert await Caller(await asyncio.open_connection(*place)).ended()
            assert (proxy.cuts, proxy.refused) == (1, 1)
            proxy.mend()
            another = Caller(await asyncio.open_connection(*place))
            assert await another.echo(b"back") == b"back"
            await proxy.close()
            assert await another.ended()

    asyncio.run(main())


def test_a_detour_leads_a_task_and_those_it_starts_elsewhere_and_nobody_else() -> None:
    asked: list[tuple[str, int]] = []

    async def main() -> None:
        async with echoing() as port:

            async def own(host: str, number: int) -> tuple[str, int]:
                asked.append((host, number))
                await reach("127.0.0.1", port)  # a way's own connections take no way
                return "127.0.0.1", port

            async def reach(host: str, number: int) -> None:
                caller = Caller(await asyncio.open_connection(host, number))
                assert await caller.echo(b"here") == b"here"
                caller.writer.transport.abort()

            async def led() -> None:
                reroute.set(own)
                await asyncio.create_task(reach("broker.example", 9092))

            await asyncio.create_task(led())
            assert asked == [("broker.example", 9092)]
            await reach("127.0.0.1", port)
            assert len(asked) == 1

    with asyncio.Runner(loop_factory=ProxiedEventLoop) as loop:
        loop.run(main())


# -- the real broker

KAFKA_NAMES = ("kraken", pytest.param("htx", marks=pytest.mark.deploy))
"""One whose numbers are contiguous, one with compressed frames and without numbers."""
APART = ("broker", "slow-broker", "dead-broker", "registry-away")
"""Played at the same time as the others, in a certification of their own: it is shorter."""


@dataclass
class Certified:
    """Both certifications of a connector, and the crash restarts of its process with the records read back."""

    outcomes: list[CertificationOutcome]
    crash_restart: CrashRestart
    readback: Readback

    @property
    def trials(self) -> dict[str, ScenarioRun]:
        return {trial.name: trial for outcome in self.outcomes for trial in outcome.trials}


@pytest.fixture(scope="module")
def certified(
    own_broker: Broker, registry: SharedRegistry, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Certified]:
    """Leads a connector through all fault scenarios, when it is asked for first."""

    @cache
    def certify(name: str) -> Certified:
        crash_restart: list[CrashRestart] = []
        folder = tmp_path_factory.mktemp("kafka")
        rest = ",".join(one.name for one in FAULT_SCENARIOS if one.name not in APART)
        certifications = []
        for faults in (rest, ",".join(APART)):
            options = CertifyOptions((name,), duration="1s", rate=20, kafka=own_broker.bootstrap, registry=registry.url,
                                     faults=faults)
            own_folder = folder / f"{name}-{len(certifications)}"
            certifications.append(_certification(load(name), options, own_folder, own_broker, make_spooled))
        real = CrashRestart.run

        async def noted(self: CrashRestart) -> Any:
            crash_restart.append(self)
            return await real(self)

        async def main() -> tuple[list[CertificationOutcome], Readback]:
            outcomes = await asyncio.gather(*(one.run() for one in certifications))
            (killed,) = crash_restart
            return outcomes, await killed._read(f"{killed._prefix}kill.")

        with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=ProxiedEventLoop) as loop:
            patch.setattr(CrashRestart, "run", noted)
            outcomes, readback = loop.run(main())
        return Certified(outcomes, *crash_restart, readback)

    return certify


@pytest.mark.deploy
@pytest.mark.kafka
@pytest.mark.parametrize("name", KAFKA_NAMES)
def test_all_scenarios_with_the_real_broker(certified: Callable[[str], Certified], name: str) -> None:
    for outcome in certified(name).outcomes:
        assert failures(outcome) == []
        assert outcome.passed
        assert outcome.not_run == ()
    trials = certified(name).trials
    assert trials.keys() == {scenario.name for scenario in FAULT_SCENARIOS}
    assert {trial.name for trial in trials.values() if trial.skipped} == {"bomb" if name == "kraken" else "no-pong"}
    assert trials["dead-broker"].waiting > DEAD * 4 * 20 * 0.8  # two streams of two symbols
    assert trials["dead-broker"].drained is not None
    assert trials["slow-broker"].waiting > 10
    assert any("published meanwhile" in text for text in trials["registry-away"].seen)
    assert any("exit code 69" in text for text in trials["registry-start"].seen)


@pytest.mark.deploy
@pytest.mark.kafka
@pytest.mark.parametrize("name", KAFKA_NAMES)
def test_what_kill_9_cost(certified: Callable[[str], Certified], name: str) -> None:
    rows = certified(name).outcomes[0].crash_losses
    assert {row.stream for row in rows} == {"trade", "quote"}
    for row in rows:
        assert row.balanced
        assert row.sent == row.published + row.filtered + row.quarantined + row.lost
        assert row.published > 100
        assert row.missed > 0
        assert row.lost <= 20  # half a second's, twice
        reported = name == "kraken" and row.stream == "trade"
        assert (row.missed_reported, row.missed_untold) == ((row.missed, 0) if reported else (0, row.missed))


def judged(one: Certified, change: Callable[[Readback], None], kills: list[Kill] | None = None) -> list[str]:
    """The failures reported for crash restarts whose records were tampered with."""
    readback = Readback(list(one.readback.records), list(one.readback.gaps), list(one.readback.dead_letters))
    change(readback)
    crash_restart = one.crash_restart
    reference = ExpectedRecords(crash_restart.plan, crash_restart.streams, crash_restart.exchange)
    done = crash_restart._kills_done if kills is None else kills
    return account_for_losses(reference, readback, done, crash_restart._confirmed_at)[1]


@pytest.mark.deploy
@pytest.mark.kafka
def test_nothing_about_kill_9_can_be_hidden(certified: Callable[[str], Certified]) -> None:
    one = certified("kraken")
    assert judged(one, lambda readback: None) == []
    early = trade_of(one.crash_restart, 0, 20)
    assert any(f"lost: {early}, read" in text for text in judged(one, lambda h: without(h, early)))
    last = trade_of(one.crash_restart, -1, 5)
    said = f"lost: {last}, by a process that was not killed"
    assert any(said in text for text in judged(one, lambda h: without(h, last)))
    assert any("missing without a gap record" in text for text in judged(one, lambda h: h.gaps.clear()))
    assert any(f"published twice: {last}, and no" in text for text in judged(one, lambda h: again(h, last)))
    other = "with one message_id and different contents"
    assert any(other in text for text in judged(one, lambda h: again(h, early, price="1")))
    assert judged(one, lambda h: again(h, early)) == []  # a process that was killed may have sent it again
    strange = {"message_id": "00000000-0000-5000-8000-000000000000"}
    assert any("never generated it" in text for text in judged(one, lambda h: again(h, last, **strange)))
    assert any("published twice" in text for text in judged(one, lambda h: again(h, early), kills=[]))


def trade_of(crash_restart: CrashRestart, client_session: int, frame: int) -> str:
    """The trade id of a frame of a connection, as its record has it."""
    own = next(
        sent
        for sent in crash_restart.sent_frames.client_sessions[client_session].frames[frame:]
        if sent.key and sent.key[0] == "trade"
    )
    return f"{crash_restart.plan.exchange}-{own.ids[0]}"


def without(readback: Readback, trade_id: str) -> None:
    readback.records = [one for one in readback.records if one.get("trade_id") != trade_id]


def again(readback: Readback, trade_id: str, **other: Any) -> None:
    record = next(one for one in readback.records if one.get("trade_id") == trade_id)
    readback.records.append({**record, **other})


@pytest.mark.deploy
@pytest.mark.kafka
def test_the_report_of_kill_9(certified: Callable[[str], Certified]) -> None:
    outcome = certified("kraken").outcomes[0]
    found = json.loads(json.dumps(document([outcome])))["connectors"][0]
    assert found["not_run"] == []
    assert [row["balanced"] for row in found["kill"]] == [True] * 4
    assert "kill -9:" in page([outcome])


@pytest.mark.deploy
@pytest.mark.kafka
def test_the_command_with_the_real_broker(
    own_broker: Broker, registry: SharedRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.txt"
    options = CertifyOptions(["kraken"], duration="1s", rate=40, kafka=own_broker.bootstrap, registry=registry.url,
                      faults="gap,cut,registry-away,broker", broker_pid=own_broker.pid, reports=[report])
    assert run(options) == 0
    said = capsys.readouterr().out
    assert "kraken: passed" in said
    assert "published meanwhile" in said
    assert "freezes" in report.read_text()


# -- a process that is killed


def test_an_engine_is_killed_and_says_how_it_ended(tmp_path: Path) -> None:
    def launch(setting: ProcessSettings) -> tuple[list[str], dict[str, str]]:
        return ["-c", "import time; print('here', flush=True); time.sleep(60)"], {"PATH": "/usr/bin:/bin"}

    setting = ProcessSettings((), "", "", "", "", tmp_path)

    async def main() -> None:
        one = ConnectorProcess(launch, setting, tmp_path / "log")
        await one.start()
        assert one.running
        assert await one.ended(0.3) == -signal.SIGKILL
        assert not one.running
        assert one.tail() == "here"
        another = ConnectorProcess(launch, setting, tmp_path / "log")
        await another.start()
        assert await another.stop() == -signal.SIGTERM

    asyncio.run(main())


def test_crash_losses_that_do_not_balance() -> None:
    row = CrashLosses("trade", "BTCUSD", sent=10, published=9, lost=1)
    assert row.balanced
    assert not replace(row, lost=0).balanced
    assert not replace(row, wrong=["anything"]).balanced


def test_of_a_registry_with_several_addresses_the_first_is_played_with() -> None:
    kafka = KafkaSettings(registry_url="http://127.0.0.1:8081,http://127.0.0.1:8082")
    one = Certification(load("kraken"), SinkSettings(kind="kafka", options=kafka), chosen("all"))
    assert one.settings.options.registry_url == "http://127.0.0.1:8081"
