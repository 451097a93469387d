"""The board on a terminal. The one door to textual.

Nothing that a venue said is markup: texts come as rich's `Text`, made by `k2conn.cli.screen`, with control characters
written out. Colours are the terminal's own sixteen.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.coordinate import Coordinate
from textual.screen import ModalScreen
from textual.widgets import DataTable, Input, RichLog, Static

from k2conn.cli.board.sources import BoardSource
from k2conn.cli.board.texts import VIEWS, BoardTable, board_table, books, details, head
from k2conn.cli.screen import Cell, Styled, Text, text_of_cells
from k2conn.cli.tap import text_of
from k2conn.compat.textual import PlainApp
from k2conn.errors import TransportError
from k2conn.monitoring.board.document import Board
from k2conn.monitoring.board.query import SORTS, BoardQuery
from k2conn.monitoring.board.rows import SymbolRow

EVERY = 1.0
"""Seconds between two looks."""
SHOWN = 200
"""Symbols at a time."""
KEPT = 200
"""Lines of the log that are said once more when the board goes away."""
_KEYS = "1-4 view  enter open  esc back  s sort  r reverse  / filter  ? help  q quit"
_PAGE_KEYS = "f raw frames or records  esc back  ? help  q quit"
HELP = """\
1 2 3 4   connectors, streams, symbols, errors
enter     open: a connector's streams, a stream's symbols, a symbol with what passes
esc       back
s, r      sort by the next column; the other way round
/         show only names that have a text in them (errors: lines); empty: all
n, p      the next 200 symbols, the ones before
f         on the page of a symbol: its connector's raw frames, or its records
l         the log, where there is one
q         quit (of `k2conn run`: stop, in good order); ctrl+c is the same

Rates are of the last seconds, latencies from receipt to the acknowledgement.
"""


class BoardHelp(ModalScreen[None]):
    """The keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "app.pop_screen", "back")]

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        yield Static(Text(HELP), id="help")


