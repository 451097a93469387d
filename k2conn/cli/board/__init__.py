"""The board on a terminal: `texts` makes rows of a document, `sources` say where documents come from (another process,
or this one), `application` shows them. textual is imported in `application` and `help` only, when there is a board.
"""
