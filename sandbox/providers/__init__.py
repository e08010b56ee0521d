"""The stand-ins, by prefix. A new provider is one package here and one entry in this table."""

from __future__ import annotations

from sandbox.provider import Provider
from sandbox.providers import google, modern_treasury, s3, sendgrid, stripe, supabase, twilio

PROVIDERS: dict[str, Provider] = {
    each.PROVIDER.name: each.PROVIDER for each in (stripe, sendgrid, s3, google, twilio, modern_treasury, supabase)
}
