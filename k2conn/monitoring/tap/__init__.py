"""`/tap`: what passes through a running process, as JSON lines for as long as somebody listens.

While nobody does, nothing is watched. What a listener has no room for is lost to it, counted, and told in a line of its
own; the feed never waits.

::

    query      what a listener wants, from the query of its request
    pace       how many lines a second
    passing    where lines come from: an observer of this process, with a bounded queue
    listening  who may listen, and the lines that a listener is sent

The lines of several processes as one are `k2conn.workers.merged_tap`.
"""
