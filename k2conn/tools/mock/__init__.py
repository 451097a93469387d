"""A mock exchange: a connector's protocol from the venue's side, served on a loopback socket.

Everything it does follows from the connector's plan; there is no code for any venue. It is used by `k2conn mock`,
`k2conn demo` and the tests::

    template_matching, request_recognition   what a client's frame requests, by matching it against the plan's templates
    learned_replies, replies                 acknowledgements, refusals, pongs: adapted from the dialogues of the tests
    field_detection, frame_templates         which value of a frame is what; a frame rewritten for another symbol
    frame_library, frame_generator           data frames with new times, ids and prices, or recorded ones unchanged
    connection, exchange                     one connection's protocol; clients, faults and counts of what was sent
    sent_frames                              what each client has certainly read
    server, http                             the sockets
"""
