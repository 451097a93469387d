-- How far the tables are in the topics that their rows came from: written with the rows, in one transaction.
CREATE TABLE IF NOT EXISTS {schema}.source_positions (
    consumer_group text NOT NULL,
    topic          text NOT NULL,
    partition      integer NOT NULL,
    record         text NOT NULL,          -- the record type, or dead_letters
    next_offset    bigint NOT NULL,        -- behind the last row
    updated_at     timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer_group, topic, partition, record)
);
