"""The console in Chromium, against the whole process: what people see, by which keys they reach it, what axe says of
it, and that nothing a venue says becomes more than text.

K2CONN_PICTURES=1 makes the pictures of docs/console.md anew.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.paths import ROOT
from tests.servers import SharedBroker, SharedRegistry, browser
from tests.servers.browser import ChromiumBrowser, Window
from tests.servers.prerequisites import Missing
from tests.servers.process import free_port
from tests.support.console_venues import HISTORY, HOSTILE, WRONG_FIELD, write_specs
from tests.support.recordings import environment, mock
from tests.support.tape_venue import connector_file, tape_venue

pytestmark = pytest.mark.deploy
PICTURES = ROOT / "docs" / "pictures"
TOKEN = "open-sesame-open-sesame"
PAGES = {
    "overview": "", "steady": "#/connector/steady", "wrong": "#/connector/wrong", "hostile": "#/connector/hostile",
    "away": "#/connector/away", "symbol": "#/symbol/steady/BTCUSD", "tap": "#/tap?connector=steady",
    "nobody": "#/connector/nobody",
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[ChromiumBrowser]:
    try:
        with browser.started() as found:
            yield found
    except Missing as missing:
        pytest.skip(str(missing))


def health(port: int, host: str = "127.0.0.1") -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{host}:{port}/health", timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def run(folder: Path, *words: object, sink: str = "none", **variables: str) -> Iterator[int]:
    """`k2conn run` as a user starts it; its port."""
    port = free_port()
    log = folder / f"run-{port}.log"
    with log.open("w") as out, subprocess.Popen(
        [sys.executable, "-m", "k2conn", "run", *map(str, words), "--sink", sink, "--daemon", "--port", str(port)],
        cwd=folder, env=environment(**variables), stdout=out, stderr=out,
    ) as process:
        try:
            for _ in range(600):
                assert process.poll() is None, log.read_text()
                try:
                    if sum(one["received"] for one in health(port)["connectors"].values()) > 100:
                        break
                except OSError:
                    pass
                time.sleep(0.1)
            else:
                raise AssertionError(log.read_text())
            yield port
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def venues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str], dict[str, str]]]:
    """A folder with connector files, their names, and the variables that lead to their venues."""
    folder = tmp_path_factory.mktemp("console")
    names, log = write_specs(folder), folder / "venues.log"
    with log.open("w") as out, subprocess.Popen(
        [sys.executable, "-u", "-m", "tests.support.console_venues"], cwd=folder, env=environment(), stdout=out,
        stderr=out,
    ) as process:
        try:
            for _ in range(300):
                found = dict(re.findall(r"(K2_\w+)=(\S+)", log.read_text()))
                if "K2_AWAY_WEBSOCKET_URL" in found:  # the last one
                    break
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            yield folder, names, found
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def running(venues: tuple[Path, list[str], dict[str, str]]) -> Iterator[int]:
    folder, names, variables = venues
    with run(folder, *names, **variables) as port:
        for _ in range(300):  # so that every part of a page has something to show
            said = health(port)["connectors"]
            if said["steady"]["gaps"] and said["hostile"]["dead_letters"] and said["away"]["reconnect_causes"]:
                break
            time.sleep(0.1)
        yield port


def go(window: Window, port: int, page: str, host: str = "127.0.0.1") -> None:
    window.page.goto(f"http://{host}:{port}/{PAGES[page]}")
    window.page.wait_for_selector("h1", state="attached")


def clean(window: Window, port: int) -> None:
    """Nothing was asked of others, nothing was refused by the content policy, nothing went wrong."""
    assert {urlsplit(one).netloc for one in window.asked} == {f"127.0.0.1:{port}"}
    assert window.said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_filled_and_can_be_used_by_all(
    chromium: ChromiumBrowser, running: int, page: str, scheme: str
) -> None:
    with chromium.window(scheme) as window:
        go(window, running, page)
        if page not in ("tap", "nobody"):
            window.page.wait_for_selector(".spark-line", state="attached")
        if page in ("steady", "symbol"):
            window.page.wait_for_selector(".timeline .gap")
        if page in ("steady", "wrong", "hostile", "away"):
            window.page.wait_for_selector(".way .box")
        assert window.faults() == []
        clean(window, running)


def test_axe_finds_a_page_that_cannot_be_used_by_all(chromium: ChromiumBrowser, running: int) -> None:
    with chromium.window() as window:
        go(window, running, "overview")
        window.page.evaluate("""() => {
            const image = document.createElement('img');
            image.src = '/console/icon.svg';
            const field = document.createElement('input');
            document.body.append(image, field);
        }""")
        assert {one.split(":")[0] for one in window.faults()} >= {"image-alt", "label"}


def test_the_content_policy_holds(chromium: ChromiumBrowser, running: int) -> None:
    """What a page of the console is made to do by somebody else, it does not do; and that is seen."""
    with chromium.window() as window:
        go(window, running, "overview")
        window.page.evaluate("""() => {
            const script = document.createElement('script');
            try { script.textContent = "document.title = 'owned'"; } catch { }
            document.body.append(script);
            try { document.body.innerHTML = '<b>owned</b>'; } catch { }
            const image = document.createElement('img');
            image.src = 'http://127.0.0.2:1/x.png';
            document.body.append(image);
        }""")
        window.page.wait_for_timeout(300)
        assert "owned" not in window.page.title()
        assert window.page.locator("#main").count() == 1
        assert len(window.said) >= 2


def test_a_stranger_finds_within_a_minute_why_a_connector_publishes_nothing(
    chromium: ChromiumBrowser, running: int
) -> None:
    """By keys alone, reading what stands there: which is broken, why, and the place in the frame."""
    with chromium.window() as window:
        page, began = window.page, time.monotonic()
        page.goto(f"http://127.0.0.1:{running}/")
        page.wait_for_selector(".verdict.bad")
        assert "2 of 4 connectors broken" in page.inner_text(".verdict")
        broken = page.locator(".verdict li", has_text="wrong")
        assert "Every record of stream trade becomes a dead letter: missing-field" in broken.inner_text()
        for _ in range(40):  # as a keyboard gets there
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == "wrong":
                break
        page.keyboard.press("Enter")
        page.wait_for_selector("h1:has-text('wrong')")
        page.wait_for_selector(".frame")
        assert page.inner_text(".verdict").startswith("Every record of stream trade becomes a dead letter")
        facts = page.inner_text("article .facts")
        assert "quantity" in facts
        assert WRONG_FIELD in facts  # the expression that the file has
        assert '"q":"' in page.inner_text(".frame mark")  # and what the venue calls it
        assert "0 published" in page.locator(".way").text_content()
        assert time.monotonic() - began < 60
        clean(window, running)


def test_everything_can_be_reached_by_keys(chromium: ChromiumBrowser, running: int) -> None:
    with chromium.window() as window:
        page = window.page
        go(window, running, "overview")
        page.wait_for_selector("tbody tr")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        seen = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            seen.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        wanted = set(page.evaluate("""() => [...document.querySelectorAll('main a, main button, main input')]
            .map((one) => one.id || one.textContent.trim())"""))
        assert wanted <= seen
        page.focus("#filter")  # what stands there stays while pages come
        page.keyboard.type("stea")
        page.wait_for_timeout(2500)
        assert page.evaluate("document.activeElement.id") == "filter"
        assert page.locator("table.connectors tbody tr").count() == 1
        page.get_by_role("button", name="Connector", exact=True).focus()
        page.keyboard.press("Enter")
        assert page.locator("th[aria-sort=ascending]").inner_text() == "Connector"
        page.focus("#pause")
        page.keyboard.press("Space")
        page.wait_for_selector("#link:has-text('Paused')")
        before = page.inner_text("main")
        page.wait_for_timeout(2500)
        assert page.inner_text("main") == before
        clean(window, running)


def test_a_gap_is_seen_while_it_is_fetched_and_filled_or_given_up(
    chromium: ChromiumBrowser, venues: tuple[Path, list[str], dict[str, str]]
) -> None:
    """As somebody sees it who has the page open: on the time line, in the table, in the sums. One symbol's history is
    there, the other's is not.
    """
    folder, _, variables = venues
    with run(folder, f"{HISTORY}.yaml", **variables) as port, chromium.window() as window:
        page = window.page
        page.goto(f"http://127.0.0.1:{port}/#/connector/{HISTORY}")
        page.wait_for_selector(".timeline .gap-pending", state="attached", timeout=60_000)
        page.wait_for_selector("td:has-text('being fetched')")
        page.wait_for_selector(".timeline .gap-done", state="attached", timeout=60_000)
        page.wait_for_selector(".timeline .gap-failed", state="attached", timeout=60_000)
        filled = page.locator("tr", has_text="filled").filter(has_text="BTCUSD").first
        assert filled.locator("td.number").all_inner_texts() == ["0", "3"]  # none are missing any more
        given_up = page.locator("tr", has_text="given up").filter(has_text="ETHUSD").first
        assert given_up.locator("td.number").all_inner_texts() == ["3", "0"]
        assert re.search(r"[1-9]\d* missing, [1-9]\d* filled", page.inner_text("main"))
        assert re.search(r"\d filled.*\d given up", page.get_attribute(".timeline", "aria-label") or "")
        page.goto(f"http://127.0.0.1:{port}/#/symbol/{HISTORY}/BTCUSD")
        page.wait_for_selector("h1:has-text('BTCUSD')")
        page.wait_for_selector(".timeline .gap-done", state="attached")
        assert page.locator(".timeline .gap-failed").count() == 0
        assert window.faults() == []
        clean(window, port)


def test_what_a_venue_says_stays_text(chromium: ChromiumBrowser, running: int) -> None:
    with chromium.window() as window:
        page = window.page
        go(window, running, "hostile")
        page.wait_for_selector("article")
        for one in page.locator("details summary").all():
            one.click()
        page.wait_for_timeout(2000)
        text = page.inner_text("main")
        assert "<img src=x" in text  # it is seen, as it was said
        for odd in "\u202e\u202c\u001b\u0007":
            assert odd not in page.evaluate("document.documentElement.outerHTML")
        assert page.locator("main img, main script, main iframe").count() == 0
        links = page.evaluate("[...document.querySelectorAll('a')].map((one) => one.getAttribute('href'))")
        assert all(one.startswith("#") for one in links)
        for name in HOSTILE:  # as a page's own name, too
            page.goto(f"http://127.0.0.1:{running}/#/symbol/hostile/{urllib.request.quote(name, safe='')}")  # type: ignore[attr-defined]
            page.wait_for_selector(".note")
        page.goto(f"http://127.0.0.1:{running}/#/tap?connector=hostile")
        page.get_by_role("checkbox", name="frames received").check()
        page.get_by_role("button", name="Start").click()
        page.wait_for_selector("details:has-text('evil.example')")
        page.locator("details summary").first.click()
        assert page.locator("main img, main script, main a[href^=http]").count() == 0
        assert "owned" not in page.title()
        clean(window, running)


def test_the_tap_shows_what_passes_by_a_condition(chromium: ChromiumBrowser, running: int) -> None:
    with chromium.window() as window:
        page = window.page
        go(window, running, "tap")
        page.get_by_label("Condition").fill("record.side == 'BUY'")
        page.get_by_role("button", name="Start").click()
        page.wait_for_selector("details")
        page.wait_for_timeout(1000)
        lines = page.locator("details summary").all_inner_texts()
        assert len(lines) > 3
        assert all("side BUY" in line and "steady" in line for line in lines)
        assert window.faults() == []
        page.get_by_role("button", name="Stop").click()
        page.wait_for_selector("text=Not watching.")
        page.get_by_label("Condition").fill("record.(")
        page.get_by_role("button", name="Start").click()
        page.wait_for_selector("[role=alert]:has-text('where')")
        clean(window, running) if not window.said else None
        assert all("400" in said for said in window.said)


def test_a_token_where_others_can_ask(
    chromium: ChromiumBrowser, venues: tuple[Path, list[str], dict[str, str]]
) -> None:
    folder, _, variables = venues
    with run(folder, "steady.yaml", "--host", "0.0.0.0", **variables, K2_CONSOLE_TOKEN=TOKEN) as port:
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": "evil.example"}), timeout=10
            )
        with chromium.window() as window:
            page = window.page
            go(window, port, "steady")
            page.wait_for_selector("#token")
            assert window.faults() == []
            page.fill("#token", "not-the-token-not-the-token")
            page.keyboard.press("Enter")
            page.wait_for_selector("[role=alert]:has-text('not the token')")
            assert "steady" not in page.inner_text("main")
            page.fill("#token", TOKEN)
            page.keyboard.press("Enter")
            page.wait_for_selector(".way .box")
            (cookie,) = page.context.cookies()
            assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/console")
            assert TOKEN not in json.dumps(cookie)
            assert not any(TOKEN in one for one in window.asked)
            page.reload()
            page.wait_for_selector(".way .box")
        log = "".join(path.read_text() for path in folder.glob(f"run-{port}.log"))
        assert TOKEN not in log
    with run(folder, "steady.yaml", "--host", "0.0.0.0", **variables) as port, chromium.window() as window:
        go(window, port, "overview")
        window.page.wait_for_selector("text=needs K2_CONSOLE_TOKEN")


def test_no_console_where_none_is_wanted(venues: tuple[Path, list[str], dict[str, str]]) -> None:
    folder, _, variables = venues
    with run(folder, "steady.yaml", **variables, K2_CONSOLE="off") as port, \
            pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)


def test_a_process_that_goes_and_comes_again(
    chromium: ChromiumBrowser, venues: tuple[Path, list[str], dict[str, str]]
) -> None:
    folder, _, variables = venues
    with chromium.window() as window:
        with run(folder, "steady.yaml", **variables) as port:
            go(window, port, "overview")
            window.page.wait_for_selector("tbody tr")
        window.page.wait_for_selector("#link:has-text('Connection lost')")
        assert window.page.locator("tbody tr").count() >= 1  # what was known stays


def test_several_processes_are_shown_as_one(
    chromium: ChromiumBrowser, venues: tuple[Path, list[str], dict[str, str]]
) -> None:
    folder, _, variables = venues
    with run(folder, "steady.yaml", "--workers", 2, **variables) as port, chromium.window() as window:
        go(window, port, "steady")
        window.page.wait_for_selector(".way text:has-text('socket 0/main-0')")
        window.page.wait_for_selector(".way text:has-text('socket 1/main-0')")
        assert window.faults() == []
        go(window, port, "tap")
        window.page.get_by_role("button", name="Start").click()
        for worker in (0, 1):
            of_worker = window.page.locator("details pre", has_text=f'"worker": {worker}')
            of_worker.first.wait_for(state="attached")


@pytest.mark.kafka
def test_a_group_is_seen_with_its_members_and_slots(
    chromium: ChromiumBrowser, broker: SharedBroker, registry: SharedRegistry, kafka_topic: Callable[[str], str],
    tmp_path: Path,
) -> None:
    """Exactly once: what each member owns and carries, and that one has gone."""
    with tape_venue(40) as venue, ExitStack() as stack:
        file = connector_file(tmp_path, venue, history=True)
        given = {
            "K2_GROUP": "market", "K2_GROUP_SLOTS": "4", "K2_GROUP_SESSION": "6s", "K2_KAFKA_CREATE_TOPICS": "true",
            "K2_KAFKA_DELIVERY": "exactly-once", "K2_KAFKA_TOPIC_PREFIX": kafka_topic(""),
            "K2_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "K2_KAFKA_SCHEMA_REGISTRY_URL": registry.url,
            "K2_TAPE_SYMBOLS": "BTC-USD,ETH-USD,SOL-USD,XRP-USD,ADA-USD,DOGE-USD",
        }
        port = stack.enter_context(run(tmp_path, file, sink="kafka", K2_GROUP_INSTANCE_ID="first", **given))
        other = ExitStack()
        with other, chromium.window() as window:
            other.enter_context(run(tmp_path, file, sink="kafka", K2_GROUP_INSTANCE_ID="second", **given))
            go(window, port, "overview")
            section = window.page.locator("section", has=window.page.get_by_role("heading", name="Group"))
            row = section.locator("tr[data-key=first]")
            row.get_by_text("this one").wait_for()
            section.locator("tr[data-key=second] td:nth-child(3)", has_text=re.compile("^[1-4]$")).wait_for()
            assert "market: 2 members, 4 slots" in section.inner_text()
            assert window.faults() == []
            clean(window, port)
            other.close()
            section.get_by_text(re.compile("market: 1 member, 4 slots")).wait_for()


def test_one_that_stalls_is_cut_off(running: int) -> None:
    """The whole of it by real sizes: a page that is asked for, and never read."""
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    stalled.connect(("127.0.0.1", running))
    stalled.sendall(b"GET /console/events?page=connector&connector=hostile HTTP/1.1\r\nHost: localhost\r\n\r\n")
    before = health(running)["connectors"]["steady"]["received"]
    for _ in range(90):
        time.sleep(1)
        with urllib.request.urlopen(f"http://127.0.0.1:{running}/metrics", timeout=60) as answer:
            found = re.search(rb"k2conn_console_dropped_clients_total (\d+)", answer.read())
        if found is not None and int(found[1]):
            break
    else:
        raise AssertionError("it is still there")
    assert health(running)["connectors"]["steady"]["received"] > before
    stalled.close()


def test_pictures(chromium: ChromiumBrowser, venues: tuple[Path, list[str], dict[str, str]], tmp_path: Path) -> None:
    """They can be made; those of the documentation are only made anew where that is wanted."""
    wanted = "K2CONN_PICTURES" in os.environ
    pictures = PICTURES if wanted else tmp_path
    folder, _, variables = venues
    names = ("binance", "bitstamp", "coinbase", "kraken")
    with mock(tmp_path, *names, "--rate", 25) as leading, run(
        folder, *names, "steady.yaml", "wrong.yaml", **variables, **leading
    ) as port:
        shots = {
            "overview": ("light", "", 980), "overview-dark": ("dark", "", 980),
            "broken": ("light", "#/connector/wrong", 1180), "connector-dark": ("dark", "#/connector/steady", 1240),
            "symbol": ("light", "#/symbol/steady/BTCUSD", 820), "tap": ("light", "#/tap?connector=kraken", 640),
        }
        for name, (scheme, place, height) in shots.items():
            with chromium.window(scheme, 1280, height) as window:
                window.page.goto(f"http://127.0.0.1:{port}/{place}")
                if name == "tap":
                    window.page.get_by_role("button", name="Start").click()
                window.page.wait_for_timeout((60_000 if name == "symbol" else 20_000) if wanted else 2000)
                pictures.mkdir(exist_ok=True)
                window.page.screenshot(path=pictures / f"console-{name}.png")
                assert (pictures / f"console-{name}.png").stat().st_size < 400_000
