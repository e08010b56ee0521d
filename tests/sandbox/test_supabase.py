"""Supabase Auth: the administrator's users, and errors in both of GoTrue's forms."""

import uuid
from datetime import datetime

import pytest
from supabase_auth.errors import AuthApiError, AuthRetryableError, AuthWeakPasswordError

DIRECTOR = "director@example.com"
USERS = "/supabase/auth/v1/admin/users"
AUTHORISED = {"authorization": "Bearer service-role-key"}


def chosen(**more):
    return {"id": str(uuid.uuid4()), "email": DIRECTOR, "app_metadata": {"pipeline_id": "pipeline-1"}, **more}


def refusal(act, *arguments):
    with pytest.raises(AuthApiError) as refused:
        act(*arguments)
    return refused.value.status, refused.value.code, refused.value.message


def test_a_user_is_made_with_the_id_that_the_caller_chose(sandbox):
    given = chosen(password="a long secret", ban_duration="876000h", email_confirm=False)
    user = sandbox.supabase().create_user(given).user
    assert (user.id, user.email, user.email_confirmed_at) == (given["id"], DIRECTOR, None)
    assert user.app_metadata == {"provider": "email", "providers": ["email"], "pipeline_id": "pipeline-1"}
    assert datetime.fromisoformat(user.banned_until).year > 2100
    (entry,) = sandbox.ledger()
    assert (entry["effect"], entry["object_id"], entry["reference"]) == ("user_created", given["id"], "pipeline-1")


def test_without_a_chosen_id_it_gets_one(sandbox):
    user = sandbox.supabase().create_user({"email": "Director@Example.COM", "email_confirm": True}).user
    assert (uuid.UUID(user.id).version, user.email, user.email_confirmed_at is not None) == (4, DIRECTOR, True)
    assert sandbox.supabase().get_user_by_id(user.id).user == user


def test_the_password_is_kept_nowhere(sandbox):
    sandbox.supabase().create_user(chosen(password="canary-9c41"))
    assert "canary" not in sandbox.http.get("/_sandbox/state").text
    for file in sandbox.data.iterdir():
        assert b"canary-9c41" not in file.read_bytes()


def test_a_known_address_is_refused_in_any_spelling(sandbox):
    sandbox.supabase().create_user(chosen())
    status, code, message = refusal(sandbox.supabase().create_user, {"email": DIRECTOR.upper()})
    assert (status, code) == (422, "email_exists")
    assert message == "A user with this email address has already been registered"
    assert sandbox.effects() == ["user_created"]


def test_a_known_id_with_another_address_is_the_databases_error(sandbox):
    first = sandbox.supabase().create_user(chosen()).user
    again = {"id": first.id, "email": "other@example.com"}
    assert refusal(sandbox.supabase().create_user, again) == (
        500,
        "unexpected_failure",
        "Database error creating new user",
    )
    assert len(sandbox.supabase().list_users()) == 1


def test_a_ban_is_lifted_and_the_address_confirmed_by_an_update(sandbox):
    admin = sandbox.supabase()
    user = admin.create_user(chosen(ban_duration="24h", user_metadata={"name": "D"})).user
    change = {"ban_duration": "none", "email_confirm": True, "app_metadata": {"state": "done", "provider": None}}
    updated = admin.update_user_by_id(user.id, change).user
    assert (updated.banned_until, updated.email_confirmed_at is not None) == (None, True)
    assert updated.app_metadata == {"providers": ["email"], "pipeline_id": "pipeline-1", "state": "done"}
    assert updated.user_metadata == {"name": "D"}
    assert admin.get_user_by_id(user.id).user == updated
    assert sandbox.get("state")["users"][0]["banned_until"] is None


@pytest.mark.parametrize(("duration", "seconds"), [("1h30m", 5400), ("1.5s", 1.5), ("100ms", 0.1)])
def test_a_ban_lasts_as_long_as_it_says_by_the_sandboxs_clock(sandbox, duration, seconds):
    sandbox.post("clock", {"days": 365})
    now = datetime.fromisoformat(sandbox.get("clock")["now"])
    user = sandbox.supabase().create_user(chosen(ban_duration=duration)).user
    assert 0 <= (datetime.fromisoformat(user.banned_until) - now).total_seconds() - seconds < 5


def test_deleting_again_finds_nobody(sandbox):
    admin = sandbox.supabase()
    user = admin.create_user(chosen()).user
    admin.delete_user(user.id)
    for act in (admin.delete_user, admin.get_user_by_id):
        assert refusal(act, user.id) == (404, "user_not_found", "User not found")
    assert [(each["effect"], each["reference"]) for each in sandbox.ledger()] == [
        ("user_created", "pipeline-1"),
        ("user_deleted", "pipeline-1"),
    ]
    assert sandbox.get("state")["users"] == []
    assert admin.create_user(chosen()).user.email == DIRECTOR