class SymbolPage(ModalScreen[None]):
    """One symbol: its figures, its connector's books, and what passes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "back"), Binding("f", "turn", "frames"),
        Binding("q,ctrl+c", "app.leave", "quit", priority=True), Binding("question_mark", "app.help", "help"),
    ]

    def __init__(self, source: BoardSource, key: tuple[str, str, str]) -> None:
        super().__init__()
        self.key = key
        self._source = source
        self._raw = False

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with Vertical(id="page"):
            yield Static(Text("asking ..."), id="details")
            yield Static(Text(""), id="what")
            yield RichLog(id="passing", max_lines=500, min_width=1)
            yield Static(Text(_PAGE_KEYS), classes="keys")

    def on_mount(self) -> None:
        """Listens."""
        self.listen()

    def show(self, board: Board) -> None:
        """The figures, as they are now."""
        if not self.query("#details"):
            return  # it is about to be drawn
        rows = [one for one in board["symbols"]["rows"] if _key(one) == self.key]
        lines = details(rows[0]) if rows else [[Styled(" / ".join(self.key), "bold"), "  not there now"]]
        self.query_one("#details", Static).update(_lines([*lines, *books(board, self.key[0])]))

    def action_turn(self) -> None:
        """From records to raw frames, or back."""
        self._raw = not self._raw
        self.query_one("#passing", RichLog).clear()
        self.listen()

    @work(exclusive=True)
    async def listen(self) -> None:
        """Shows what passes; where nobody lets it, says so and tries again."""
        connector, stream, symbol = self.key
        records = {"kind": "record,dead", "connector": connector, "stream": stream, "symbol": symbol}
        wanted = {"kind": "received", "connector": connector} if self._raw else records
        told = f"raw frames of {connector}" if self._raw else "records and dead letters of this symbol"
        log, what = self.query_one("#passing", RichLog), self.query_one("#what", Static)
        while True:
            what.update(_lines([[Styled(f"{told}, as they pass (some of them)", "bold")]]))
            try:
                async for said in self._source.passing(**wanted):
                    if said.get("kind") != "lost":
                        log.write(Text(text_of(said)[:2000]))
            except TransportError as error:
                what.update(_lines([[Styled(f"{told}: {error.detail}", "yellow")]]))
            await asyncio.sleep(2 * EVERY)


class BoardApp(PlainApp):
    """Shows what a source gives. ``leave`` is called when the user wants to go; without it the board just ends."""

    CSS = """
    Screen { background: ansi_default; color: ansi_default; }
    #head, #title, #what { text-wrap: nowrap; text-overflow: ellipsis; }
    #head { height: 3; } .keys { height: 1; text-style: reverse; } #title { height: 1; text-style: bold; }
    #table { height: 1fr; background: ansi_default; } #passing { height: 1fr; background: ansi_default; }
    #log { height: 7; background: ansi_default; border-top: ascii ansi_default; display: none; }
    #filter { height: 1; border: none; padding: 0; display: none; }
    SymbolPage, BoardHelp { background: ansi_default; }
    #details { height: auto; max-height: 13; } #what { height: 1; } #help { padding: 1 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(at), f"view('{name}')", name, priority=False) for at, name in enumerate(VIEWS, 1)),
        Binding("escape", "earlier", "back"), Binding("s", "sort", "sort"), Binding("r", "reverse", "reverse"),
        Binding("slash", "filter", "filter"), Binding("question_mark", "help", "help"),
        Binding("n", "page(1)", "next"), Binding("p", "page(-1)", "previous"), Binding("l", "log", "log"),
        Binding("q", "leave", "quit"), Binding("ctrl+c", "leave", "quit", priority=True),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, source: BoardSource, leave: Callable[[], None] | None = None, with_log: bool = False) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.said: deque[str] = deque(maxlen=KEPT)
        """The log's latest lines."""
        self._source = source
        self._leave = leave
        self._with_log = with_log
        self._view = VIEWS[0]
        self._query = BoardQuery(limit=SHOWN)
        self._back: list[tuple[str, BoardQuery]] = []
        self._board: Board | None = None
        self._trouble = ""
        self._shown = BoardTable((), ())
        self._asked = asyncio.Event()

    def compose(self) -> ComposeResult:
        """See `App`."""
        yield Static(_lines(head(None, "")), id="head")
        yield Static(Text(""), id="title")
        yield DataTable(id="table", cursor_type="row", cell_padding=1)
        yield RichLog(id="log", max_lines=500, wrap=True, min_width=1)
        yield Input(id="filter", placeholder="only names with ...", compact=True)
        yield Static(Text(_KEYS), classes="keys")

    def on_mount(self) -> None:
        """Begins to ask."""
        table = self.query_one("#table", DataTable)
        table.focus()
        if self._with_log:
            log = self.query_one("#log", RichLog)
            log.can_focus = False
            log.display = True
            self.begin_capture_print(self)
        self.keep_asking()

    @work(exclusive=True)
    async def keep_asking(self) -> None:
        """Asks for the board, over and over; says where it gets none, and tries again."""
        while True:
            try:
                self._board = await self._source.board(self._wanted())
                self._trouble = ""
            except TransportError as error:
                self._trouble = f"{error.detail}; trying again"
            self._asked.clear()
            self.show()
            try:
                async with asyncio.timeout(EVERY):
                    await self._asked.wait()
            except TimeoutError:
                continue

    def _wanted(self) -> BoardQuery:
        """What is asked for: all symbols that are looked for, or those of the page that is open."""
        if isinstance(self.screen, SymbolPage):
            connector, stream, symbol = self.screen.key
            return BoardQuery(connector, stream, symbol[:200], limit=SHOWN)
        return self._query if self._view == "symbols" else replace(self._query, symbol="", offset=0, limit=1)

    # -- what is shown

    def show(self) -> None:
        """The latest board."""
        if not self.is_running or not self.screen_stack:
            return
        first = self.screen_stack[0]
        first.query_one("#head", Static).update(_lines(head(self._board, self._trouble)))
        if self._board is None:
            return
        if isinstance(self.screen, SymbolPage):
            self.screen.show(self._board)
            return
        first.query_one("#title", Static).update(Text(self._title(self._board)))
        self._fill(board_table(self._board, self._view, self._query, self.size.width - 2))

    def _title(self, board: Board) -> str:
        query = self._query
        words = [self._view, *(one for one in (query.connector, query.stream) if one)]
        text = f"{' / '.join(words)}, {'the latest first' if self._view == 'errors' else f'by {query.sort}'}"
        if query.symbol:
            text += f", with '{query.symbol}'"
        if self._view == "symbols":
            symbols = board["symbols"]
            last = symbols["offset"] + len(symbols["rows"])
            text += f": {min(symbols['offset'] + 1, last)} to {last} of {symbols['found']}"
        return text_of_cells([text]).plain

    def _fill(self, wanted: BoardTable) -> None:
        """Changes what differs; the cursor stays on its row."""
        table: DataTable[Text] = self.screen_stack[0].query_one("#table", DataTable)
        shown, self._shown = self._shown, wanted
        same = [row.key for row in wanted.rows] == [row.key for row in shown.rows]
        if same and wanted.columns == shown.columns:
            for at, (row, before) in enumerate(zip(wanted.rows, shown.rows, strict=True)):
                for number, cell in enumerate(row.cells):
                    if cell != before.cells[number]:
                        table.update_cell_at(Coordinate(at, number), _cell(wanted, number, cell), update_width=True)
            return
        at = table.cursor_row
        key = shown.rows[at].key if at < len(shown.rows) else None
        if wanted.columns != shown.columns:
            table.clear(columns=True)
            for column in wanted.columns:
                table.add_column(Text(column.name, justify="right" if column.right else "left"))
        else:
            table.clear()
        for row in wanted.rows:
            table.add_row(*(_cell(wanted, number, cell) for number, cell in enumerate(row.cells)))
        keys = [row.key for row in wanted.rows]
        table.move_cursor(row=keys.index(key) if key in keys else min(at, max(0, len(keys) - 1)), animate=False)

    def on_resize(self) -> None:
        """Other columns may fit."""
        self.show()

    def on_print(self, event: events.Print) -> None:
        """A line of the log, while the board has the terminal."""
        for one in event.text.splitlines():
            if one.strip():
                text = Text.from_ansi(one)
                self.said.append(text.plain)
                self.screen_stack[0].query_one("#log", RichLog).write(text)

    # -- keys

    def _go(self, view: str, query: BoardQuery, remember: bool = True) -> None:
        if remember:
            self._back.append((self._view, self._query))
        self._view, self._query = view, query
        self.show()
        self._asked.set()

    def action_view(self, view: str) -> None:
        """Another table, of everything."""
        self._back.clear()
        self._go(view, BoardQuery(limit=SHOWN), remember=False)

    def action_earlier(self) -> None:
        """Where the user came from."""
        if self._back:
            self._go(*self._back.pop(), remember=False)

    def action_sort(self) -> None:
        """By the next of what can be sorted by."""
        by = SORTS[(SORTS.index(self._query.by) + 1) % len(SORTS)]
        self._go(self._view, replace(self._query, sort=by, offset=0), remember=False)

    def action_reverse(self) -> None:
        """The other way round."""
        sort = self._query.by if self._query.sort.startswith("-") else f"-{self._query.by}"
        self._go(self._view, replace(self._query, sort=sort, offset=0), remember=False)

    def action_page(self, step: int) -> None:
        """The next symbols, or those before."""
        found = self._board["symbols"]["found"] if self._board is not None else 0
        offset = self._query.offset + step * SHOWN
        if self._view == "symbols" and 0 <= offset < min(found, 5000):
            self._go(self._view, replace(self._query, offset=offset), remember=False)

    def action_filter(self) -> None:
        """Asks for a text."""
        box = self.query_one("#filter", Input)
        box.value, box.display = self._query.symbol, True
        box.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Only what has this text."""
        event.input.display = False
        self.query_one("#table", DataTable).focus()
        self._go(self._view, replace(self._query, symbol=event.value.strip()[:200], offset=0), remember=False)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Opens what the row is of."""
        if event.cursor_row >= len(self._shown.rows):
            return
        connector, stream, symbol = self._shown.rows[event.cursor_row].key
        if symbol:
            self.push_screen(SymbolPage(self._source, (connector, stream, symbol)))
            self._asked.set()
        elif self._view == "errors" or stream:
            self._go("symbols", BoardQuery(connector, stream if stream != "-" else "", limit=SHOWN))
        else:
            self._go("streams", BoardQuery(connector, limit=SHOWN))

    def action_log(self) -> None:
        """The log, or none."""
        log = self.query_one("#log", RichLog)
        log.display = self._with_log and not log.display

    def action_help(self) -> None:
        """The keys."""
        if not isinstance(self.screen, BoardHelp):
            self.push_screen(BoardHelp())

    def action_leave(self) -> None:
        """The user wants to go."""
        if self._leave is None:
            self.exit()
        else:
            self._leave()


def _key(row: SymbolRow) -> tuple[str, str, str]:
    return row["connector"], row["stream"], row["symbol"]


def _cell(table: BoardTable, number: int, cell: Cell) -> Text:
    text = text_of_cells([cell])
    text.justify = "right" if table.columns[number].right else "left"
    return text


def _lines(lines: Sequence[Sequence[Cell]]) -> Text:
    return Text("\n", no_wrap=True, overflow="ellipsis").join(text_of_cells(one) for one in lines)
