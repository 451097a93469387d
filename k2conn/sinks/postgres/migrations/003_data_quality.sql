-- What went wrong with data, for people and dashboards. One-minute candles that are missing are logged by a trigger:
-- a candle that comes after a hole in the minutes before it. Late rows of a backfill log no hole a second time.
CREATE TABLE IF NOT EXISTS {schema}.data_quality_logs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_type text NOT NULL CHECK (event_type IN ('gap_detected', 'gap_backfilled', 'duplicate_found', 'error')),
    exchange text,
    symbol text,
    gap_start timestamp with time zone,
    gap_end timestamp with time zone,
    candles_missing bigint,
    candles_recovered bigint,
    source text NOT NULL
        CHECK (source IN ('websocket', 'rest_api', 'manual', 'system', 'data_feeder', 'gap_handler')),
    error_message text,
    resolved boolean NOT NULL DEFAULT false,
    resolved_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    CHECK (event_type NOT IN ('gap_detected', 'gap_backfilled') OR gap_start < gap_end)
);
CREATE UNIQUE INDEX IF NOT EXISTS data_quality_logs_gap
    ON {schema}.data_quality_logs (exchange, symbol, gap_end) WHERE event_type = 'gap_detected';

CREATE OR REPLACE FUNCTION {schema}.log_candle_gap() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before timestamp with time zone;
BEGIN
    PERFORM 1 FROM {table:candle} WHERE exchange = NEW.exchange AND symbol = NEW.symbol AND "interval" = '1m'
        AND open_time = NEW.open_time - interval '1 minute';
    IF FOUND THEN
        RETURN NULL;
    END IF;
    SELECT max(open_time) INTO before FROM {table:candle} WHERE exchange = NEW.exchange AND symbol = NEW.symbol
        AND "interval" = '1m' AND open_time < NEW.open_time;
    -- The rows after it say whether this one is late: then its hole was logged when they came.
    PERFORM 1 FROM {table:candle} WHERE exchange = NEW.exchange AND symbol = NEW.symbol AND "interval" = '1m'
        AND open_time > NEW.open_time;
    IF before IS NOT NULL AND NOT FOUND THEN
        INSERT INTO {schema}.data_quality_logs
            (event_type, exchange, symbol, gap_start, gap_end, candles_missing, source)
        VALUES ('gap_detected', NEW.exchange, NEW.symbol, before + interval '1 minute', NEW.open_time,
                round(extract(epoch FROM NEW.open_time - before) / 60) - 1, 'system')
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER k2_candle_gaps AFTER INSERT ON {table:candle}
    FOR EACH ROW WHEN (NEW."interval" = '1m' AND NEW.is_closed) EXECUTE FUNCTION {schema}.log_candle_gap();

CREATE OR REPLACE FUNCTION {schema}.mark_gap_resolved(p_id bigint, p_recovered bigint DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {schema}.data_quality_logs SET resolved = true, resolved_at = clock_timestamp(),
        candles_recovered = coalesce(p_recovered, candles_recovered) WHERE id = p_id AND NOT resolved;
    RETURN FOUND;
END $$;
