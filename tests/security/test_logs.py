"""Whatever is logged, by whomever: no credential, no address and no card number stands in a line."""

import logging
import time

import pytest

from pipeline.logs import CUT, LONGEST, MOST_LINES, REDACTED, formatter, redact, shorten

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


def line_of(message, *arguments, exception=None):
    record = logging.LogRecord("any", logging.ERROR, __file__, 1, message, arguments, None)
    if exception is not None:
        record.exc_info = (type(exception), exception, exception.__traceback__)
    return formatter().format(record)


@pytest.mark.parametrize("secret", [*SECRETS, "redis://jobpipe:hunter2@redis.internal", "sk_live_" + "x" * 9000])
@pytest.mark.parametrize("shown", [1, 5, 12, 40])
def test_a_cut_leaves_nothing_of_a_secret(secret, shown):
    """However much of it stands before the cut."""
    before = "x " * ((LONGEST - shown) // 2 - 5)
    line = line_of("%s", f"{before} {secret} and more {'y ' * 50_000}")
    kept = secret.rpartition("://")[2].rpartition(": ")[2]
    for size in range(4, len(kept[:20])):
        assert kept[:size] not in line.removeprefix(before) or kept[:size] in {"Bearer"[:size], "redis"}
    assert CUT in line
    assert len(line) < LONGEST + 500


def test_a_line_of_a_traceback_is_cut_and_its_end_is_kept():
    with pytest.raises(ValueError, match="invalid literal") as raised:
        int("x" * 100 + "ada@example.com" + "y" * 100_000)
    line = line_of("broken", exception=raised.value)
    assert "Traceback" in line
    assert "ValueError: invalid literal" in line
    assert "ada@example.com" not in line
    assert len(line) < 3 * LONGEST


def test_of_many_lines_the_first_and_the_last_are_shown():
    text = shorten("\n".join(f"line {number}" for number in range(10 * MOST_LINES)))
    lines = text.split("\n")
    assert len(lines) == MOST_LINES + 1
    assert (lines[0], lines[MOST_LINES // 2], lines[-1]) == ("line 0", CUT, f"line {10 * MOST_LINES - 1}")


@pytest.mark.parametrize("text", ["x" * 5_000_000, "\n" * 5_000_000, "ada@example.com\n" * 300_000], ids=range(3))
def test_of_a_huge_text_only_its_ends_are_looked_at(text):
    shown = shorten(text)
    assert len(shown) < (MOST_LINES + 2) * (LONGEST + len(CUT))
    assert "ada" not in shown


def test_short_lines_are_as_they_were():
    for text in ("", "one", "one\ntwo\n", "\n" * (MOST_LINES - 1), "x" * LONGEST):
        assert shorten(text) == text


UNITS = [
    "a", "a.", "a.a-", "4", "4 ", "4-", "Bearer ", "Bearer" + " " * 50, "Token\t", "://", "://:", ":", "+", "+@", "a@",
    "a@a.", "pi_", "pi_a_", "pi_a_secret_", "pi_a_secret", "gAAAA", "gAAAA" + "x" * 30 + " ", "SG.", "SG.-", "whsec_",
    "password=", "password='", "secret", "api_", "sk_live_", "sk_", "AKIA" + "A" * 15, "é", "_", "-", " ", "\n", "=",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("before", ["", "://", "a@", "Bearer ", "pi_"])
def test_redacting_takes_time_linear_in_the_text(before, unit):
    """A text four times as long takes less than twelve times as long, or next to nothing."""

    def spent(size):
        text = before + (unit * (size // len(unit)))[:size] + "!"
        times = []
        for _ in range(3):
            began = time.process_time()
            redact(text)
            times.append(time.process_time() - began)
        return min(times)

    assert spent(65_536) < max(0.2, 12 * spent(16_384))
