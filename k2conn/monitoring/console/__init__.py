"""The web console: what runs, at `/` of the port, for browsers.

`bundle` holds its files, `access` says who may look, `pages` makes of the board what a page shows, `examples` adds dead
letters and gaps, `feed` sends it for as long as somebody looks. It shows, and changes nothing.
"""
