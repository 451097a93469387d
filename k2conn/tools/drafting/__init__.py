"""From recorded frames to the draft of a connector file: guesses, each with its reason.

Pure: frames in, text out; no I/O, no clock. In the order of their dependencies: ``leaves`` (paths and values),
``words`` (the meaning of key names and texts), ``kinds`` (which messages belong together), ``columns`` (where items
are, and their values), ``moments``, ``sides``, ``identities``, ``natives`` (one kind of field each), ``trades`` and
``quotes`` (a whole mapping), ``conditions`` (how to distinguish messages), ``draft`` (all of it), ``playing`` (the
draft on its own sample), ``writing`` (the YAML).

Unlike a connector file, a draft may guess: every guess has a comment with its reason, and whatever cannot be learned
from frames is marked GAP. It is called sure only where playing the draft shows it.
"""
