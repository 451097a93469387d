"""The board on a terminal, with fixed figures: what its pages show at 80 columns, its keys, and a venue's hostile
texts.

The pictures are kept as texts in `data/board`; `python -m tests.integration.test_top` writes them anew.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input

from k2conn.cli.board.application import BoardApp, BoardHelp, SymbolPage
from k2conn.cli.board.texts import ago, size, span
from k2conn.monitoring.board.query import SORTS, BoardQuery
from tests.support.boards import HOSTILE, FixedBoard, fixed_board, symbol, text_of_picture

DATA = Path(__file__).parent / "data" / "board"
PAGES: dict[str, tuple[str, ...]] = {
    "connectors": (), "streams": ("2",), "symbols": ("3",), "errors": ("4",), "symbol": ("3", "enter"),
    "frames": ("3", "enter", "f"), "help": ("question_mark",),
}


def shown(
    check: Callable[[BoardApp, Pilot[None], FixedBoard], Any], source: FixedBoard | None = None,
    size: tuple[int, int] = (80, 24), **how: Any,
) -> Any:
    """Runs a check with a board."""

    async def main() -> Any:
        given = source or FixedBoard()
        app = BoardApp(given, **how)
        async with app.run_test(size=size) as pilot:
            await settled(app, pilot)
            return await check(app, pilot, given)

    return asyncio.run(main())


async def settled(app: BoardApp, pilot: Pilot[None]) -> None:
    """A moment in which the board has asked, and drawn."""
    for _ in range(3):
        app._asked.set()
        await pilot.pause(0.05)


def picture(app: BoardApp) -> str:
    return text_of_picture(app.export_screenshot())


def page(name: str, size: tuple[int, int] = (80, 24)) -> str:
    async def check(app: BoardApp, pilot: Pilot[None], source: FixedBoard) -> str:
        for key in PAGES[name]:
            await pilot.press(key)
            await settled(app, pilot)
        return picture(app)

    return str(shown(check, size=size))


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_shows(name: str) -> None:
    assert page(name) == (DATA / f"{name}.txt").read_text(encoding="utf-8"), "see how to write it anew above"


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_venues_text_is_text_and_nothing_is_wider_than_the_screen(name: str, columns: int) -> None:
    text = page(name, (columns, 24))
    assert all(len(line) <= columns for line in text.splitlines()), text
    odd = [one for one in text if one != "\n" and unicodedata.category(one) in ("Cc", "Cf", "Cs")]
    assert not odd, odd
    if name == "symbols":
        assert "[red]X[/]\\x1b[31m" in text
        assert "[@click=app.bell]y[/]" in text or columns < 200


def test_the_way_down_and_back() -> None:
    async def check(app: BoardApp, pilot: Pilot[None], source: FixedBoard) -> None:
        for word in ("streams / alpha", "symbols / alpha / quote"):
            await pilot.press("enter")
            await settled(app, pilot)
            assert word in picture(app)
        assert source.asked[-1] == BoardQuery("alpha", "quote", limit=200)
        await pilot.press("enter")
        await settled(app, pilot)
        assert isinstance(app.screen, SymbolPage)
        assert app.screen.key == ("alpha", "trade", "BTCUSD")
        assert source.asked[-1].symbol == "BTCUSD"
        assert source.tapped[-1] == {"kind": "record,dead", "connector": "alpha", "stream": "trade", "symbol": "BTCUSD"}
        await pilot.press("f")
        await settled(app, pilot)
        assert source.tapped[-1] == {"kind": "received", "connector": "alpha"}
        for word in ("symbols / alpha / quote", "streams / alpha", "connectors, by"):
            await pilot.press("escape")
            await settled(app, pilot)
            assert word in picture(app)

    shown(check)


def test_sorted_turned_and_filtered() -> None:
    async def check(app: BoardApp, pilot: Pilot[None], source: FixedBoard) -> None:
        await pilot.press("3")
        for sort in (*SORTS[1:], SORTS[0]):
            await pilot.press("s")
            await settled(app, pilot)
            assert source.asked[-1].sort == sort
        await pilot.press("r")
        await settled(app, pilot)
        assert source.asked[-1].sort == "-symbol"
        await pilot.press("slash", "b", "t", "c", "enter")
        await settled(app, pilot)
        assert source.asked[-1].symbol == "btc"
        assert "with 'btc'" in picture(app)
        assert not app.query_one("#filter", Input).display
        await pilot.press("1", "slash", "b", "e", "t", "enter")
        await settled(app, pilot)
        assert app.query_one("#table", DataTable).row_count == 1

    shown(check)


@pytest.mark.parametrize("sort", SORTS)
def test_the_tables_of_few_rows_are_sorted_here(sort: str) -> None:
    async def check(app: BoardApp, pilot: Pilot[None], source: FixedBoard) -> None:
        await pilot.press(*"s" * SORTS.index(sort))
        await settled(app, pilot)
        first = app.query_one("#table", DataTable).get_row_at(0)[0].plain
        assert first == ("beta" if sort == "state" else "alpha")
        await pilot.press("2")
        assert app.query_one("#table", DataTable).row_count == 4

    shown(check)


def test_the_cursor_stays_on_its_row_when_others_come() -> None:
    async def check(app: BoardApp, pilot: Pilot[None], source: FixedBoard) -> None:
        await pilot.press("3", "down")
        await settled(app, pilot)
        rows = [symbol("alpha", "trade", name) for name in ("AAA", "BTCUSD", HOSTILE)]
        source.given = fixed_board(symbols={"found": 3, "offset": 0, "limit": 200, "sort": "symbol", "rows": rows})
        await settled(app, pilot)
        table = app.query_one("#table", DataTable)
        assert table.row_count == 3
        assert HOSTILE.split("\x1b")[0] in str(table.get_row_at(table.cursor_row)[1])

    shown(check)


def test_a_process_that_is_away_is_said_and_asked_again() -> None:
    source = FixedBoard()
    source.away = True

    async def check(app: BoardApp, pilot: Pilot[None], source: FixedBoard) -> None:
        assert "no k2conn answers at a test" in picture(app)
        source.away = False
        await settled(app, pilot)
        assert "k2conn 9.9.9" in picture(app)
        source.away = True
        await settled(app, pilot)
        text = picture(app)
        assert "trying again" in text or "no k2conn answers" in text
        assert "alpha" in text, "what was known last stays"

    shown(check, source)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
@pytest.mark.parametrize("before", [(), ("3", "enter")])
def test_the_user_leaves(key: str, before: tuple[str, ...]) -> None:
    left: list[bool] = []

    async def asked(app: BoardApp, pilot: Pilot[None], source: FixedBoard) -> None:
        await pilot.press(*before)
        await pilot.press(key)
        assert app.is_running, "who runs is told, and ends the board when he is done"

    shown(asked, leave=lambda: left.append(True))
    assert left == [True]

    async def alone(app: BoardApp, pilot: Pilot[None], source: FixedBoard) -> None:
        await pilot.press(*before)
        await pilot.press(key)
        await pilot.pause()
        assert not app.is_running

    shown(alone)


def test_help_comes_and_goes() -> None:
    async def check(app: BoardApp, pilot: Pilot[None], source: FixedBoard) -> None:
        await pilot.press("question_mark")
        assert isinstance(app.screen, BoardHelp)
        await pilot.press("escape")
        assert not isinstance(app.screen, BoardHelp)

    shown(check)


def test_pages_of_many_symbols() -> None:
    rows = [symbol("alpha", "trade", f"S{at:03}") for at in range(200)]
    given = fixed_board(symbols={"found": 450, "offset": 0, "limit": 200, "sort": "symbol", "rows": rows})

    async def check(app: BoardApp, pilot: Pilot[None], source: FixedBoard) -> None:
        await pilot.press("3", "n")
        await settled(app, pilot)
        assert source.asked[-1].offset == 200
        await pilot.press("n", "n", "n")
        await settled(app, pilot)
        assert source.asked[-1].offset == 400
        await pilot.press("p", "p", "p")
        await settled(app, pilot)
        assert source.asked[-1].offset == 0

    shown(check, FixedBoard(given))


def test_a_bug_of_the_board_shows_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> BoardApp:
        class Wrong(FixedBoard):
            async def board(self, query: BoardQuery) -> Any:
                raise ZeroDivisionError("a bug")

        app = BoardApp(Wrong())
        with pytest.raises(ZeroDivisionError):  # the test's pilot raises what the application met
            async with app.run_test(size=(80, 24)) as pilot:
                await pilot.pause(0.2)
        return app

    app = asyncio.run(main())
    assert isinstance(app.fault, ZeroDivisionError)
    assert (app.return_code, app.is_running) == (1, False)
    printed = capsys.readouterr()
    assert "locals" not in printed.err + printed.out


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0, "0 s"), (61, "1 min 1 s"), (3725.5, "1 h 2 min"), (190000, "2 d 4 h")]
)
def test_spans(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_words() -> None:
    assert (size(12), size(2048), size(3 << 20), size(5 << 30)) == ("12 B", "2.0 KiB", "3.0 MiB", "5.0 GiB")
    assert ago("2026-01-02T03:04:03.500Z", "2026-01-02T03:04:05+00:00") == "1 s"
    assert ago(None, "2026-01-02T03:04:05+00:00") == "-"


if __name__ == "__main__":
    for one in PAGES:
        (DATA / f"{one}.txt").write_text(page(one), encoding="utf-8")
