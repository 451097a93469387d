"""Kafka as a source: records from topics into any sink, as a member of a consumer group.

::

    settings        which topics and group, and how
    consumption     the whole: poll, decode, hand to the sink, commit what it has confirmed
    member          the door to the Kafka client: subscription, polling, offsets
    progress        how far one partition is: read, confirmed, committed
    accounts        the count of every record: consumed = written + dead letters + ...
    decoding        from messages to records; writer_schemas: what the registry says of their schemas
    letters         what cannot be a record
    stage           what is made of records instead of handing them on; topic_candles: candles
    status          what all of this says of itself

Kafka keeps what a sink cannot take now, so there is no spool here: a crowded sink makes the consumer pause.
"""
