"""The settings of production: TLS, cookies, headers, what is shown to whom; and the shape of the containers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.test import Client

from postings import checks

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "SITE_URL": "https://jobs.example.com",
    "ALLOWED_HOSTS": "jobs.example.com",
    "BEHIND_PROXY": "1",
    "NUM_PROXIES": "1",
    "SECRET_KEY": "p" * 20 + "0123456789-of-the-tests-and-of-nothing-else-abcdefghijk",
    "STRIPE_SECRET_KEY": "sk_live_of_nobody",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_of_nobody",
    "STRIPE_WEBHOOK_SECRET": "whsec_of_nobody",
    "SENDGRID_API_KEY": "SG.of.nobody",
    "SENDGRID_WEBHOOK_PUBLIC_KEY": "bm9ib2R5",
    "MAIL_FROM": "jobs@jobs.example.com",
    "OPERATOR_EMAIL": "people@jobs.example.com",
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
}
OURS = {"headers": {"Host": "jobs.example.com"}}


def manage(*arguments, **environment):
    inherited = {name: value for name, value in os.environ.items() if name not in {"DEMO", "DEBUG", "SANDBOX_URL"}}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=inherited | PRODUCTION | environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.slow
def test_the_deployment_check_has_nothing_to_say():
    checked = manage("check", "--deploy", "--fail-level", "WARNING")
    assert checked.returncode == 0, checked.stderr
    weak = manage("check", "--deploy", "--fail-level", "WARNING", SITE_URL="http://jobs.example.com")
    assert weak.returncode == 1, "the check must be able to fail"
    assert "security.W004" in weak.stderr


@pytest.mark.slow
def test_the_deployment_check_names_the_keys_that_are_missing():
    names = ("STRIPE_SECRET_KEY", "SENDGRID_API_KEY", "AWS_ACCESS_KEY_ID")
    checked = manage("check", "--deploy", **dict.fromkeys((*names, "AWS_SECRET_ACCESS_KEY", "HOME"), ""))
    assert checked.returncode == 1
    for name in names:
        assert f"{name} is empty" in checked.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("SECRET_KEY", "", "SECRET_KEY is not set"), ("SECRET_KEY", "short", "shorter than 32")],
)
def test_without_a_proper_key_nothing_starts(name, value, says):
    started = manage("check", **{name: value})
    assert started.returncode != 0
    assert says in started.stderr


@pytest.fixture
def production(settings):
    """What the settings become with an https SITE_URL, as far as requests show it."""
    settings.ALLOWED_HOSTS = ["jobs.example.com"]
    settings.SECURE_SSL_REDIRECT = settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.API_DOCS_PUBLIC = settings.METRICS_PUBLIC = False


def test_everything_is_redirected_to_tls_but_what_is_asked_from_inside(production, db):
    client = Client(**OURS)
    assert client.get("/post/").status_code == 301
    assert client.get("/post/", headers={"X-Forwarded-Proto": "https"}).status_code == 200
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code == 200


def test_cookies_and_headers_are_strict(production, db):
    page = Client(**OURS).get("/post/", headers={"X-Forwarded-Proto": "https"})
    assert page["Strict-Transport-Security"].startswith("max-age=31536000")
    assert page["X-Content-Type-Options"] == "nosniff"
    assert page["X-Frame-Options"] == "DENY"
    assert page["Referrer-Policy"] == "same-origin"
    policy = page["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "unsafe-inline" not in policy.replace("style-src 'self' 'unsafe-inline'", "")
    login = Client(**OURS).get("/admin/login/", headers={"X-Forwarded-Proto": "https"})
    assert login.cookies["csrftoken"]["secure"]


@pytest.mark.parametrize("path", ["/admin/login/", "/api/docs/", "/", "/nothing/here/"])
def test_every_page_has_the_content_security_policy(path, db):
    assert "default-src 'self'" in Client().get(path)["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/api/schema/", "/api/docs/", "/api/docs/?script="])
def test_the_apis_description_is_for_staff_unless_it_is_public(path, production, settings, django_user_model):
    secure = {"headers": {"Host": "jobs.example.com", "X-Forwarded-Proto": "https"}}
    client = Client(**secure)
    assert client.get(path).status_code == 404
    client.force_login(django_user_model.objects.create_user("vera"))
    assert client.get(path).status_code == 404
    client.force_login(django_user_model.objects.create_user("olga", is_staff=True))
    assert client.get(path).status_code == 200
    settings.API_DOCS_PUBLIC = True
    assert Client(**secure).get(path).status_code == 200


# --- the containers --------------------------------------------------------------------------------

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OF_THE_PROJECT = sorted(name for name, service in COMPOSE.items() if service.get("image") == "job-posting-pipeline")


def test_only_the_web_server_is_published_and_only_on_this_machine():
    published = {name: service["ports"] for name, service in COMPOSE.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:8000:8000"]}


@pytest.mark.parametrize("name", OF_THE_PROJECT)
def test_containers_of_the_project_can_write_nothing_and_become_nobody(name):
    service = COMPOSE[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_image_runs_as_a_user_without_rights_and_installs_only_what_is_locked():
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["app"]
    assert "useradd --uid 10001" in DOCKERFILE
    installs = re.findall(r"pip install (.+)", DOCKERFILE)
    assert installs
    assert all("--require-hashes --no-deps" in install for install in installs)
    assert '"python", "-m", "config.web"' in DOCKERFILE


def test_the_brokers_only_user_can_empty_nothing_and_administer_nothing():
    command = " ".join(COMPOSE["redis"]["command"])
    assert "user default off" in command
    assert "-@admin -@dangerous" in command
    for address in ("BROKER_URL", "CACHE_URL"):
        assert COMPOSE["web"]["environment"][address].startswith("redis://jobpipe:${REDIS_PASSWORD")


def test_no_image_is_the_latest():
    for service in COMPOSE.values():
        assert ":" in service["image"] or service["image"] == "job-posting-pipeline"
        assert not service["image"].endswith(":latest")


def test_no_password_has_a_default():
    text = (ROOT / "docker-compose.yml").read_text()
    for name in re.findall(r"\$\{(\w*(?:PASSWORD|SECRET_KEYS?)\w*)", text):
        assert f"${{{name}:-}}" in text or f"${{{name}:?" in text
        assert not re.search(rf"\${{{name}:-[^}}]", text)


@pytest.mark.parametrize(("version", "ids"), [((3, 11, 9), ["postings.I001"]), ((3, 11, 10), []), ((3, 12, 0), [])])
def test_a_python_that_reads_cookies_slowly_is_named(version, ids, monkeypatch):
    monkeypatch.setattr(checks.sys, "version_info", version)
    assert [each.id for each in checks.check_python(None)] == ids


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DEMO": "1"}, "0 0"),
        ({"DEMO": "1", "MAX_WATCHERS_PER_CLIENT": "7", "MAX_CONNECTIONS_PER_CLIENT": "9"}, "7 9"),
        ({}, "20 250"),
    ],
)
def test_a_demo_has_no_ceiling_of_one_address_unless_one_is_named(environment, expected):
    code = "from django.conf import settings as s; print(s.MAX_WATCHERS_PER_CLIENT, s.MAX_CONNECTIONS_PER_CLIENT)"
    shown = manage("shell", "--no-imports", "-c", code, **environment)
    assert shown.stdout.strip() == expected, shown.stderr
