"""Google: reCAPTCHA's single-use tokens and the Indexing API's 200 a day."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import requests

JOB = "https://example.com/jobs/gardener"
PIPELINE = "0199c1de-0000-7000-8000-00000000002a"
PACIFIC = ZoneInfo("America/Los_Angeles")


def verify(sandbox, token, secret="secret"):
    form = {"secret": secret, "response": token, "remoteip": "127.0.0.1"}
    answer = requests.post(f"{sandbox.url}/google/recaptcha/api/siteverify", data=form, timeout=5)
    assert answer.status_code == 200
    return answer.json()


def issued(sandbox, **verdict):
    return sandbox.post("google/recaptcha/tokens", verdict)["token"]


def metadata(sandbox, url):
    headers = {"authorization": "Bearer ya29.x"}
    return sandbox.http.get("/google/v3/urlNotifications/metadata", params={"url": url}, headers=headers)


def pacific_now(sandbox):
    return datetime.fromisoformat(sandbox.get("clock")["now"]).astimezone(PACIFIC)


def use_up_the_day(sandbox):
    """All of the day's quota, at its noon, so that no midnight comes in between."""
    until_noon = (36 - pacific_now(sandbox).hour) % 24
    sandbox.post("clock", {"hours": until_noon})
    body, headers = {"url": JOB, "type": "URL_UPDATED"}, {"authorization": "Bearer ya29.x"}
    for _ in range(200):
        assert sandbox.http.post("/google/v3/urlNotifications:publish", json=body, headers=headers).is_success


@pytest.mark.parametrize(
    ("token", "verdict"),
    [
        ("v2-pass", {"success": True}),
        ("v2-pass-17", {"success": True}),
        ("v3-pass", {"success": True, "score": 0.9, "action": "submit"}),
        ("v3-pass.post_job-17", {"success": True, "score": 0.9, "action": "post_job"}),
        ("v3-low-score.post_job", {"success": True, "score": 0.1, "action": "post_job"}),
        ("v3-wrong-action.post_job-1", {"success": True, "score": 0.9, "action": "another_action"}),
        ("expired-1", {"success": False, "error-codes": ["timeout-or-duplicate"]}),
        ("03AGdBq", {"success": False, "error-codes": ["invalid-input-response"]}),
    ],
)
def test_a_magic_token_has_the_verdict_that_it_names(sandbox, token, verdict):
    found = verify(sandbox, token)
    assert {name: found[name] for name in found if name not in ("challenge_ts", "hostname")} == verdict
    if found["success"]:
        assert (found["hostname"], datetime.fromisoformat(found["challenge_ts"]).tzinfo is not None) == (
            "localhost",
            True,
        )


@pytest.mark.parametrize("magic", [True, False])
def test_a_token_is_verified_once(sandbox, magic):
    token = "v2-pass-1" if magic else issued(sandbox)
    assert verify(sandbox, token)["success"] is True
    assert verify(sandbox, token) == {"success": False, "error-codes": ["timeout-or-duplicate"]}
    assert [each["verified"] is not None for each in sandbox.get("state")["recaptcha_tokens"]] == [True]


def test_a_token_lives_for_two_minutes_of_the_sandboxs_clock(sandbox):
    in_time, too_late = issued(sandbox), issued(sandbox)
    sandbox.post("clock", {"seconds": 115})
    assert verify(sandbox, in_time)["success"] is True
    sandbox.post("clock", {"seconds": 6})
    assert verify(sandbox, too_late)["error-codes"] == ["timeout-or-duplicate"]


def test_a_token_can_be_made_with_any_verdict(sandbox):
    token = issued(sandbox, score=0.3, action="post_job", hostname="jobs.example")
    found = verify(sandbox, token)
    assert (found["score"], found["action"], found["hostname"]) == (0.3, "post_job", "jobs.example")
    for nonsense in ({"score": 2}, {"score": "1"}, {"action": "x"}, {"colour": 1}, []):
        assert sandbox.http.post("/_sandbox/google/recaptcha/tokens", json=nonsense).status_code == 400


def test_a_token_whose_verdict_was_lost_on_the_way_is_used_up(sandbox):
    sandbox.fault("google", "drop_after", route="recaptcha.siteverify", times=1)
    with pytest.raises(requests.ConnectionError):
        verify(sandbox, "v3-pass-1")
    assert verify(sandbox, "v3-pass-1")["error-codes"] == ["timeout-or-duplicate"]


@pytest.mark.parametrize(
    ("secret", "token", "errors"),
    [
        ("", "v2-pass", ["missing-input-secret"]),
        ("secret", "", ["missing-input-response"]),
        ("", "", ["missing-input-secret", "missing-input-response"]),
        ("invalid-secret", "v2-pass", ["invalid-input-secret"]),
    ],
)
def test_what_is_missing_or_invalid_is_named(sandbox, secret, token, errors):
    assert verify(sandbox, token, secret) == {"success": False, "error-codes": errors}


def test_googles_own_secret_for_tests_lets_everything_pass(sandbox):
    for _ in range(2):
        found = verify(sandbox, "anything", "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe")
        assert (found["success"], found["hostname"]) == (True, "testkey.google.com")


