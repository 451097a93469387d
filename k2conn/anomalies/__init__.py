"""What is odd about records, each marked and none dropped or changed. Pure; docs/anomalies.md defines the kinds.

::

    kinds        what can be odd
    settings     which kinds are looked for, and from when on something is one
    upper_bound  what is usual: a high quantile of one series of numbers, in a few bytes
    habits       what is usual for one symbol of one stream, and what of a record is not
    reports      once told, the next ones of a kind are counted for a while
    encoding     what is odd as a record
    marker       all records of a connector: encoded records in, anomalies out

What is usual is a statistic, not a price: with `features` this is the only room that reckons in binary floating point,
and what it reckons so decides about marks alone. The prices and quantities of an anomaly are the marked record's.
"""
