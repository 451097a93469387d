"""What well-known currencies cost, roughly: an example of a documentation page may say that a bitcoin costs 400."""

from __future__ import annotations

from decimal import Decimal

from k2conn.plan import Symbol

_IN_DOLLARS = {
    "AUD": "0.66", "BRL": "0.18", "CAD": "0.73", "CHF": "1.13", "EUR": "1.08", "GBP": "1.28", "IDR": "0.000062",
    "INR": "0.012", "JPY": "0.0067", "KRW": "0.00073", "MXN": "0.055", "TRY": "0.03", "USD": "1",
    "BUSD": "1", "DAI": "1", "FDUSD": "1", "PYUSD": "1", "USDC": "1", "USDT": "1",
    "ADA": "0.45", "AVAX": "28", "BCH": "380", "BNB": "580", "BTC": "64000", "DOGE": "0.12", "DOT": "6.2",
    "ETC": "22", "ETH": "3100", "LINK": "14", "LTC": "72", "SHIB": "0.000018", "SOL": "150", "TRX": "0.13",
    "UNI": "8.1", "XLM": "0.1", "XRP": "0.55",
}


def usual_price(symbol: Symbol) -> Decimal | None:
    """A plausible price of one unit of the base currency in the quote currency, of five digits; None where either is
    not known here, or what is traded is more than the pair (an option, a dated future).
    """
    base, quote = _IN_DOLLARS.get(symbol.base), _IN_DOLLARS.get(symbol.price_currency)
    if base is None or quote is None or symbol.parts or symbol.price_currency != symbol.quote:
        return None
    return Decimal(f"{Decimal(base) / Decimal(quote):.5g}")
