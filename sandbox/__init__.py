"""Local stand-ins for the providers over real HTTP, stateful, on loopback only.

    /stripe     stripe.StripeClient("sk_test_x", base_addresses={"api": "http://127.0.0.1:9900/stripe"})
    /sendgrid   sendgrid.SendGridAPIClient("SG.x", host="http://127.0.0.1:9900/sendgrid")
    /s3         boto3.client("s3", endpoint_url="http://127.0.0.1:9900/s3", ...), path style
    /google     reCAPTCHA's siteverify and the Indexing API, by HTTP
    /twilio     Messages, by HTTP
    /modern_treasury    modern_treasury.ModernTreasury(base_url="http://127.0.0.1:9900/modern_treasury", ...)
    /supabase           supabase_auth.SyncGoTrueClient(url="http://127.0.0.1:9900/supabase/auth/v1", ...)

Steered and watched under /_sandbox: ledger, state, reset, faults, clock, webhooks, keys, health. Everything it knows is
in the data folder and survives a kill -9. See docs/sandbox.md.
"""
