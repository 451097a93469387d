"""From recorded frames to the draft of a connector file: guesses, each with its reason.

Pure: frames in, text out; no I/O, no clock. Dependency order is reading order: ``leaves`` (paths and values), ``words``
(what names and texts tell), ``kinds`` (which messages belong together), ``columns`` (where items are, and their
values), ``moments``, ``sides``, ``identities``, ``natives`` (one kind of field each), ``trades`` and ``quotes`` (a
whole mapping), ``conditions`` (what tells messages apart), ``draft`` (all of it), ``writing`` (the YAML).

A draft is allowed to guess, which a connector file is not: every guess carries a comment, and what frames cannot tell
is marked GAP.
"""
