"""A known vulnerability fails `make lint`; a machine without a way to the service is told so."""

import json
import tomllib

from config.local import audit

FOUND = {"id": "PYSEC-2030-1", "aliases": ["CVE-2030-2"], "fix_versions": ["1.1"]}
GOOD = {"name": "amqp", "version": "5.4.2", "vulns": []}
BAD = {"name": "kombu", "version": "1.0", "vulns": [FOUND]}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found"}


def judged(*packages, status=0, errors="", accepted=None):
    return audit.judged(status, json.dumps({"dependencies": packages}), errors, accepted or {})


def test_without_findings_it_is_fine():
    assert judged(GOOD, UNKNOWN) == (True, ["1 packages audited, 1 unknown to the service, 0 findings"])


def test_a_finding_fails_and_says_what_mends_it():
    verdict = judged(GOOD, BAD, BAD, status=1)
    assert not verdict.is_fine
    assert verdict.lines[0] == "kombu 1.0: PYSEC-2030-1, CVE-2030-2; mended in 1.1"
    assert verdict.lines[1].endswith("1 findings")


def test_a_finding_may_be_accepted_by_any_of_its_names():
    for name in ("PYSEC-2030-1", "CVE-2030-2"):
        assert judged(GOOD, BAD, status=1, accepted={name: "we never do that"}).is_fine


def test_an_acceptance_that_nothing_needs_any_more_is_named():
    verdict = judged(GOOD, accepted={"CVE-2030-2": "we never do that"})
    assert verdict.is_fine
    assert verdict.lines[-1] == "CVE-2030-2 is accepted in pyproject.toml and not found any more: remove it"


def test_without_a_way_to_the_service_it_says_that_nothing_was_audited():
    for died in ("requests.exceptions.ProxyError: x", "pip_audit._service.interface.ConnectionError: x"):
        verdict = audit.judged(1, "", f"Traceback …\n{died}", {})
        assert verdict.is_fine
        assert verdict.lines == [f"NOTHING WAS AUDITED, the service cannot be asked from here: {died}"]


def test_a_service_that_knows_nothing_has_audited_nothing():
    (line,) = judged(UNKNOWN).lines
    assert line.startswith("NOTHING WAS AUDITED")


def test_anything_else_that_goes_wrong_fails():
    for errors in ("requests.exceptions.SSLError: certificate", "error: a hash is missing", ""):
        assert not audit.judged(1, "", errors, {}).is_fine


def test_every_acceptance_has_a_reason():
    accepted = tomllib.loads((audit.ROOT / "pyproject.toml").read_text())["tool"]["audit"]["accepted"]
    assert all(len(reason) > 20 for reason in accepted.values())
