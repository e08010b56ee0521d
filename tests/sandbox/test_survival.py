"""Everything the sandbox knows survives its kill -9."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import stripe


def test_state_ledger_keys_faults_clock_and_secrets_survive(own_sandbox, create):
    own_sandbox.start("--bucket", "logos")
    client = own_sandbox.stripe()
    held = create(client, key="key-1", confirm=True)
    with pytest.raises(stripe.CardError):
        create(client, "pm_card_chargeDeclined", key="key-2", confirm=True)
    own_sandbox.s3().put_object(Bucket="logos", Key="a", Body=b"bytes", Metadata={"pipeline-id": "pipeline-1"})
    own_sandbox.fault("stripe", "rate_limit", nth=3, route="payment_intents.retrieve")
    client.v1.payment_intents.retrieve(held.id)
    own_sandbox.post("clock", {"days": 1})
    before = [own_sandbox.get(path) for path in ("ledger", "state", "keys", "faults", "webhooks")]
    offset = own_sandbox.get("clock")["offset"]
    own_sandbox.kill()
    own_sandbox.start("--bucket", "logos")
    assert [own_sandbox.get(path) for path in ("ledger", "state", "keys", "faults", "webhooks")] == before
    assert own_sandbox.get("clock")["offset"] == offset
    client = own_sandbox.stripe()
    client.v1.payment_intents.retrieve(held.id)
    with pytest.raises(stripe.RateLimitError):
        client.v1.payment_intents.retrieve(held.id)
    assert own_sandbox.s3().get_object(Bucket="logos", Key="a")["Body"].read() == b"bytes"
    assert client.v1.payment_intents.capture(held.id).status == "succeeded"


def test_what_the_other_providers_know_survives_too(own_sandbox, make_bank):
    own_sandbox.start()
    bank = make_bank(own_sandbox, 700)
    staged = bank.client.ledger_transactions.create(**bank.transfer(300), idempotency_key="key-1")
    user = own_sandbox.supabase().create_user({"email": "director@example.com"}).user
    own_sandbox.publish("https://example.com/jobs/1")
    own_sandbox.sms()
    token = {"secret": "secret", "response": "v2-pass-1"}
    assert own_sandbox.http.post("/google/recaptcha/api/siteverify", data=token).json()["success"] is True
    before = [own_sandbox.get(path) for path in ("ledger", "state", "google/quota")]
    own_sandbox.kill()
    own_sandbox.start()
    assert [own_sandbox.get(path) for path in ("ledger", "state", "google/quota")] == before
    assert own_sandbox.http.post("/google/recaptcha/api/siteverify", data=token).json()["success"] is False
    assert own_sandbox.supabase().get_user_by_id(user.id).user == user
    bank.client = own_sandbox.modern_treasury()
    assert bank.client.ledger_transactions.create(**bank.transfer(300), idempotency_key="key-1") == staged
    assert bank.available() == 400


def test_a_key_is_remembered_across_a_kill(own_sandbox, create):
    own_sandbox.start()
    first = create(own_sandbox.stripe(), key="key-1", confirm=True)
    own_sandbox.kill()
    own_sandbox.start()
    again = create(own_sandbox.stripe(), key="key-1", confirm=True)
    assert (again.id, again.last_response.headers["idempotent-replayed"]) == (first.id, "true")
    assert own_sandbox.effects() == ["authorised"]


def test_what_was_answered_under_load_is_there_after_a_kill(own_sandbox, create):
    own_sandbox.start()
    answered: list[str] = []
    enough = threading.Event()

    def submit(_: int) -> None:
        client = own_sandbox.stripe()
        while True:
            try:
                answered.append(create(client, confirm=True).id)
            except stripe.APIConnectionError:
                return
            if len(answered) >= 60:
                enough.set()

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(submit, number) for number in range(4)]
        assert enough.wait(20)
        own_sandbox.kill()
        for each in running:
            each.result()
    own_sandbox.start()
    state, entries = own_sandbox.get("state"), own_sandbox.ledger()
    assert set(answered) <= {each["id"] for each in state["holds"]}
    assert {each["id"] for each in state["holds"]} == {entry["object_id"] for entry in entries}
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))


def test_sigterm_ends_it_in_order_even_while_a_client_waits(own_sandbox, create):
    own_sandbox.start()
    own_sandbox.fault("stripe", "timeout_before", seconds=60)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(lambda: create(own_sandbox.stripe(timeout=30)))
        while not own_sandbox.faults()[0]["fired"]:
            pass
        assert own_sandbox.stop() in (0, -signal.SIGTERM)
        with pytest.raises(stripe.APIConnectionError):
            waiting.result()


def test_a_second_process_over_the_same_folder_is_refused(own_sandbox):
    own_sandbox.start()
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--data", str(own_sandbox.data)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (second.returncode, "another sandbox uses" in second.stderr) == (1, True)
    assert httpx.get(f"{own_sandbox.url}/_sandbox/health").status_code == 200
