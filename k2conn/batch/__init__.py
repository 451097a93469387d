"""Files into a sink, once and to their end: what `k2conn load` does.

::

    load           the files one after the other: rows to envelopes to the sink, positions when they are durable
    reading        the rows of one file, from where an earlier process came to
    positions      where each file has come to, on the disk
    prefix         a digest of what was read of a file, by which it is known again
"""
