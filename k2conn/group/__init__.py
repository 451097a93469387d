"""Groups: processes on any machines that share the symbols of the connectors.

Symbols that belong together hash to one of a fixed number of slots; the members of a Kafka consumer group share the
slots, and each runs exactly the symbols of its own.

::

    slots          which slot a symbol falls into, and how much work a slot is
    assignor       who gets which slots: as few moves as balance allows
    member_data    what members tell the one that assigns, and what it tells them
    beats          what each member says of itself every second, and who is alive by that
    holding        what one member runs: its slots, and those it has lost until their new owner carries them
"""
