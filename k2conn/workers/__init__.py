"""Workers: several processes that share the symbols of the connectors, because one Python process uses one core.

::

    assignment      which worker carries which symbols, and its part of the venues' limits
    handover        what earlier workers left (state files, spooled records), for those that carry the symbols now
    worker_pool     the parent: starts workers, restarts them, stops them; runs no connector
    worker_handle   one worker as the parent sees it: its process, and the channel to it
    worker          the worker's side: a runner, and the answers it gives
    channel         messages between the two, over a socket that tells each when the other is gone
    merged_tap      `/tap` of the parent: what passes in all workers, as one
    worker_taps     the worker's side of that
    metrics_merge   the metrics of all workers as one text
"""
