-- The features of warmed-up windows as models read them: one document a candle, written with the row of its features.
-- is_valid says whether the candles of the window follow each other without a hole.
ALTER TABLE {schema}.feature_cache ADD COLUMN IF NOT EXISTS "interval" text NOT NULL DEFAULT '1m';
ALTER TABLE {schema}.feature_cache DROP CONSTRAINT IF EXISTS feature_cache_pkey;
ALTER TABLE {schema}.feature_cache ADD PRIMARY KEY (exchange, symbol, "interval", "time");

CREATE OR REPLACE FUNCTION {schema}.cache_features() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.feature_cache AS kept (exchange, symbol, "interval", "time", features_json, is_valid)
    VALUES (NEW.exchange, NEW.symbol, NEW."interval", NEW.open_time,
        jsonb_build_object(
            'minmax', jsonb_build_array(
                NEW.open_minmax, NEW.high_minmax, NEW.low_minmax, NEW.close_minmax, NEW.volume_minmax,
                NEW.quote_volume_minmax, NEW.taker_buy_base_minmax, NEW.taker_buy_quote_minmax,
                NEW.trade_count_minmax, NEW.spread_bps_minmax, NEW.taker_buy_ratio_minmax),
            'zscore', jsonb_build_array(
                NEW.open_zscore, NEW.high_zscore, NEW.low_zscore, NEW.close_zscore, NEW.volume_zscore,
                NEW.quote_volume_zscore, NEW.taker_buy_base_zscore, NEW.taker_buy_quote_zscore,
                NEW.trade_count_zscore, NEW.spread_bps_zscore, NEW.taker_buy_ratio_zscore),
            'feature_names', jsonb_build_array(
                'open', 'high', 'low', 'close', 'volume', 'quote_asset_volume', 'taker_buy_base_volume',
                'taker_buy_quote_volume', 'number_of_trades', 'spread_bps', 'taker_buy_ratio')),
        NEW.missing = 0)
    ON CONFLICT (exchange, symbol, "interval", "time") DO UPDATE SET
        features_json = excluded.features_json, is_valid = excluded.is_valid, updated_at = clock_timestamp()
    WHERE (excluded.features_json, excluded.is_valid) IS DISTINCT FROM (kept.features_json, kept.is_valid);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER k2_feature_cache AFTER INSERT OR UPDATE ON {table:feature}
    FOR EACH ROW WHEN (NEW.is_warmed_up) EXECUTE FUNCTION {schema}.cache_features();
