"""The stand-ins, by prefix. A new provider is one package here and one entry in this table."""

from __future__ import annotations

from sandbox.provider import Provider
from sandbox.providers import s3, sendgrid, stripe

PROVIDERS: dict[str, Provider] = {each.name: each for each in (stripe.PROVIDER, sendgrid.PROVIDER, s3.PROVIDER)}
