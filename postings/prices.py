"""Prices of plans, as Stripe charges them: one table for charging, showing and checking.

A plan's `amount` is a number of Stripe's smallest units. They differ from ISO 4217's minor units in places: the
Icelandic krona and the Ugandan shilling have none, and Stripe counts hundredths of them, in whole hundreds.
Source: https://docs.stripe.com/currencies, as of November 2026. Salaries are ISO 4217's: postings/money.py.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

LARGEST: Final = 99_999_999  # Stripe takes eight digits in every currency

_WHOLE: Final = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
_THOUSANDTHS: Final = "BHD JOD KWD OMR TND"  # the last digit must be 0
_WHOLE_IN_HUNDREDTHS: Final = "ISK UGX"
_HUNDREDTHS: Final = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC
    CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR KYD
    KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP
    PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU UZS
    WST XCD YER ZAR ZMW
"""
# The least that Stripe charges, in its smallest unit. Of other currencies the converted amount must be as much as the
# least in the account's own currency, which only Stripe knows.
_SMALLEST: Final = {
    "AED": 200, "AUD": 50, "BGN": 100, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250, "EUR": 50, "GBP": 30,
    "HKD": 400, "HUF": 17500, "INR": 50, "JPY": 50, "MXN": 1000, "MYR": 200, "NOK": 300, "NZD": 50, "PLN": 200,
    "RON": 200, "SEK": 300, "SGD": 50, "THB": 1000, "USD": 50,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Currency:
    """How a currency is charged: decimals of its unit, the step that divides every amount, and the smallest amount."""

    decimals: int
    step: int
    smallest: int


CURRENCIES: Final = {
    code: Currency(decimals, step, _SMALLEST.get(code, max(step, 50)))
    for codes, decimals, step in (
        (_WHOLE, 0, 1),
        (_HUNDREDTHS, 2, 1),
        (_WHOLE_IN_HUNDREDTHS, 2, 100),
        (_THOUSANDTHS, 3, 10),
    )
    for code in codes.split()
}
_UNKNOWN: Final = Currency(2, 1, 1)  # of plans from before there was this table; they are not charged


def major(amount: int, currency: str) -> Decimal:
    """The price of an amount in Stripe's smallest unit: 12345 EUR is 123.45, 500000 UGX is 5000."""
    found = CURRENCIES.get(currency.upper(), _UNKNOWN)
    charged = Decimal(amount).scaleb(-found.decimals)
    return charged.quantize(Decimal(1)) if found.step == 10**found.decimals and amount % found.step == 0 else charged


def formatted(amount: int, currency: str) -> str:
    """The same for people: `123.45 EUR`, `5,000 UGX`."""
    return f"{major(amount, currency):,f} {currency.upper()}"


def wrong_price(amount: int, currency: str) -> tuple[str, str] | None:
    """The plan's field that Stripe refuses, and a sentence that names a better value; None when it may be sold."""
    found = CURRENCIES.get(currency)
    if found is None:
        return "currency", f"Stripe charges no {currency}: choose a currency of https://docs.stripe.com/currencies."
    if amount % found.step:
        step = formatted(found.step, currency)
        return "amount", f"Stripe charges {currency} in steps of {step}: write a multiple of {found.step}."
    if amount < found.smallest:
        least = formatted(found.smallest, currency)
        return "amount", f"Stripe charges {least} at least: write {found.smallest} or more."
    if amount > LARGEST:
        return "amount", f"Stripe charges {formatted(LARGEST - LARGEST % found.step, currency)} at most."
    return None
