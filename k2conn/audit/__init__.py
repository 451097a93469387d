"""Completeness, proven: the trades that were received, against the candles that the venue makes of its own. Pure.

::

    comparison  one span: equal, less than the venue has, or more
    auditor     all spans of one stream of candles: when each is compared, and what became of it
    intake      fed with envelopes on their way to a sink
"""
