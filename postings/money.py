"""Salaries, from and to the currency's minor unit, by ISO 4217's exponents. Prices are Stripe's: postings/prices.py."""

from decimal import Decimal

# Currencies whose minor unit is not a hundredth.
_EXPONENTS = dict.fromkeys(
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
) | dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3)


def major(amount: int, currency: str) -> Decimal:
    """12345 EUR is 123.45."""
    return Decimal(amount).scaleb(-_EXPONENTS.get(currency.upper(), 2))


def minor(amount: Decimal, currency: str) -> Decimal:
    """123.45 EUR is 12345; not whole when the currency has no such parts."""
    return amount.scaleb(_EXPONENTS.get(currency.upper(), 2))
