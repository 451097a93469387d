"""Features of candles: what each candle is among those before it, for models. Pure; docs/features.md defines them.

::

    settings    of which candles, over how many
    inputs      the eleven numbers of a candle
    normalised  what the features of a candle are
    window      the candles of one series, and the features of each of them
    envelopes   features as records
    maker       all series: closed candles in, records out
    making      the way there, for whoever may be without numpy

Features are statistics, not prices: this room reckons in binary floating point, and but for `anomalies` no other one
does. It needs numpy, which is an extra; only `window` imports it.
"""
