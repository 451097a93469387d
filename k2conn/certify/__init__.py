"""Certification: a connector against a mock of its own venue that misbehaves, and the proof that nothing was lost.

::

    haste     the plan with its waits shortened, so that a minute is enough
    ordeals   what goes wrong: a catalogue of misbehaviour
    stage     the real engine over real sockets, ordeal after ordeal
    reference what the exchange's own notes say must come out
    harvest   what did come out, read back from the sink
    proof     the two compared: for each stream and symbol, every id
    report    the outcome as data and as a page
"""
