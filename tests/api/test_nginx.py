"""The sample for nginx in the documents, run by a real nginx: a posting with a logo, a stream, TLS and addresses."""

import os
import re
import shutil
import ssl
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config.local.ports import free_port
from pipeline.models import Pipeline
from tests.api.conftest import APPS, picture
from tests.api.test_server import ROOT, database_url
from tests.web.conftest import served

SAMPLE = (ROOT / "docs/nginx.conf").read_text()
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.django_db(transaction=True, available_apps=APPS),
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]


def certificate(folder):
    """A key and a certificate of its own for localhost, in two files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "site.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "site.key").write_bytes(private)


@contextmanager
def nginx(folder, upstream, plain, secure):
    """The sample with this machine's ports, folders and certificate in place of its own."""
    certificate(folder)
    sample = SAMPLE
    for theirs, ours in [
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{upstream};"),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{secure} ssl;"),
        ("https://$host$request_uri", f"https://$host:{secure}$request_uri"),
        ("/etc/ssl/jobs.example.com", str(folder / "site")),
        ("jobs.example.com;", "localhost;"),
    ]:
        assert theirs in sample, theirs
        sample = sample.replace(theirs, ours)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder / 'pid'}; error_log {folder / 'error.log'}; events {{}}\n"
        f"{'user root;' if os.getuid() == 0 else ''}\n"
        f"http {{ access_log off; {paths}\n{sample}\n}}\n"
    )
    process = subprocess.Popen([NGINX, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    try:
        yield
    finally:
        process.terminate()
        process.wait(15)


@pytest.fixture
def proxied(tmp_path):
    """A client that speaks to nginx by TLS; and the port where nginx does not."""
    plain, secure = free_port(), free_port()
    given = {
        "DATABASE_URL": database_url(),
        "DEMO": "",
        "SITE_URL": f"https://localhost:{secure}",
        "ALLOWED_HOSTS": "localhost",
        "BEHIND_PROXY": "1",
        "NUM_PROXIES": "1",
        "CACHE_URL": "",
    }
    with served(tmp_path / "web.log", **given) as (port, _), nginx(tmp_path, port, plain, secure):
        trusted = ssl.create_default_context(cafile=str(tmp_path / "site.pem"))
        with httpx.Client(base_url=f"https://localhost:{secure}", verify=trusted, timeout=30) as client:
            ends = time.monotonic() + 20
            while True:
                try:
                    client.get("/healthz").raise_for_status()
                    break
                except httpx.TransportError:
                    assert time.monotonic() < ends, (tmp_path / "error.log").read_text()
                    time.sleep(0.1)
            yield client, plain


def test_a_posting_goes_through_and_its_stream_comes_back(proxied, plan, fields):
    client, plain = proxied
    logo = picture((900, 900)) + b"\0" * (1536 * 1024)  # over nginx's own limit
    key = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
    files = {"logo": ("logo.png", logo, "image/png")}
    forged = {"Idempotency-Key": key, "X-Forwarded-For": "9.9.9.9"}
    accepted = client.post("/api/v1/postings/", data=fields, files=files, headers=forged)
    assert accepted.status_code == 202, accepted.text
    assert accepted.json()["links"]["self"].startswith(str(client.base_url))
    again = client.post("/api/v1/postings/", data=fields, files=files, headers=forged | {"X-Forwarded-For": "8.8.8.8"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert Pipeline.objects.count() == 1

    with client.stream("GET", f"{accepted.headers['Location']}stream/") as stream:
        assert next(stream.iter_lines()) == "id: 1", "while it is open: nothing is buffered"

    assert client.post("/api/v1/postings/", content=b"x" * (4 * 1024 * 1024 + 1)).status_code == 413
    assert client.get("/post/").status_code == 200, "no redirect to itself"
    assert client.get("/metrics").status_code == 404
    assert client.get("/", headers={"Cookie": "a" * 4097}).status_code == 431, "the application's own limit"

    redirected = httpx.get(f"http://localhost:{plain}/post/?a=b")
    assert redirected.status_code == 301
    assert redirected.headers["Location"] == f"{client.base_url}/post/?a=b"


def test_the_sample_has_the_limits_of_the_application(settings):
    assert re.search(r"client_max_body_size (\d+)m;", SAMPLE)[1] == str(settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 2**20)
    for header in ("Host $http_host", "X-Forwarded-For $proxy_add_x_forwarded_for", "X-Forwarded-Proto $scheme"):
        assert SAMPLE.count(f"proxy_set_header {header};") == SAMPLE.count("proxy_pass ") == 2
