"""A mock exchange: a connector's protocol from the venue's side, served on a loopback socket.

Everything it does follows from the connector's plan; there is no code for any venue. It is used by `k2conn mock`,
`k2conn demo` and the tests::

    hear    holes      listening   what the client says, found by unifying it with the plan's own templates
    answer  lessons    replies     acknowledgements, refusals, pongs: the dialogues of the file's tests, recast
    play    anatomy    casting     which leaf of a frame is what, by experiment; a frame made another symbol's
            library    tape        data frames with new times, ids and prices, or recorded ones as they are
    serve   desk       exchange    one connection's venue; clients, faults and the books of what was sent
            server     http        the sockets
"""
