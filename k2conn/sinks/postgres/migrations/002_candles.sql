-- Candles as earlier feeders had them: the one-minute candles of every symbol, with the derived columns they knew.
-- spread_bps and mid_price are of the candle's range there, and so they are here; range_bps says it by its own name.
-- What a book quotes is in quote_spreads, and is another thing.
CREATE OR REPLACE VIEW {schema}.candles_1m AS
SELECT open_time AS "time", open, high, low, close, volume,
       quote_volume AS quote_asset_volume,
       taker_buy_base AS taker_buy_base_asset_volume,
       taker_buy_quote AS taker_buy_quote_asset_volume,
       trade_count AS number_of_trades,
       CASE WHEN close <> 0 THEN round((high - low) / close * 10000, 4) END AS spread_bps,
       CASE WHEN volume <> 0 THEN round(taker_buy_base / volume, 4) END AS taker_buy_ratio,
       round((high + low) / 2, 9) AS mid_price,
       CASE WHEN close <> 0 THEN round((high - low) / close * 10000, 4) END AS range_bps,
       exchange, symbol
FROM {table:candle} WHERE "interval" = '1m' AND is_closed;

-- The same for one symbol: a table whose key is the time alone.
CREATE OR REPLACE FUNCTION {schema}.candles_1m_of(of_exchange text, of_symbol text)
RETURNS SETOF {schema}.candles_1m LANGUAGE sql STABLE AS
$$ SELECT * FROM {schema}.candles_1m WHERE exchange = of_exchange AND symbol = of_symbol $$;

CREATE OR REPLACE VIEW {schema}.quote_spreads AS
SELECT exchange, symbol, "timestamp", bid_price, ask_price,
       (bid_price + ask_price) / 2 AS quoted_mid_price,
       CASE WHEN bid_price + ask_price <> 0
            THEN round((ask_price - bid_price) * 20000 / (bid_price + ask_price), 4) END AS quoted_spread_bps
FROM {table:quote};

-- Inserts or corrects a one-minute candle; a row is written only where any value differs. Exchange and symbol may be
-- left to the settings k2.exchange and k2.symbol (SET, or ALTER ROLE ... SET). Whether a row was written.
CREATE OR REPLACE FUNCTION {schema}.upsert_candle(
    p_time timestamp with time zone, p_open numeric, p_high numeric, p_low numeric, p_close numeric, p_volume numeric,
    p_quote_asset_volume numeric DEFAULT NULL, p_number_of_trades bigint DEFAULT NULL,
    p_taker_buy_base_asset_volume numeric DEFAULT NULL, p_taker_buy_quote_asset_volume numeric DEFAULT NULL,
    p_exchange text DEFAULT NULL, p_symbol text DEFAULT NULL, p_currency text DEFAULT NULL,
    p_asset_class text DEFAULT 'crypto'
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    of_exchange text := coalesce(p_exchange, nullif(current_setting('k2.exchange', true), ''));
    of_symbol text := coalesce(p_symbol, nullif(current_setting('k2.symbol', true), ''));
    of_currency text := coalesce(p_currency, nullif(current_setting('k2.currency', true), ''), '');
BEGIN
    IF of_exchange IS NULL OR of_symbol IS NULL THEN
        RAISE EXCEPTION 'upsert_candle: say p_exchange and p_symbol, or set k2.exchange and k2.symbol';
    END IF;
    INSERT INTO {table:candle} AS kept (
        message_id, symbol, exchange, asset_class, currency, "interval", open_time, close_time, open, high, low, close,
        volume, quote_volume, taker_buy_base, taker_buy_quote, trade_count, is_closed, "timestamp", ingestion_timestamp
    ) VALUES (
        gen_random_uuid(), of_symbol, of_exchange, p_asset_class, of_currency, '1m', p_time,
        p_time + interval '1 minute', p_open, p_high, p_low, p_close, p_volume, p_quote_asset_volume,
        p_taker_buy_base_asset_volume, p_taker_buy_quote_asset_volume, p_number_of_trades, true,
        p_time + interval '1 minute', clock_timestamp()
    ) ON CONFLICT (exchange, symbol, "interval", open_time) DO UPDATE SET
        message_id = excluded.message_id, open = excluded.open, high = excluded.high, low = excluded.low,
        close = excluded.close, volume = excluded.volume, quote_volume = excluded.quote_volume,
        taker_buy_base = excluded.taker_buy_base, taker_buy_quote = excluded.taker_buy_quote,
        trade_count = excluded.trade_count, is_closed = true, ingestion_timestamp = excluded.ingestion_timestamp
    WHERE (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.quote_volume,
           excluded.taker_buy_base, excluded.taker_buy_quote, excluded.trade_count, true)
        IS DISTINCT FROM (kept.open, kept.high, kept.low, kept.close, kept.volume, kept.quote_volume,
           kept.taker_buy_base, kept.taker_buy_quote, kept.trade_count, kept.is_closed);
    RETURN FOUND;
END $$;
