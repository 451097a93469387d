"""Certification: a connector against a mock of its own venue that misbehaves, and the proof that nothing was lost.

::

    haste     the plan with its waits shortened, so that a minute is enough
    scene     what an ordeal is, and what it may touch
    ordeals   what goes wrong at the exchange; the list of all ordeals
    cluster   what goes wrong at the broker and the registry
    proxy, detour   how they are away for a while that are not ours to stop
    stage     the real engine over real sockets, ordeal after ordeal
    lives     `k2conn run` as a process that is killed and started again
    engine    that process
    reference what the exchange's own notes say must come out
    harvest   what did come out, read back from the sink
    proof     the two compared: for each stream and symbol, every id
    aftermath the same over the lives of a process: what kill -9 cost
    report    the outcome as data and as a page
"""
