"""What a venue's messages look like, learnt while they come, and what of it changes. Pure.

::

    structure     the paths of one message and the kinds of their values
    presence      how often something comes, and whether what is seen of it now can still be chance
    habits        the paths, kinds and words of one kind of message
    field_paths   which paths the fields of a stream are read from
    detector      all messages of a connector: what has changed, each change told once

Nothing here decides about a record: a message that has changed is mapped as its connector file says. What is learnt is
bounded in number and length, whatever a venue sends.
"""
