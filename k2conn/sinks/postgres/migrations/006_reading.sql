-- What readers ask for: the newest records of all symbols (an index of pages, that costs nothing to keep), and the
-- candles of a symbol whatever the exchange. A table of another shape is left alone: a start says what is wrong with it.
DO $$
BEGIN
    CREATE INDEX IF NOT EXISTS trades_time_pages ON {table:trade} USING brin ("timestamp") WITH (pages_per_range = 32);
    CREATE INDEX IF NOT EXISTS quotes_time_pages ON {table:quote} USING brin ("timestamp") WITH (pages_per_range = 32);
    CREATE INDEX IF NOT EXISTS candles_symbol_time ON {table:candle} (symbol, "interval", open_time);
EXCEPTION WHEN undefined_column THEN
    NULL;
END $$;
