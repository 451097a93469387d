"""Recordings: what passed on the wire, as compressed JSON lines, written beside a run and read by who plays it again.

`entries` says what a line holds, `blocks` how lines become a file that can be read from any block on, `folder` how
files follow each other, `recorder` is the observer that writes them, `reader` reads them.
"""