def test_a_soft_deletion_may_be_repeated_and_frees_the_address(sandbox):
    admin = sandbox.supabase()
    user = admin.create_user(chosen()).user
    admin.delete_user(user.id, should_soft_delete=True)
    admin.delete_user(user.id, should_soft_delete=True)
    assert admin.get_user_by_id(user.id).user.deleted_at is not None
    assert sandbox.effects() == ["user_created", "user_deleted"]
    admin.create_user(chosen())


def test_users_are_listed_by_pages_newest_first(sandbox):
    admin = sandbox.supabase()
    for number in range(3):
        admin.create_user({"email": f"d{number}@example.com"})
    assert [each.email[:2] for each in admin.list_users()] == ["d2", "d1", "d0"]
    assert [each.email[:2] for each in admin.list_users(page=2, per_page=2)] == ["d0"]
    found = sandbox.http.get(USERS, params={"filter": "d1@"}, headers=AUTHORISED)
    assert ([each["email"] for each in found.json()["users"]], found.headers["x-total-count"]) == (
        ["d1@example.com"],
        "1",
    )


def test_an_error_names_its_code_as_the_api_version_asks(sandbox):
    for version, body in (
        ("2024-01-01", {"code": "user_not_found", "message": "User not found"}),
        (None, {"code": 404, "error_code": "user_not_found", "msg": "User not found"}),
    ):
        headers = AUTHORISED | ({} if version is None else {"x-supabase-api-version": version})
        answer = sandbox.http.get(f"{USERS}/{uuid.uuid4()}", headers=headers)
        assert (answer.status_code, answer.json()) == (404, body)
        assert answer.headers.get("x-supabase-api-version") == version
        assert answer.headers["x-sb-error-code"] == "user_not_found"


def test_what_is_no_uuid_is_a_404(sandbox):
    answer = sandbox.http.get(f"{USERS}/nobody", headers=AUTHORISED)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "validation_failed")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"email": "nobody"},
        {"email": f"{'x' * 250}@example.com"},
        {"email": DIRECTOR, "id": "1"},
        {"email": DIRECTOR, "id": "00000000-0000-0000-0000-000000000000"},
        {"email": DIRECTOR, "ban_duration": "a while"},
        {"email": DIRECTOR, "ban_duration": "99999999h"},
        {"email": DIRECTOR, "password": "x" * 73},
        {"email": DIRECTOR, "password": "secret", "password_hash": "$2a$10$x"},
        {"email": DIRECTOR, "email_confirm": "yes"},
        {"email": DIRECTOR, "app_metadata": []},
    ],
)
def test_attributes_that_make_no_sense_are_a_400(sandbox, given):
    status, code, _ = refusal(sandbox.supabase().create_user, given)
    assert (status, code in ("validation_failed", "bad_json")) == (400, True)
    assert sandbox.ledger() == []


def test_a_short_new_password_is_weak(sandbox):
    user = sandbox.supabase().create_user(chosen()).user
    with pytest.raises(AuthWeakPasswordError) as weak:
        sandbox.supabase().update_user_by_id(user.id, {"password": "short"})
    assert weak.value.reasons == ["length"]


def test_an_update_to_anothers_address_is_refused(sandbox):
    admin = sandbox.supabase()
    admin.create_user(chosen())
    other = admin.create_user({"email": "other@example.com"}).user
    assert refusal(admin.update_user_by_id, other.id, {"email": DIRECTOR})[:2] == (422, "email_exists")
    assert admin.update_user_by_id(other.id, {"email": "Third@example.com"}).user.email == "third@example.com"


def test_credentials_are_needed_and_those_of_anybody_do_not_suffice(sandbox):
    assert sandbox.http.get(USERS).json()["error_code"] == "no_authorization"
    assert refusal(sandbox.supabase("anon").list_users)[:2] == (403, "not_admin")


def test_faults_are_worded_as_supabase_words_them(sandbox):
    admin = sandbox.supabase()
    for kind, status, code in (
        ("rate_limit", 429, "over_request_rate_limit"),
        ("conflict", 409, "conflict"),
        ("error_before", 500, "unexpected_failure"),
    ):
        sandbox.fault("supabase", kind, times=1)
        assert refusal(admin.list_users)[:2] == (status, code)
    sandbox.fault("supabase", "drop_before", times=1)
    with pytest.raises(AuthRetryableError) as unknown:
        admin.list_users()
    assert unknown.value.status == 0
