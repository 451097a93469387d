"""Charts of prices: candles as text for a terminal, and as SVG. Pure: bars in, text out."""

from k2conn.charts.bars import Bar, Grid, plain_number
from k2conn.charts.svg import as_svg
from k2conn.charts.terminal import BLOCKS, in_terminal

__all__ = ["BLOCKS", "Bar", "Grid", "as_svg", "in_terminal", "plain_number"]
