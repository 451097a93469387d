-- Features of candles, as models read them.
CREATE TABLE IF NOT EXISTS {schema}.feature_cache (
    exchange text NOT NULL,
    symbol text NOT NULL,
    "time" timestamp with time zone NOT NULL,
    features_json jsonb NOT NULL,
    is_valid boolean NOT NULL DEFAULT true,
    updated_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (exchange, symbol, "time")
);
