"""The currencies that Stripe takes and the smallest charge in each (docs.stripe.com/currencies)."""

from __future__ import annotations

from decimal import Decimal

_CODES = """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp
    cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils
    inr isk jmd jpy kes kgs khr kmf krw kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn
    myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle
    sos srd std szl thb tjs top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw
"""
THOUSANDTHS = frozenset("bhd jod kwd omr tnd".split())
WHOLE = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
WHOLE_IN_HUNDREDTHS = frozenset({"isk", "ugx"})  # charged in hundredths for the sake of old integrations
CURRENCIES = frozenset(_CODES.split()) | THOUSANDTHS
LARGEST_AMOUNT = 99_999_999
SMALLEST = {
    "aed": 200, "bgn": 100, "czk": 1500, "dkk": 250, "gbp": 30, "hkd": 400, "huf": 17500, "mxn": 1000, "myr": 200,
    "nok": 300, "pln": 200, "ron": 200, "sek": 300, "thb": 1000,
}  # fmt: skip


def smallest_amount(currency: str) -> int:
    """In the currency's minor unit: 50 (0.50 usd, 50 jpy) unless Stripe's table says otherwise."""
    return SMALLEST.get(currency, 50)


def step(currency: str) -> int:
    """The number that must divide every amount."""
    return 100 if currency in WHOLE_IN_HUNDREDTHS else 10 if currency in THOUSANDTHS else 1


def charged(amount: int, currency: str) -> str:
    """What the card's holder reads on the statement: `5000.00` for 500000 ugx, `500` for 500 jpy."""
    decimals = 0 if currency in WHOLE else 3 if currency in THOUSANDTHS else 2
    return f"{Decimal(amount).scaleb(-decimals):f}"
