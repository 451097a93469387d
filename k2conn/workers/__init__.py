"""A crew: several processes that share the symbols of the connectors, for one Python process uses one core.

::

    division      which worker carries which symbols, and its part of the venues' limits
    inheritance   what earlier workers left (state files, spooled records), for whoever carries the symbols now
    crew          the parent: starts workers, keeps them going, stops them; runs no connector
    member        one worker as the parent sees it: a process, and a line to it
    worker        the worker's side: a runner, and the answers it gives
    line          messages between the two, over a socket that tells each that the other is gone
    figures       the sums over workers, for /health and the final books
    exposition    the metrics of all workers as one text
"""
