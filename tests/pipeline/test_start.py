"""Making a pipeline: one transaction, idempotent for ever, published once that is committed."""

import pytest
from django.db import transaction

from pipeline.models import Attachment, Event, Pipeline, Step
from pipeline.start import KeyReused, TooManyOpen, find, start
from pipeline.testing import drain


def test_a_key_gives_the_same_pipeline_for_ever(posting, broker):
    first = start(posting, input={"n": 1}, key="k", fingerprint="f")
    assert first.is_new
    drain(first.id, broker)
    again = start(posting, input={"n": 1}, key="k", fingerprint="f")
    assert (again.id, again.is_new) == (first.id, False)
    assert find("anonymous", "k", ["f"]).id == first.id
    assert find("anonymous", "other", ["f"]) is None


def test_a_key_with_other_content_is_refused(posting, broker):
    start(posting, input={}, key="k", fingerprint="f")
    with pytest.raises(KeyReused):
        start(posting, input={}, key="k", fingerprint="g")
    with pytest.raises(KeyReused):
        find("anonymous", "k", ["g"])


def test_a_key_belongs_to_its_scope(posting, broker):
    one = start(posting, input={}, key="k", scope="user:1")
    two = start(posting, input={}, key="k", scope="user:2")
    assert one.id != two.id


def test_nothing_is_published_or_kept_when_the_callers_transaction_is_undone(posting, broker):
    with transaction.atomic():
        start(posting, input={}, key="k", attachments={"logo": b"x"})
        transaction.set_rollback(True)
    assert broker.sent == []
    assert not any(model.objects.exists() for model in (Pipeline, Step, Event, Attachment))


def test_it_is_published_only_once_it_is_committed(posting, broker):
    with transaction.atomic():
        start(posting, input={}, key="k")
        assert broker.sent == []
    assert len(broker.sent) == 1


def test_a_client_at_its_ceiling_is_refused_and_leaves_nothing(posting, broker, tune):
    tune(MAX_OPEN_PER_CLIENT=2)
    made = [start(posting, input={}, key=f"k{number}", client="c") for number in range(2)]
    with pytest.raises(TooManyOpen, match="2 unfinished"):
        start(posting, input={}, key="k2", client="c")
    assert Pipeline.objects.count() == 2
    start(posting, input={}, key="k3", client="another")
    for each in made:
        drain(each.id, broker)
    assert start(posting, input={}, key="k2", client="c").is_new


def test_a_client_at_its_ceiling_still_gets_the_pipeline_of_a_key_it_has_sent(posting, broker, tune):
    tune(MAX_OPEN_PER_CLIENT=1)
    first = start(posting, input={}, key="k", client="c")
    again = start(posting, input={}, key="k", client="c")
    assert (again.id, again.is_new) == (first.id, False)


def test_the_steps_are_stored_with_the_pipeline_as_it_will_run(posting, broker):
    pipeline = start(posting, input={"n": 1}, key="k", attachments={"logo": b"png"}).id
    row = Pipeline.objects.get(pk=pipeline)
    assert (row.state, row.step_count, row.pivots, row.effects, row.tells) == ("staging", 4, 1, 2, 1)
    assert list(row.steps.values_list("name", "kind", "wave", "state")) == [
        ("logo", "logo", 1, "pending"),
        ("posting", "posting", 1, "pending"),
        ("payment", "payment", 0, "pending"),
        ("email", "email", 2, "pending"),
    ]
    assert bytes(row.attachments.get().content) == b"png"
    assert row.id.version == 7
