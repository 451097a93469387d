-- Dead letters: records that could not be made, or that a table refused. json, not jsonb: a raw frame may hold \u0000.
CREATE TABLE IF NOT EXISTS {schema}.dead_letters (
    id       uuid PRIMARY KEY,             -- of its content: the same letter twice is one row
    topic    text NOT NULL,
    symbol   text,
    at       timestamp with time zone NOT NULL,
    document json NOT NULL
);
CREATE INDEX IF NOT EXISTS dead_letters_at ON {schema}.dead_letters (at);
