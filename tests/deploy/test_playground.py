"""The playground in Chromium, against the whole process, as an author uses it: typing, reading, saving and opening."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from k2conn.cli.playground.sharing import EXAMPLE_FRAMES, EXAMPLE_SPEC
from tests.integration.test_playground import started
from tests.servers import browser
from tests.servers.browser import ChromiumBrowser, Window
from tests.servers.prerequisites import Missing
from tests.support.console_venues import BIDI, ESCAPES, MARKUP

pytestmark = pytest.mark.deploy
HOSTILE = json.dumps({"channel": "trades", "data": [
    {"symbol": f"{MARKUP}{BIDI}{ESCAPES}-USD", "id": MARKUP, "price": f"{BIDI}{ESCAPES}{MARKUP}", "size": "1",
     "side": MARKUP, "time": 1767323045678}]}, ensure_ascii=False)


@pytest.fixture(scope="module")
def chromium() -> Iterator[ChromiumBrowser]:
    try:
        with browser.started() as found:
            yield found
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    process, port = started(tmp_path_factory.mktemp("playground"))
    try:
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def go(window: Window, port: int) -> None:
    window.page.goto(f"http://127.0.0.1:{port}/")
    answered(window)


def answered(window: Window) -> None:
    window.page.wait_for_selector("body[data-state=shown]", timeout=60_000)


def asked_again(window: Window) -> None:
    """Waits for the answer to what was just typed."""
    window.page.wait_for_selector("body[data-state=asked]", timeout=60_000)
    answered(window)


def clean(window: Window, port: int) -> None:
    """It asked nobody but its own process, and said nothing amiss: a breach of the content policy is said, too."""
    assert [one for one in window.asked if not one.startswith((f"http://127.0.0.1:{port}/", "blob:"))] == []
    assert window.said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_begins_with_an_example_and_can_be_used_by_all(chromium: ChromiumBrowser, port: int, scheme: str) -> None:
    with chromium.window(scheme) as window:
        page = window.page
        go(window, port)
        assert page.input_value("#spec") == EXAMPLE_SPEC
        assert page.input_value("#frames") == EXAMPLE_FRAMES
        assert page.inner_text("#problems") == "The file is valid."
        kinds = page.locator("details.sheet > summary .pill").all_inner_texts()
        assert kinds == ["conversation", "conversation", "mapped", "mapped", "unrecognised"]
        way = page.locator("details.sheet[open] article table").first
        assert "64000.10" in way.inner_text()
        spec, frames = (page.locator(one).bounding_box() for one in ("#spec", "#frames"))
        results = page.locator("#results").bounding_box()
        assert spec["x"] + spec["width"] <= frames["x"]  # left and right of each other
        assert results["y"] >= frames["y"] + frames["height"]  # and below them what becomes of it
        assert window.faults() == []
        clean(window, port)


def test_what_is_typed_is_played(chromium: ChromiumBrowser, port: int) -> None:
    with chromium.window() as window:
        page = window.page
        go(window, port)
        page.fill("#spec", EXAMPLE_SPEC.replace("price: price", "prise: price"))
        asked_again(window)
        assert "prise" in page.inner_text("#problems")
        assert page.locator("#results details").count() == 0
        page.locator("#problems button", has_text="line").first.click()  # its line stands selected
        selected = page.evaluate("spec.value.slice(spec.selectionStart, spec.selectionEnd)")
        line = page.evaluate("spec.value.slice(0, spec.selectionStart).split('\\n').length")
        problem = page.locator("#problems button").first.inner_text()
        assert problem == f"line {line}"
        assert selected
        assert window.faults() == []
        page.fill("#spec", EXAMPLE_SPEC.replace("price: price", "price: cost"))
        asked_again(window)
        letter = page.locator("article", has_text="dead letter").first
        assert "missing-field" in letter.inner_text()
        assert "`cost` finds nothing; the item has symbol, id, price" in letter.inner_text()
        letter.get_by_role("button", name="line").click()
        assert "price: cost" in page.evaluate(
            "spec.value.split('\\n')[spec.value.slice(0, spec.selectionStart).split('\\n').length - 1]")
        page.fill("#spec", EXAMPLE_SPEC.partition("tests:")[0])
        asked_again(window)
        assert "warning: missing" in page.inner_text("#problems")
        page.focus("#spec")
        page.fill("#spec", EXAMPLE_SPEC)
        page.keyboard.press("Control+Enter")  # at once
        asked_again(window)
        page.wait_for_selector("#problems:has-text('The file is valid.')")
        clean(window, port)


def test_one_file_has_both_sides(chromium: ChromiumBrowser, port: int, tmp_path: Path) -> None:
    with chromium.window() as window:
        page = window.page
        go(window, port)
        spec = EXAMPLE_SPEC.replace("connector: example", "connector: mine")
        page.fill("#spec", spec)
        page.fill("#frames", "\n".join(EXAMPLE_FRAMES.splitlines()[2:3]))
        with page.expect_download() as loading:
            page.get_by_role("button", name="Save", exact=True).click()
        saved = tmp_path / loading.value.suggested_filename
        loading.value.save_as(saved)
        assert saved.name == "mine.playground.json"
        said = json.loads(saved.read_text())
        assert (said["kind"], said["spec"]) == ("k2conn playground", spec)
    with chromium.window() as window:  # somebody else's browser
        page = window.page
        go(window, port)
        page.set_input_files("#file", str(saved))
        asked_again(window)
        assert page.input_value("#spec") == spec
        assert page.input_value("#frames") == EXAMPLE_FRAMES.splitlines()[2]
        assert page.locator("details.sheet > summary .pill").all_inner_texts() == ["mapped"]
        frames = tmp_path / "frames.jsonl"
        frames.write_text('{"op":"heartbeat"}\n')
        page.set_input_files("#file", str(frames))  # one side alone
        asked_again(window)
        assert (page.input_value("#spec"), page.input_value("#frames")) == (spec, '{"op":"heartbeat"}\n')
        (tmp_path / "other.json").write_text(json.dumps({**said, "version": 99}))
        page.set_input_files("#file", str(tmp_path / "other.json"))
        page.wait_for_selector("#problems:has-text('another version')")
        assert page.input_value("#spec") == spec
        clean(window, port)


def test_what_a_frame_says_stays_text(chromium: ChromiumBrowser, port: int) -> None:
    with chromium.window() as window:
        page = window.page
        go(window, port)
        page.fill("#frames", HOSTILE)
        page.fill("#spec", EXAMPLE_SPEC + f"# {MARKUP}\nunknown: {json.dumps(MARKUP)}\n")
        asked_again(window)
        page.fill("#spec", EXAMPLE_SPEC)
        asked_again(window)
        page.wait_for_selector("#results article")
        text = page.inner_text("#results")
        assert "<img src=x" in text
        for odd in "\u202e\u202c\u001b\u0007":
            assert odd not in page.evaluate("document.querySelector('#results').outerHTML")
        assert page.locator("#main img, #main script, #main iframe, #main a").count() == 0
        assert "owned" not in page.title()
        clean(window, port)


def test_the_content_policy_holds(chromium: ChromiumBrowser, port: int) -> None:
    with chromium.window() as window:
        go(window, port)
        window.page.evaluate("""() => {
            const script = document.createElement('script');
            try { script.textContent = "document.title = 'owned'"; } catch { }
            document.body.append(script);
            try { document.querySelector('#results').innerHTML = '<b>owned</b>'; } catch { }
            const image = document.createElement('img');
            image.src = 'http://127.0.0.2:1/x.png';
            document.body.append(image);
        }""")
        window.page.wait_for_timeout(300)
        assert "owned" not in window.page.title()
        assert "owned" not in window.page.inner_text("#results")
        assert len(window.said) >= 2


def test_another_site_gets_nothing(chromium: ChromiumBrowser, port: int) -> None:
    """A page of another origin (another port is one) cannot ask it, whatever way it tries."""
    with chromium.window() as window:
        page = window.page
        page.goto("about:blank")
        found = page.evaluate("""async (port) => {
            const tries = [
                [`http://127.0.0.1:${port}/begins-with`, {}],
                [`http://127.0.0.1:${port}/begins-with`, { mode: 'no-cors' }],
                [`http://127.0.0.1:${port}/play`, { method: 'POST', mode: 'no-cors', body: '{"spec":"","frames":""}' }],
                [`http://127.0.0.1:${port}/play`, { method: 'POST', body: '{"spec":"","frames":""}',
                    headers: { 'Content-Type': 'application/json' } }],
            ];
            const said = [];
            for (const [address, how] of tries) {
                try { said.push((await (await fetch(address, how)).text()).length); } catch { said.push(0); }
            }
            return said;
        }""", port)
        assert found == [0, 0, 0, 0]


def test_a_process_that_is_gone_is_said(chromium: ChromiumBrowser, tmp_path: Path) -> None:
    process, port = started(tmp_path)
    with chromium.window() as window:
        go(window, port)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        window.page.fill("#frames", "{}")
        window.page.wait_for_selector("#problems:has-text('does not answer')")
        assert window.page.input_value("#spec") == EXAMPLE_SPEC