def test_publishing_tells_that_a_page_is_new_or_gone(sandbox):
    updated = sandbox.publish(JOB).json()["urlNotificationMetadata"]
    assert (updated["url"], updated["latestUpdate"]["type"], "latestRemove" in updated) == (JOB, "URL_UPDATED", False)
    removed = sandbox.publish(JOB, "URL_DELETED").json()["urlNotificationMetadata"]
    assert removed["latestUpdate"] == updated["latestUpdate"]
    assert metadata(sandbox, JOB).json() == removed
    assert [(entry["effect"], entry["object_id"]) for entry in sandbox.ledger()] == [
        ("url_updated", JOB),
        ("url_deleted", JOB),
    ]


def test_publishing_again_moves_the_time_of_notice(sandbox):
    first = sandbox.publish(JOB).json()["urlNotificationMetadata"]["latestUpdate"]["notifyTime"]
    sandbox.post("clock", {"seconds": 5})
    second = sandbox.publish(JOB).json()["urlNotificationMetadata"]["latestUpdate"]["notifyTime"]
    assert datetime.fromisoformat(second) > datetime.fromisoformat(first)
    assert sandbox.effects() == ["url_updated", "url_updated"]


@pytest.mark.parametrize(
    ("url", "reference"),
    [
        (f"{JOB}?pipeline_id={PIPELINE}", PIPELINE),
        (f"https://example.com/jobs/{PIPELINE.upper()}/", PIPELINE),
        (JOB, None),
    ],
)
def test_the_reference_is_found_in_the_address(sandbox, url, reference):
    sandbox.publish(url)
    assert sandbox.ledger()[0]["reference"] == sandbox.get("state")["urls"][0]["reference"] == reference


def test_the_quota_of_200_a_day_begins_anew_at_midnight_pacific(sandbox):
    use_up_the_day(sandbox)
    for kind in ("URL_UPDATED", "URL_DELETED"):
        over = sandbox.publish(JOB, kind)
        assert (over.status_code, over.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    quota = sandbox.get("google/quota")
    resets_at = datetime.fromisoformat(quota["resets_at"]).astimezone(PACIFIC)
    assert (quota["limit"], quota["used"]) == (200, 200)
    assert (resets_at.hour, resets_at.minute, resets_at > pacific_now(sandbox)) == (0, 0, True)
    assert metadata(sandbox, JOB).status_code == 200
    left = (resets_at - pacific_now(sandbox)).total_seconds()
    sandbox.post("clock", {"seconds": left - 5})
    assert sandbox.publish(JOB).status_code == 429
    sandbox.post("clock", {"seconds": 6})
    assert sandbox.publish(JOB).status_code == 200
    assert sandbox.get("google/quota")["used"] == 1


def test_another_quota_can_be_granted_until_the_reset(sandbox):
    assert sandbox.post("google/quota", {"limit": 5000})["limit"] == 5000
    use_up_the_day(sandbox)
    body, headers = {"url": JOB, "type": "URL_UPDATED"}, {"authorization": "Bearer ya29.x"}
    assert sandbox.http.post("/google/v3/urlNotifications:publish", json=body, headers=headers).is_success
    assert sandbox.http.post("/_sandbox/google/quota", json={"limit": 0}).status_code == 400
    assert sandbox.http.post("/_sandbox/google/quota", content=b"{").status_code == 400
    sandbox.post("reset")
    assert sandbox.get("google/quota")["limit"] == 200


def test_a_page_of_another_owner_is_refused_and_uses_no_quota(sandbox):
    refused = sandbox.publish("https://unowned.example/jobs/1")
    assert (refused.status_code, refused.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert (sandbox.get("google/quota")["used"], sandbox.ledger()) == (0, [])


@pytest.mark.parametrize(
    "body",
    [{}, [], {"url": JOB}, {"url": JOB, "type": "URL_MOVED"}, {"url": "jobs", "type": "URL_UPDATED"}, {"colour": 1}],
)
def test_a_publication_that_makes_no_sense_is_an_invalid_argument(sandbox, body):
    headers = {"authorization": "Bearer ya29.x"}
    answer = sandbox.http.post("/google/v3/urlNotifications:publish", json=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_of_a_page_never_told_there_is_no_metadata(sandbox):
    answer = metadata(sandbox, JOB)
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


def test_the_indexing_api_wants_an_access_token(sandbox):
    answer = sandbox.http.post("/google/v3/urlNotifications:publish", json={"url": JOB, "type": "URL_UPDATED"})
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert sandbox.http.get("/google/v4").json()["error"]["code"] == 404


@pytest.mark.parametrize(
    ("kind", "status"), [("rate_limit", "RESOURCE_EXHAUSTED"), ("conflict", "ABORTED"), ("error_before", "INTERNAL")]
)
def test_faults_are_worded_as_google_words_them(sandbox, kind, status):
    sandbox.fault("google", kind)
    assert sandbox.publish(JOB).json()["error"]["status"] == status
