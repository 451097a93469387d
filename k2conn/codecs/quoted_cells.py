"""The cells of a row of CSV some of which are in quotes, as RFC 4180 has them; a cell in quotes may span lines."""

from __future__ import annotations


class QuotedCells:
    """Collects the cells of one row, line by line."""

    def __init__(self, delimiter: str) -> None:
        self.cells: list[str] = []
        self._delimiter = delimiter
        self._open: list[str] | None = None
        """The pieces of a cell whose closing quote has not come."""

    def add(self, line: str) -> bool:
        """Takes a line without its end; whether the row is complete. ValueError, saying why, for a quote that is out of
        place.
        """
        at = 0
        if self._open is not None:
            self._open.append("\n")
            at = self._quoted(line, 0, self._open)
            if at < 0:
                return False
            if at == len(line):
                return True
            at += 1
        while True:
            if line.startswith('"', at):
                at = self._quoted(line, at + 1, [])
                if at < 0:
                    return False
            else:
                end = line.find(self._delimiter, at)
                end = len(line) if end < 0 else end
                if line.find('"', at, end) >= 0:
                    raise ValueError("a quote inside a cell that does not begin with one")
                self.cells.append(line[at:end])
                at = end
            if at == len(line):
                return True
            at += 1  # the delimiter

    def _quoted(self, line: str, at: int, pieces: list[str]) -> int:
        """Reads on inside of quotes; where the cell ends, -1 where the line ends before."""
        while True:
            end = line.find('"', at)
            if end < 0:
                pieces.append(line[at:])
                self._open = pieces
                return -1
            pieces.append(line[at:end])
            if line.startswith('"', end + 1):
                pieces.append('"')
                at = end + 2
                continue
            self.cells.append("".join(pieces))
            self._open = None
            if end + 1 < len(line) and line[end + 1] != self._delimiter:
                raise ValueError("text behind a closing quote")
            return end + 1
