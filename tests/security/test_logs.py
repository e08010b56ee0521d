"""Whatever is logged, by whomever: no credential, no address and no card number stands in a line."""

import logging

import pytest

from pipeline.logs import REDACTED, formatter, redact

SECRETS = [
    "sk_live_51HxYz",
    "rk_test_51HxYz",
    "whsec_abcDEF123",
    "SG.abc-def.ghi_jkl",
    "pi_3Abc_secret_xyz",
    "AKIAIOSFODNN7EXAMPLE",
    "Bearer eyJhbGciOi.J9",
    "Authorization: Basic dXNlcjpwYXNz",
    "Authorization: Token 9944b09199c62bcf9418ad846dd0e4bb",
    "api_key=hunter2hunter2",
    "password=hunter2",
    "gAAAAABm" + "x" * 60 + "==",
    "ada.lovelace+jobs@example.co.uk",
    "4242 4242 4242 4242",
    "378282246310005",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_it_is_replaced_within_a_line(secret):
    line = redact(f"before {secret} after")
    kept = secret.partition(": ")[2] or secret
    assert kept not in line
    assert REDACTED in line
    assert line.startswith("before ")
    assert line.endswith(" after")


def test_the_password_of_an_address_is_replaced_and_its_host_is_not():
    line = redact("Cannot connect to redis://jobpipe:hunter2@redis.internal:6379/0.")
    assert "hunter2" not in line
    assert "redis.internal" in redact("redis://redis.internal:6379/0")


def test_a_traceback_is_redacted_too():
    with pytest.raises(ValueError, match=r"ada@example\.com") as raised:
        int("ada@example.com")
    record = logging.LogRecord("any", logging.ERROR, __file__, 1, "broken: %s", ("sk_live_51HxYz",), None)
    record.exc_info = (ValueError, raised.value, raised.tb)
    line = formatter().format(record)
    assert "Traceback" in line
    for secret in ("ada@example.com", "sk_live_51HxYz"):
        assert secret not in line


@pytest.mark.parametrize(
    "text",
    [
        "pipeline 0199c1de-3b5a-7c3e-9f2e-0123456789ab: stopped in LostOwnership",
        "2026-11-21T11:12:17.712797Z",
        "owner 22 is process 4395",
        "GET /api/v1/pipelines/0199c1de-3b5a-7c3e-9f2e-0123456789ab/ 200",
    ],
)
def test_what_operators_need_stays(text):
    assert redact(text) == text
