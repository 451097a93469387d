"""Candles by aggregation from trades: pure, exact, and the same whatever the order in which the trades come.

::

    trades      what of a trade record counts; bodies: trades of encoded records
    sums        what the trades of one span add up to
    series      one symbol: its latest spans, what is over, what is corrected
    aggregator  all symbols, and what could not be counted
    envelopes   candles as records; output: these, and dead letters
    replaying   one partition of a topic: from where it must be read again to know what is open
"""
