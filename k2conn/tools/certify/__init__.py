"""Certification: runs a connector against a mock of its own venue that misbehaves, and proves that nothing was lost.

::

    short_timeouts    the plan with its timeouts shortened, so that a minute is enough
    scenario          what a fault scenario is, and what it has access to
    fault_scenarios   faults of the exchange; the list of all scenarios
    cluster_faults    faults of the Kafka brokers and the schema registry
    proxy, proxied_dialing   make brokers and registry unreachable without stopping them
    certification     runs the real engine over real sockets, scenario after scenario
    crash_restart     kills `k2conn run` with kill -9 and starts it again
    connector_process that process
    expected_records  the records that must arrive, by the exchange's own notes
    readback          the records that did arrive, read back from the sink
    proof             the two compared: every id, for each stream and symbol
    crash_losses      the same across kills: what kill -9 cost
    report, page      the outcome as data and as an HTML page
"""
